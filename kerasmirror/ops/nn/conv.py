"""Convolutions: cross-correlation (of one to three axes), depthwise, separable and transposed.

Letters: N batch, H W height and width, C channels, R S window, P Q output size, F filters.
Kernels know 2D and channels last only; 1D is 2D with H = 1, channels first is transposed here.
"""

from __future__ import annotations

import functools

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks
from kerasmirror.core.config import image_data_format as default_format
from kerasmirror.core.config import standardize_data_format
from kerasmirror.core.tensor import Tensor
from kerasmirror.kernels.geometry import ConvGeometry, window_output
from kerasmirror.ops.nn import volumes
from kerasmirror.ops.nn.dense import windowed_tangent
from kerasmirror.ops.nn.layout import from_2d, to_2d
from kerasmirror.ops.nn.precision import narrowed, same_float_dtype, widened

_SINGLE = np.dtype(np.float32)


@export("ops.conv", "ops.nn.conv")
def conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Cross-correlation: `y[n,p,f] = sum over r,c of x[n, p*stride+r*dilation-pad, c] * w[r,c,f]`.

    One spatial axis is written above; with two or three, r and p have companions.
    Shapes (channels last): inputs (N, H, W, C) or (N, W, C), kernel (R, S, C / groups, F) or
    (S, C / groups, F), result (N, P, Q, F) or (N, Q, F); with an axis more in front for volumes.
    Raises: ValueError for a bad stride, dilation or padding, a window that does not fit into the
    inputs, or channels that the kernel's do not divide.
    Source: Keras 3.15 `keras.ops.conv`. Strides and dilations above 1 may go together here.
    """
    data_format = data_format or default_format()
    if type(inputs) is Tensor is type(kernel):
        x, w = inputs.data, kernel.data
        if x.dtype is _SINGLE is w.dtype and type(strides) is int is type(dilation_rate):
            settled = _settled_conv(x.shape, w.shape, strides, padding, data_format, dilation_rate)
            if "windows" not in settled:
                return conv2d_bias_activation.apply((inputs, kernel, None), settled)
    return conv.general(inputs, kernel, strides, padding, data_format, dilation_rate)


def _conv(inputs, kernel, strides, padding, data_format, dilation_rate):
    strides = tuple(strides) if type(strides) is list else strides
    dilation_rate = tuple(dilation_rate) if type(dilation_rate) is list else dilation_rate
    inputs, kernel = same_float_dtype(inputs, kernel)
    shapes = tuple(inputs.shape), tuple(kernel.shape)
    settled = _settled_conv(*shapes, strides, padding, data_format, dilation_rate)
    if "windows" in settled:
        return volumes.conv_volume(inputs, kernel, rule=conv2d_bias_activation, **settled)
    return conv2d_bias_activation(inputs, kernel, None, **settled)


conv.general = _conv


@functools.lru_cache(maxsize=1024)
def _settled_conv(input_shape, kernel_shape, strides, padding, data_format, dilation_rate):
    """The primitive's options, settled once for arguments that come again at every step."""
    owner = "ops.conv"
    channels_first = standardize_data_format(data_format, owner) == "channels_first"
    padding = checks.padding(padding, owner=owner)
    arguments = (input_shape, kernel_shape, strides, padding, channels_first, dilation_rate)
    if len(input_shape) == 5:
        stride, dilation, groups, windows = _conv_windows(*arguments, owner)
        out_size, pad = zip(*windows, strict=True)
        return {
            "windows": (stride, pad, dilation, out_size),
            "geometry": _as_2d(stride[1:], pad[1:], dilation[1:], groups, out_size[1:]),
            "channels_first": channels_first,
        }
    return {"geometry": conv_geometry(*arguments, owner=owner), "channels_first": channels_first}


@export("ops.depthwise_conv", "ops.nn.depthwise_conv")
def depthwise_conv(inputs, kernel, strides=1, padding="valid", data_format=None, dilation_rate=1):
    """Each channel convolved alone: `y[..., c*M + m]` is channel c with the window `w[..., c, m]`.

    Shapes (channels last): inputs (N, H, W, C) or (N, W, C), kernel (R, S, C, M) or (S, C, M),
    result (N, P, Q, C * M) or (N, Q, C * M).
    Raises: ValueError as `ops.conv`, or when inputs and kernel differ in channels.
    Source: Keras 3.15 `keras.ops.depthwise_conv`.
    """
    owner = "ops.depthwise_conv"
    inputs, kernel = same_float_dtype(inputs, kernel)
    channels_first = standardize_data_format(data_format, owner) == "channels_first"
    padding = checks.padding(padding, owner=owner)
    geometry = depthwise_geometry(
        inputs.shape, kernel.shape, strides, padding, channels_first, dilation_rate, owner=owner
    )
    return conv2d_bias_activation(
        inputs, kernel, None, geometry=geometry, channels_first=channels_first, depthwise=True
    )


@export("ops.separable_conv", "ops.nn.separable_conv")
def separable_conv(
    inputs,
    depthwise_kernel,
    pointwise_kernel,
    strides=1,
    padding="valid",
    data_format=None,
    dilation_rate=1,
):
    """A depthwise convolution, then a 1 x 1 convolution that mixes its channels.

    Shapes (channels last): inputs (N, H, W, C), depthwise_kernel (R, S, C, M), pointwise_kernel
    (1, 1, C * M, F), result (N, P, Q, F); the same without H, R, P for one axis.
    Source: Keras 3.15 `keras.ops.separable_conv`.
    """
    y = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(y, pointwise_kernel, 1, "valid", data_format)


@export("ops.conv_transpose", "ops.nn.conv_transpose")
def conv_transpose(
    inputs,
    kernel,
    strides=1,
    padding="valid",
    output_padding=None,
    data_format=None,
    dilation_rate=1,
):
    """The adjoint of `conv`: what maps a convolution's output gradient to its input's gradient.

    Shapes (channels last): inputs (N, P, Q, C), kernel (R, S, F, C), result (N, H, W, F) with
    H = P * stride for "same", (P - 1) * stride + reach for "valid"; `output_padding` adds to
    (P - 1) * stride + reach ("valid") or (P - 1) * stride + reach % 2 ("same").
    Source: Keras 3.15 `keras.ops.conv_transpose` on TensorFlow.
    """
    owner = "ops.conv_transpose"
    inputs, kernel = same_float_dtype(inputs, kernel)
    channels_first = standardize_data_format(data_format, owner) == "channels_first"
    padding = checks.padding(padding, owner=owner)
    options = (strides, padding, output_padding, channels_first, dilation_rate)
    if len(inputs.shape) == 5:
        windows = _transpose_windows(inputs.shape, kernel.shape, *options, owner)
        stride, dilation, pad, size, spatial = windows
        layers = _as_2d(stride[1:], pad[1:], dilation[1:], 1, spatial[1:])
        return volumes.conv_transpose_volume(
            inputs,
            kernel,
            rule=conv2d_transpose_bias_activation,
            windows=windows,
            geometry=layers,
            channels_first=channels_first,
        )
    size, geometry = transpose_geometry(inputs.shape, kernel.shape, *options, owner=owner)
    return conv2d_transpose_bias_activation(
        inputs, kernel, None, size=size, geometry=geometry, channels_first=channels_first
    )


# --- geometry -------------------------------------------------------------------------------


def conv_geometry(
    input_shape, kernel_shape, strides, padding, channels_first, dilation_rate, *, owner
):
    """The ConvGeometry of a convolution, with H = 1 added for one axis; unknown sizes stay None.

    Raises: ValueError, see `conv`. `padding` may also be "causal" (all zeros before), for layers.
    """
    # The same few convolutions run all the time: 0.5 us from the cache, 15 us without.
    strides = tuple(strides) if isinstance(strides, list) else strides
    dilation_rate = tuple(dilation_rate) if isinstance(dilation_rate, list) else dilation_rate
    shapes = tuple(input_shape), tuple(kernel_shape)
    return _conv_geometry(*shapes, strides, padding, channels_first, dilation_rate, owner)


def depthwise_geometry(
    input_shape, kernel_shape, strides, padding, channels_first, dilation_rate, *, owner
):
    """The ConvGeometry of a depthwise convolution: as many groups as channels."""
    _checked_rank(input_shape, kernel_shape, owner)
    channels = input_shape[1 if channels_first else -1]
    if channels is not None and channels != kernel_shape[-2]:
        raise ValueError(
            f"{owner}: input channels must match the kernel's, {kernel_shape[-2]}. "
            f"Received: inputs.shape={tuple(input_shape)}, kernel.shape={tuple(kernel_shape)}"
        )
    grouped = (*kernel_shape[:-2], 1, kernel_shape[-2] * kernel_shape[-1])
    return conv_geometry(
        input_shape, grouped, strides, padding, channels_first, dilation_rate, owner=owner
    )


def transpose_geometry(
    input_shape,
    kernel_shape,
    strides,
    padding,
    output_padding,
    channels_first,
    dilation_rate,
    *,
    owner,
):
    """Result size (H, W) of a transposed convolution and the geometry of the one it transposes."""
    _checked_rank(input_shape, kernel_shape, owner)
    options = (strides, padding, output_padding, channels_first, dilation_rate)
    windows = _transpose_windows(input_shape, kernel_shape, *options, owner)
    stride, dilation, pad, sizes, spatial = windows
    return sizes, _as_2d(stride, pad, dilation, 1, spatial)


def _transpose_windows(
    input_shape,
    kernel_shape,
    strides,
    padding,
    output_padding,
    channels_first,
    dilation_rate,
    owner,
):
    """(strides, dilations, paddings, result's sizes, inputs' sizes) of a transposed convolution."""
    rank = _checked_rank(input_shape, kernel_shape, owner, volumes_too=True)
    stride = checks.int_tuple(strides, rank, "strides", owner=owner)
    dilation = checks.int_tuple(dilation_rate, rank, "dilation_rate", owner=owner)
    extra = (None,) * rank
    if output_padding is not None:
        extra = checks.int_tuple(output_padding, rank, "output_padding", owner=owner, minimum=0)
    channels = input_shape[1 if channels_first else -1]
    if channels is not None and channels != kernel_shape[-1]:
        raise ValueError(
            f"{owner}: input channels must match the kernel's last axis, "
            f"{kernel_shape[-1]}. Received: inputs.shape={tuple(input_shape)}, "
            f"kernel.shape={tuple(kernel_shape)}"
        )
    spatial = input_shape[2:] if channels_first else input_shape[1:-1]
    sizes = tuple(
        _transposed_size(*axis, padding)
        for axis in zip(spatial, kernel_shape[:-2], stride, dilation, extra, strict=True)
    )
    windows = [
        window_output(size, window, s, d, padding)
        for size, window, s, d in zip(sizes, kernel_shape[:-2], stride, dilation, strict=True)
    ]
    for (out, _), given in zip(windows, spatial, strict=True):
        if out != given:
            raise ValueError(
                f"{owner}: `output_padding` must leave a size whose convolution has the inputs' "
                f"size {tuple(spatial)}. Received: output_padding={output_padding!r}, which gives "
                f"{sizes} with strides={stride}"
            )
    return stride, dilation, [pad for _, pad in windows], sizes, tuple(spatial)


def _transposed_size(size, window, stride, dilation, extra, padding):
    if size is None:
        return None
    reach = (window - 1) * dilation + 1
    if padding == "valid":
        return (size - 1) * stride + reach + (max(stride - reach, 0) if extra is None else extra)
    return size * stride if extra is None else (size - 1) * stride + reach % 2 + extra


def _checked_rank(input_shape, kernel_shape, owner, volumes_too=False):
    rank = len(input_shape) - 2
    if rank == 3 and not volumes_too:
        raise ValueError(
            f"{owner}: `inputs` must have one or two spatial axes; convolutions over three are "
            f"not supported. Received: inputs.shape={tuple(input_shape)}"
        )
    if rank not in (1, 2, 3):
        raise ValueError(
            f"{owner}: `inputs` must have 3 or 4 axes (batch, one or two spatial, channels). "
            f"Received: inputs.shape={tuple(input_shape)}"
        )
    if len(kernel_shape) != rank + 2:
        raise ValueError(
            f"{owner}: `kernel` must have as many axes as `inputs`. "
            f"Received: kernel.shape={tuple(kernel_shape)}, inputs.shape={tuple(input_shape)}"
        )
    return rank


@functools.lru_cache(maxsize=1024)
def _conv_geometry(
    input_shape, kernel_shape, strides, padding, channels_first, dilation_rate, owner
):
    arguments = (input_shape, kernel_shape, strides, padding, channels_first, dilation_rate)
    _checked_rank(input_shape, kernel_shape, owner)
    stride, dilation, groups, windows = _conv_windows(*arguments, owner)
    out_size = tuple(out for out, _ in windows)
    return _as_2d(stride, [pad for _, pad in windows], dilation, groups, out_size)


def _conv_windows(
    input_shape, kernel_shape, strides, padding, channels_first, dilation_rate, owner
):
    """(strides, dilations, groups, (output size, padding) of each axis) of a convolution."""
    rank = _checked_rank(input_shape, kernel_shape, owner, volumes_too=True)
    stride = checks.int_tuple(strides, rank, "strides", owner=owner)
    dilation = checks.int_tuple(dilation_rate, rank, "dilation_rate", owner=owner)
    channels = input_shape[1 if channels_first else -1]
    groups = 1
    if channels is not None:
        groups = _checked_groups(channels, input_shape, kernel_shape, owner)
    spatial = input_shape[2:] if channels_first else input_shape[1:-1]
    windows = [
        window_output(size, window, s, d, padding)
        for size, window, s, d in zip(spatial, kernel_shape[:-2], stride, dilation, strict=True)
    ]
    out_size = tuple(out for out, _ in windows)
    if 0 in out_size and 0 not in spatial:
        raise ValueError(
            f"{owner}: `inputs` must be at least as large as the dilated window. "
            f"Received: inputs.shape={input_shape}, kernel.shape={kernel_shape}, "
            f"dilation_rate={dilation}, padding={padding!r}"
        )
    return stride, dilation, groups, windows


def _as_2d(stride, pad, dilation, groups, out_size):
    if len(stride) == 1:
        stride, dilation, out_size = (1, *stride), (1, *dilation), (1, *out_size)
        pad = [(0, 0), *pad]
    return ConvGeometry(stride, tuple(pad), dilation, groups, out_size)


def _checked_groups(channels, input_shape, kernel_shape, owner):
    per_group, filters = kernel_shape[-2:]
    if per_group < 1 or channels % per_group or filters % max(1, channels // per_group):
        raise ValueError(
            f"{owner}: input channels must match the kernel's, {per_group}, or be a multiple (the "
            f"groups) that divides the {filters} filters. "
            f"Received: inputs.shape={input_shape}, kernel.shape={kernel_shape}"
        )
    return max(1, channels // per_group)


# --- primitives -----------------------------------------------------------------------------


def _window_to_2d(w, rank, depthwise):
    if rank == 1:
        w = w[None]
    # Filter c * M + m of a depthwise convolution reads channel c alone: its group.
    return w.reshape(*w.shape[:2], 1, -1) if depthwise else w


def _conv_spec(x, w, bias, *, geometry, activation="linear", channels_first=False, depthwise=False):
    size = geometry.out_size[-(len(x.shape) - 2) :]
    filters = w.shape[-2] * w.shape[-1] if depthwise else w.shape[-1]
    shape = (x.shape[0], filters, *size) if channels_first else (x.shape[0], *size, filters)
    return shape, x.dtype


@primitive("conv2d", spec=_conv_spec)
def conv2d_bias_activation(
    k, x, w, bias, *, geometry, activation="linear", channels_first=False, depthwise=False
):
    """`activation(conv(x, w) + bias)`, activation "linear" or "relu", bias or None, in one pass.

    The result has x's dtype, the gradients of w and bias have w's: half-precision inputs may meet
    float32 weights.
    """
    if x.dtype is _SINGLE is w.dtype and x.ndim == 4 and not (channels_first or depthwise):
        if bias is not None:
            assert bias.shape == w.shape[3:]  # the kernel would read past its end
            (bias,) = widened(bias)
        y = k.conv2d(x, w, bias, geometry, activation)
        return y, functools.partial(_conv_backward, k, x, w, y, geometry, activation, False)
    rank, dtype, w_shape, w_dtype = x.ndim - 2, x.dtype, w.shape, w.dtype
    x, w, bias = widened(x, w, bias)
    x, w = to_2d(k, x, channels_first), _window_to_2d(w, rank, depthwise)
    assert bias is None or bias.shape == w.shape[3:]
    y = k.conv2d(x, w, bias, geometry, activation)

    def backward(dy, needs):
        dx, dw, db = _conv_backward(k, x, w, y, geometry, activation, channels_first, dy, needs)
        if dx is not None:
            dx = narrowed(from_2d(k, dx, rank, channels_first), dtype)
        if dw is not None:
            dw = narrowed(dw.reshape(w_shape), w_dtype)
        return dx, dw, narrowed(db, w_dtype)

    return narrowed(from_2d(k, y, rank, channels_first), dtype), backward


def _conv_backward(k, x, w, y, geometry, activation, channels_first, dy, needs):
    """The gradients as the kernels give them; y is linear in x and in w: adjoint maps of dy."""
    dy = to_2d(k, *widened(dy), channels_first)
    dx = dw = db = None
    if activation == "relu":
        dy, db = k.relu_grad_sums(dy, y) if needs[2] else (k.relu_grad(dy, y), None)
    elif needs[2]:
        db = k.bias_grad(dy)
    if needs[0]:
        dx = k.conv2d_grad_input(dy, w, x.shape, geometry)
    if needs[1]:
        dw = k.conv2d_grad_kernel(dy, x, w.shape, geometry)
    return dx, dw, db


@conv2d_bias_activation.forward
def _conv_tangent(k, inputs, changes, y, *, activation="linear", channels_first=False, **options):
    options["channels_first"] = channels_first
    return _tangent(conv2d_bias_activation.rule, k, inputs, changes, y, activation, options)


def _tangent(rule, k, inputs, changes, y, activation, options):
    def run(*args, **more):
        return rule(*args, **more, **options)

    first = options["channels_first"]
    return windowed_tangent(run, k, inputs, changes, y, activation, first)


def _transpose_spec(x, w, bias, *, size, geometry, activation="linear", channels_first=False):
    shape = (x.shape[0], w.shape[-2], *size) if channels_first else (x.shape[0], *size, w.shape[-2])
    return shape, x.dtype


@primitive("conv2d_transpose", spec=_transpose_spec)
def conv2d_transpose_bias_activation(
    k, x, w, bias, *, size, geometry, activation="linear", channels_first=False
):
    """`activation(conv_transpose(x, w) + bias)`; `geometry` is the convolution's it transposes."""
    rank, dtype, w_shape, w_dtype = x.ndim - 2, x.dtype, w.shape, w.dtype
    x, w, bias = widened(x, w, bias)
    x, w = to_2d(k, x, channels_first), _window_to_2d(w, rank, False)
    size = (1, *size) if rank == 1 else size
    y = k.conv2d_grad_input(x, w, (x.shape[0], *size, w.shape[2]), geometry)
    if bias is not None:
        np.add(y, bias, out=y)
    if activation == "relu":
        y = k.relu(y)

    def backward(dy, needs):
        dy = to_2d(k, *widened(dy), channels_first)
        if activation == "relu":
            dy = k.relu_grad(dy, y)
        dx = dw = db = None
        # <y, dy> = <x, conv(dy, w)>: x and dy change places in the convolution's two gradients.
        if needs[0]:
            dx = k.conv2d(dy, w, None, geometry, "linear")
            dx = narrowed(from_2d(k, dx, rank, channels_first), dtype)
        if needs[1]:
            dw = k.conv2d_grad_kernel(x, dy, w.shape, geometry)
            dw = narrowed(dw.reshape(w_shape), w_dtype)
        if needs[2]:
            db = narrowed(k.bias_grad(dy), w_dtype)
        return dx, dw, db

    return narrowed(from_2d(k, y, rank, channels_first), dtype), backward


@conv2d_transpose_bias_activation.forward
def _conv_transpose_tangent(
    k, inputs, changes, y, *, activation="linear", channels_first=False, **options
):
    options["channels_first"] = channels_first
    rule = conv2d_transpose_bias_activation.rule
    return _tangent(rule, k, inputs, changes, y, activation, options)
