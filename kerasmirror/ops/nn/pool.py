"""Pooling: the largest value or the mean of each window or stretch, along one to three axes.

Kernels know 2D and channels last only; 1D is 2D with H = 1, channels first is transposed here.
"""

from __future__ import annotations

import functools

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks
from kerasmirror.core.config import standardize_data_format
from kerasmirror.core.device import contiguous
from kerasmirror.kernels.geometry import PoolGeometry, window_output
from kerasmirror.ops.nn.layout import from_2d, to_2d
from kerasmirror.ops.nn.precision import narrowed, widened
from kerasmirror.ops.nn.volumes import pool_volume
from kerasmirror.ops.tensor import to_tensor


@export("ops.max_pool", "ops.nn.max_pool")
def max_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """The largest value of each window; padded places take no part.

    Where a window holds the largest value twice, the first one gets the whole gradient.
    Shapes (channels last): inputs (N, H, W, C) or (N, W, C), result (N, P, Q, C) or (N, Q, C).
    Raises: ValueError for a bad window, stride or padding, or a window larger than the inputs.
    Source: Keras 3.15 `keras.ops.max_pool`.
    """
    return _pool(_max_pool, "ops.max_pool", inputs, pool_size, strides, padding, data_format)


@export("ops.average_pool", "ops.nn.average_pool")
def average_pool(inputs, pool_size, strides=None, padding="valid", data_format=None):
    """The mean of each window; padded places do not count.

    Shapes and errors as `ops.max_pool`.
    Source: Keras 3.15 `keras.ops.average_pool`.
    """
    owner = "ops.average_pool"
    return _pool(_average_pool, owner, inputs, pool_size, strides, padding, data_format)


def _pool(rule, owner, inputs, pool_size, strides, padding, data_format):
    inputs = to_tensor(inputs)
    channels_first = standardize_data_format(data_format, owner) == "channels_first"
    pool_size = tuple(pool_size) if isinstance(pool_size, list) else pool_size
    strides = tuple(strides) if isinstance(strides, list) else strides
    shape = tuple(inputs.shape)
    if len(shape) == 5:
        return _pool_volume(rule, owner, inputs, pool_size, strides, padding, channels_first)
    geometry = _checked_geometry(shape, pool_size, strides, padding, channels_first, owner)
    return rule(inputs, geometry=geometry, channels_first=channels_first)


def _pool_volume(rule, owner, inputs, pool_size, strides, padding, channels_first):
    window = checks.int_tuple(pool_size, 3, "pool_size", owner=owner)
    stride = window
    if strides is not None:
        stride = checks.int_tuple(strides, 3, "strides", owner=owner)
    padding = checks.padding(padding, owner=owner)
    return pool_volume(
        inputs,
        rule=rule,
        geometry_of=functools.partial(pool_geometry, padding=padding, owner=owner),
        window=window,
        stride=stride,
        channels_first=channels_first,
    )


def _checked_rank(shape, owner):
    rank = len(shape) - 2
    if rank not in (1, 2, 3):
        raise ValueError(
            f"{owner}: `inputs` must have 3 to 5 axes (batch, one to three spatial, channels). "
            f"Received: inputs.shape={shape}"
        )
    return rank


@functools.lru_cache(maxsize=1024)
def _checked_geometry(shape, pool_size, strides, padding, channels_first, owner):
    rank = _checked_rank(shape, owner)
    window = checks.int_tuple(pool_size, rank, "pool_size", owner=owner)
    stride = window
    if strides is not None:
        stride = checks.int_tuple(strides, rank, "strides", owner=owner)
    padding = checks.padding(padding, owner=owner)
    spatial = shape[2:] if channels_first else shape[1:-1]
    return pool_geometry(spatial, window, stride, padding, owner)


@functools.lru_cache(maxsize=1024)
def pool_geometry(spatial, window, stride, padding, owner):
    """The PoolGeometry over `spatial` sizes (None where unknown), with H = 1 added for one axis.

    Raises: ValueError when a window does not fit.
    """
    windows = [
        window_output(size, w, s, 1, padding)
        for size, w, s in zip(spatial, window, stride, strict=True)
    ]
    pad = tuple(p for _, p in windows)
    out_size = tuple(out for out, _ in windows)
    if 0 in out_size:
        raise ValueError(
            f"{owner}: `inputs` must be at least as large as the window. "
            f"Received: spatial size {spatial}, pool_size={window}, padding={padding!r}"
        )
    if len(window) == 1:
        window, stride, out_size = (1, *window), (1, *stride), (1, *out_size)
        pad = ((0, 0), *pad)
    return PoolGeometry(window, stride, pad, out_size)


def _pool_spec(x, *, geometry, channels_first=False):
    size = geometry.out_size[-(len(x.shape) - 2) :]
    if channels_first:
        return (x.shape[0], x.shape[1], *size), x.dtype
    return (x.shape[0], *size, x.shape[-1]), x.dtype


@primitive("max_pool", spec=_pool_spec)
def _max_pool(k, x, *, geometry, channels_first=False):
    rank, dtype = x.ndim - 2, x.dtype
    x = to_2d(k, *widened(x), channels_first)
    y = k.max_pool2d(x, geometry)

    def backward(dy, needs):
        dy = to_2d(k, *widened(dy), channels_first)
        dx = k.max_pool2d_grad_input(dy, x, y, geometry)
        return (narrowed(from_2d(k, dx, rank, channels_first), dtype),)

    return narrowed(from_2d(k, y, rank, channels_first), dtype), backward


@_max_pool.forward
def _max_pool_tangent(k, inputs, changes, y, *, geometry, channels_first=False):
    rank = inputs[0].ndim - 2
    x, dx, y = (to_2d(k, *widened(p), channels_first) for p in (inputs[0], changes[0], y))
    return from_2d(k, max_pool_tangent(x, dx, y, geometry), rank, channels_first)


def max_pool_tangent(x, dx, y, geometry):
    """The change of the first largest value of each window, for arrays (N, H, W, C)."""
    height, width = ((n - 1) * s for n, s in zip(geometry.out_size, geometry.stride, strict=True))
    pads = ((0, 0), *geometry.pad, (0, 0))
    filled, moved = np.pad(x, pads, constant_values=-np.inf), np.pad(dx, pads)
    dy, open_windows = np.zeros_like(y), np.ones_like(y, dtype=bool)
    for r, s in np.ndindex(*geometry.window):
        rows = slice(r, r + height + 1, geometry.stride[0])
        columns = slice(s, s + width + 1, geometry.stride[1])
        hit = open_windows & (filled[:, rows, columns] == y)
        dy = np.where(hit, moved[:, rows, columns], dy)
        open_windows = open_windows & ~hit
    return dy


@primitive("average_pool", spec=_pool_spec, tangent=tangents.linear)
def _average_pool(k, x, *, geometry, channels_first=False):
    rank, dtype = x.ndim - 2, x.dtype
    x = to_2d(k, *widened(x), channels_first)
    y = k.average_pool2d(x, geometry)
    shape = x.shape

    def backward(dy, needs):
        dy = to_2d(k, *widened(dy), channels_first)
        dx = k.average_pool2d_grad_input(dy, shape, geometry)
        return (narrowed(from_2d(k, dx, rank, channels_first), dtype),)

    return narrowed(from_2d(k, y, rank, channels_first), dtype), backward


# --- adaptive -------------------------------------------------------------------------------


@export("ops.adaptive_average_pool", "ops.nn.adaptive_average_pool")
def adaptive_average_pool(inputs, output_size, data_format=None):
    """The mean of `output_size` stretches of each axis, as even as whole numbers allow.

    Stretch i of m over n places goes from `floor(i n / m)` to `ceil((i + 1) n / m)`.
    Shapes (channels last): inputs (N, H, W, C) or (N, W, C), result (N, P, Q, C) or (N, Q, C).
    Raises: ValueError for a bad size or inputs whose spatial size is not known.
    Source: Keras 3.15 `keras.ops.adaptive_average_pool`.
    """
    owner = "ops.adaptive_average_pool"
    return _adaptive(_stretch_means, owner, inputs, output_size, data_format)


@export("ops.adaptive_max_pool", "ops.nn.adaptive_max_pool")
def adaptive_max_pool(inputs, output_size, data_format=None):
    """The largest value of `output_size` stretches of each axis; see `adaptive_average_pool`.

    Source: Keras 3.15 `keras.ops.adaptive_max_pool`.
    """
    owner = "ops.adaptive_max_pool"
    return _adaptive(_stretch_maxima, owner, inputs, output_size, data_format)


def _adaptive(rule, owner, inputs, output_size, data_format):
    x = to_tensor(inputs)
    channels_first = standardize_data_format(data_format, owner) == "channels_first"
    shape = tuple(x.shape)
    rank = _checked_rank(shape, owner)
    sizes = checks.int_tuple(output_size, rank, "output_size", owner=owner)
    first = 2 if channels_first else 1
    if None in shape[first : first + rank]:
        raise ValueError(
            f"{owner}: `inputs` must have a known spatial size. Received: inputs.shape={shape}"
        )
    for axis, size in enumerate(sizes, first):
        x = rule(x, axis=axis, size=size)
    return x


def _stretches(n, size):
    return [slice(i * n // size, -(-(i + 1) * n // size)) for i in range(size)]


def _stretch_spec(x, *, axis, size):
    return (*x.shape[:axis], size, *x.shape[axis + 1 :]), x.dtype


@primitive("stretch_means", spec=_stretch_spec, tangent=tangents.linear)
def _stretch_means(k, x, *, axis, size):
    dtype, shape = x.dtype, x.shape
    stretches = _stretches(shape[axis], size)
    x = np.moveaxis(*widened(x), axis, 0)
    y = np.stack([x[stretch].mean(axis=0) for stretch in stretches], axis)

    def backward(dy, needs):
        dy = np.moveaxis(*widened(dy), axis, 0)
        dx = np.zeros_like(x)
        for stretch, part in zip(stretches, dy, strict=True):
            dx[stretch] += part / dx.dtype.type(stretch.stop - stretch.start)
        return (narrowed(contiguous(np.moveaxis(dx, 0, axis)), dtype),)

    return narrowed(y, dtype), backward


@primitive("stretch_maxima", spec=_stretch_spec)
def _stretch_maxima(k, x, *, axis, size):
    dtype, shape = x.dtype, x.shape
    stretches = _stretches(shape[axis], size)
    x = np.moveaxis(x, axis, 0)
    y = np.stack([x[stretch].max(axis=0) for stretch in stretches], axis)

    def backward(dy, needs):
        dy = np.moveaxis(dy, axis, 0)
        dx = np.zeros_like(x)
        for stretch, part in zip(stretches, dy, strict=True):
            place = np.argmax(x[stretch], axis=0)[None]  # the first of several
            view = dx[stretch]
            np.put_along_axis(view, place, np.take_along_axis(view, place, 0) + part[None], 0)
        return (narrowed(contiguous(np.moveaxis(dx, 0, axis)), dtype),)

    return y, backward


@_stretch_maxima.forward
def _stretch_maxima_tangent(k, inputs, changes, y, *, axis, size):
    x, dx = (np.moveaxis(part, axis, 0) for part in (inputs[0], changes[0]))
    parts = []
    for stretch in _stretches(x.shape[0], size):
        place = np.argmax(x[stretch], axis=0)[None]
        parts.append(np.take_along_axis(dx[stretch], place, 0)[0])
    return np.stack(parts, axis)
