"""Volumes (N, D, H, W, C): their windows are one over (H, W) and one over D.

A maximum or a mean over a box is that over its layers, of those over each layer; a convolution with
R layers is one over images that have the R layers side by side as channels.
"""

from __future__ import annotations

from kerasmirror.autodiff.composite import composite
from kerasmirror.ops.numpy import shape


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
