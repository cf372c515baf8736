"""Volumes (N, D, H, W, C): their windows are one over (H, W) and one over D.

A maximum or a mean over a box is that over its layers, of those over each layer; a convolution with
R layers is one over images that have the R layers side by side as channels.
"""

from __future__ import annotations

from kerasmirror.autodiff.composite import composite
from kerasmirror.ops.numpy import joining, repetition, shape


def _to_last(x, channels_first):
    return shape.transpose(x, (0, 2, 3, 4, 1)) if channels_first else x


def _to_first(y, channels_first):
    return shape.transpose(y, (0, 4, 1, 2, 3)) if channels_first else y


def _on_axes(sizes, batch, channels, channels_first):
    return (batch, channels, *sizes) if channels_first else (batch, *sizes, channels)


def _pooled_spec(x, *, rule, geometry_of, window, stride, channels_first):
    spatial = tuple(x.shape[2:] if channels_first else x.shape[1:-1])
    sizes = geometry_of(spatial, window, stride).out_size
    channels = x.shape[1 if channels_first else -1]
    return _on_axes(sizes, x.shape[0], channels, channels_first), x.dtype


@composite(_pooled_spec)
def pool_volume(x, *, rule, geometry_of, window, stride, channels_first):
    """`rule`, a pooling of images, over windows of three axes.

    `geometry_of(spatial, window, stride)` gives the geometry over one, two or three axes, and
    raises where a window does not fit.
    """
    x = _to_last(x, channels_first)
    n, d, h, w, c = x.shape
    sizes = geometry_of((d, h, w), window, stride).out_size
    layers = geometry_of((h, w), window[1:], stride[1:])
    y = rule(shape.reshape(x, (n * d, h, w, c)), geometry=layers, channels_first=False)
    rows = shape.reshape(y, (n, d, sizes[1] * sizes[2] * c))
    depth = geometry_of((d,), window[:1], stride[:1])
    y = rule(rows, geometry=depth, channels_first=False)
    return _to_first(shape.reshape(y, (n, *sizes, c)), channels_first)


def _conv_spec(x, *, kernel, rule, windows, geometry, channels_first):
    sizes = windows[-1]
    return _on_axes(sizes, x.shape[0], kernel.shape[-1], channels_first), x.dtype


@composite(_conv_spec)
def conv_volume(x, kernel, *, rule, windows, geometry, channels_first):
    """`rule`, a convolution of images by `geometry`, over windows of three axes.

    `windows` has the strides, paddings, dilations and output sizes of all three.
    """
    x = _to_last(x, channels_first)
    (stride, *_), ((before, after), *_), (dilation, *_), sizes = windows
    n, _, h, w, c = x.shape
    layers, groups = kernel.shape[0], geometry.groups
    x = repetition.pad(x, ((0, 0), (before, after), (0, 0), (0, 0), (0, 0)))
    last = (sizes[0] - 1) * stride + 1
    taps = [x[:, t * dilation : t * dilation + last : stride] for t in range(layers)]
    # The layers' channels side by side, those of a group together.
    taps = [shape.reshape(tap, (n * sizes[0], h, w, groups, c // groups)) for tap in taps]
    images = shape.reshape(joining.stack(taps, axis=4), (n * sizes[0], h, w, layers * c))
    _, r, s, per_group, filters = kernel.shape
    side_by_side = shape.transpose(kernel, (1, 2, 0, 3, 4))
    window = shape.reshape(side_by_side, (r, s, layers * per_group, filters))
    y = rule(images, window, None, geometry=geometry, channels_first=False)
    return _to_first(shape.reshape(y, (n, *sizes, filters)), channels_first)


def _transpose_spec(x, *, kernel, rule, windows, geometry, channels_first):
    return _on_axes(windows[3], x.shape[0], kernel.shape[-2], channels_first), x.dtype


@composite(_transpose_spec)
def conv_transpose_volume(x, kernel, *, rule, windows, geometry, channels_first):
    """`rule`, a transposed convolution of images by `geometry`, over windows of three axes.

    `windows` has the strides, dilations, paddings, the result's and the inputs' sizes of all three.
    """
    x = _to_last(x, channels_first)
    (stride, *_), (dilation, *_), ((before, _), *_), sizes, (layers, *_) = windows
    n, _, h, w, c = x.shape
    images, row = shape.reshape(x, (n * layers, h, w, c)), sizes[1] * sizes[2] * kernel.shape[-2]
    taps, total = kernel.shape[0], None
    for t in range(taps):
        y = rule(images, kernel[t], None, size=sizes[1:], geometry=geometry, channels_first=False)
        # Layer i of the inputs comes to layer i * stride + t * dilation of the padded result.
        y = repetition.pad(
            shape.reshape(y, (n, layers, 1, row)), ((0, 0), (0, 0), (0, stride - 1), (0, 0))
        )
        y = shape.reshape(y, (n, layers * stride, row))[:, : (layers - 1) * stride + 1]
        y = repetition.pad(y, ((0, 0), (t * dilation, (taps - 1 - t) * dilation), (0, 0)))
        total = y if total is None else total + y
    beyond = max(before + sizes[0] - total.shape[1], 0)
    total = repetition.pad(total, ((0, 0), (0, beyond), (0, 0)))
    y = total[:, before : before + sizes[0]]
    return _to_first(shape.reshape(y, (n, *sizes, kernel.shape[-2])), channels_first)
