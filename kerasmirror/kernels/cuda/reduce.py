"""Sums, products, extrema and logsumexp of arrays.

`axis` is None (all axes), an int or a tuple of ints. Results keep the dtype of x, except that
sums and products of booleans are int32, arg-extrema are int32, and `all` and `any` are bool.
Halves are reduced in float32. Axes side by side are taken as one; others one after the other, the
last ones first. A lane adds up every so many values in four sums, then lanes meet in a tree, then
parts: sums are off by no more than pairwise ones, and the same every time.
"""

from __future__ import annotations

import math

import numpy as np

from . import memory
from . import reduce_kernels as kernels
from .array import axis_in
from .blocks import plan
from .casting import as_dtype
from .launch import launch

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "logsumexp",
    "max",
    "mean",
    "min",
    "prod",
    "sum",
]

_WITH_KERNELS = ("float32", "float64", "int32", "int64")


def sum(x, axis=None, keepdims: bool = False):
    """Sum of x over `axis`."""
    wide = widened(x, keep_bytes=True)
    y = _reduced(_of_sums, wide, axis, keepdims, 0)
    return y if x.dtype == bool else as_dtype(y, x.dtype)


def prod(x, axis=None, keepdims: bool = False):
    """Product of x over `axis`."""
    y = _reduced(lambda x: (kernels.PROD, x.dtype), widened(x), axis, keepdims, 1)
    return y if x.dtype == bool else as_dtype(y, x.dtype)


def max(x, axis=None, keepdims: bool = False):
    """Largest value of x over `axis`, NaN if there is one; the lowest there is for no values."""
    wide = widened(x, keep_bytes=True)
    y = _reduced(lambda x: (kernels.MAX, x.dtype), wide, axis, keepdims, _bound(x.dtype, -1))
    return as_dtype(y, x.dtype)


def min(x, axis=None, keepdims: bool = False):
    """Smallest value of x over `axis`, NaN if there is one; the highest there is for no values."""
    wide = widened(x, keep_bytes=True)
    y = _reduced(lambda x: (kernels.MIN, x.dtype), wide, axis, keepdims, _bound(x.dtype, 1))
    return as_dtype(y, x.dtype)


def mean(x, axis=None, keepdims: bool = False):
    """Mean of a float array over `axis`; NaN for no values."""
    axes = axes_of(axis, x.ndim)
    count = count_of(x.shape, axes)
    return as_dtype(_reduced(_of_sums, widened(x), axes, keepdims, math.nan, count), x.dtype)


def argmax(x, axis=None, keepdims: bool = False):
    """Index (int32) of the first largest value along one axis, or in the flat array."""
    return _place_of("argmax", x, axis, keepdims, 1)


def argmin(x, axis=None, keepdims: bool = False):
    """Index (int32) of the first smallest value along one axis, or in the flat array."""
    return _place_of("argmin", x, axis, keepdims, -1)


def all(x, axis=None, keepdims: bool = False):
    """Whether every value over `axis` is true."""
    return min(as_dtype(x, np.dtype(bool)), axis, keepdims)


def any(x, axis=None, keepdims: bool = False):
    """Whether some value over `axis` is true."""
    return max(as_dtype(x, np.dtype(bool)), axis, keepdims)


def logsumexp(x, axis=None, keepdims: bool = False):
    """log(sum(e^x)) of a float array over `axis`, with the largest value taken out first."""
    wide = widened(x)
    axes = axes_of(axis, x.ndim)
    y = _no_values(wide, axes, -math.inf, wide.dtype)
    if y is None:
        y = wide
        for outer, n, inner in steps_of(x.shape, axes):
            y = _in_parts(kernels.logsumexp, y, (outer, n, inner), wide.dtype)
    return as_dtype(y.reshape(result_shape(x.shape, axes, keepdims)), x.dtype)


def _of_sums(x):
    return (
        (kernels.SUM_BYTES, np.dtype(np.int32)) if x.dtype.itemsize == 1 else (kernels.SUM, x.dtype)
    )


def _bound(dtype, sign):
    if dtype.kind == "b":
        return sign > 0
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return info.max if sign > 0 else info.min
    return sign * math.inf


def _reduced(kernel_for, x, axis, keepdims, start, count=1):
    """x reduced over `axis`; `kernel_for` gives an array's kernel and its result's dtype."""
    axes = axes_of(axis, x.ndim)
    y = _no_values(x, axes, start, kernel_for(x)[1])
    if y is None:
        y, steps = x, steps_of(x.shape, axes)
        for i, (outer, n, inner) in enumerate(steps):
            y = _one_step(kernel_for, y, (outer, n, inner), count if i == len(steps) - 1 else 1)
    return y.reshape(result_shape(x.shape, axes, keepdims))


def _one_step(kernel_for, x, sizes, count):
    by, (chosen, dtype) = plan(*sizes), kernel_for(x)
    y = memory.empty((by.parts, by.columns), dtype)
    launch(chosen, by.grid, x, y, *by.numbers, count if by.parts == 1 else 1)
    return y if by.parts == 1 else _one_step(kernel_for, y, (1, by.parts, by.columns), count)


def _in_parts(chosen, x, sizes, dtype):
    by = plan(*sizes)
    y = memory.empty((by.parts, by.columns), dtype)
    launch(chosen, by.grid, x, y, *by.numbers)
    return y if by.parts == 1 else _in_parts(chosen, y, (1, by.parts, by.columns), dtype)


def _no_values(x, axes, start, dtype):
    """The result, flat, where there is nothing to reduce; else None."""
    if x.size:
        return None
    count = count_of(x.shape, [i for i in range(x.ndim) if i not in axes])
    return memory.to_device(np.full(count, start, dtype))


def _place_of(name, x, axis, keepdims, sign):
    axes = axes_of(axis, x.ndim)
    n = count_of(x.shape, axes)
    shape = result_shape(x.shape, axes, keepdims)
    if not x.size:
        if n:
            return memory.empty(shape, np.int32)
        raise ValueError(f"{name}: there must be a value. Received: an array of shape {x.shape}")
    wide = widened(x, keep_bytes=True)
    first = axes[0] if axes else 0
    outer = count_of(x.shape, range(first)) if axis is not None else 1
    return _places(wide, wide, (outer, n, x.size // (outer * n)), sign, 0).reshape(shape)


def _places(x, places, sizes, sign, placed):
    by = plan(*sizes)
    best = memory.empty((by.parts, by.columns), x.dtype)
    where = memory.empty(best.shape, np.int32)
    if not placed:
        places = where  # not read
    launch(kernels.extremum_place, by.grid, x, places, best, where, *by.numbers, sign, placed)
    return where if by.parts == 1 else _places(best, where, (1, by.parts, by.columns), sign, 1)


# --- shapes and dtypes ----------------------------------------------------------------------


def steps_of(shape, axes):
    """The (outer, n, inner) that reduce `axes`, neighbours together, the last first."""
    steps = []
    shape = [1 if i in axes and n == 1 else n for i, n in enumerate(shape)]
    left = [i for i in axes if shape[i] != 1]
    while left:
        last = left.pop()
        first = last
        while left and count_of(shape, range(left[-1] + 1, first)) == 1:
            first = left.pop()
        n = count_of(shape, range(first, last + 1))
        steps.append(
            (count_of(shape, range(first)), n, count_of(shape, range(last + 1, len(shape))))
        )
        shape[first : last + 1] = [1] * (last + 1 - first)
    return steps or [(1, 1, count_of(shape, range(len(shape))))]


def widened(x, keep_bytes=False):
    """x in a dtype that reductions have kernels for."""
    name = x.dtype.name
    if name in _WITH_KERNELS or (keep_bytes and x.dtype.itemsize == 1 and name != "int8"):
        return x
    if name in ("float16", "bfloat16"):
        return as_dtype(x, np.dtype(np.float32))
    if name in ("bool", "int8", "int16", "uint8", "uint16"):
        return as_dtype(x, np.dtype(np.int32))
    return as_dtype(x, np.dtype(np.int64)) if name == "uint32" else x


def axes_of(axis, rank):
    """`axis` as a sorted tuple of axes >= 0."""
    if axis is None:
        return tuple(range(rank))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else axis
    found = {axis_in(a, rank) for a in axes}
    if len(found) != len(axes):
        raise ValueError("duplicate value in 'axis'")
    return tuple(sorted(found))


def result_shape(shape, axes, keepdims):
    if keepdims:
        return tuple(1 if i in axes else n for i, n in enumerate(shape))
    return tuple(n for i, n in enumerate(shape) if i not in axes)


def count_of(shape, axes):
    """How many values there are over `axes`."""
    return math.prod(shape[axis] for axis in axes)
