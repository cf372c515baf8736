"""Sums, products, extrema, moments, logsumexp and cumulative sums of arrays.

`axis` is None (all axes), an int or a tuple of ints. Results keep the dtype of x, except that
sums and products of booleans are int32, arg-extrema are int32, and `all` and `any` are bool.
Sums of float16 are accumulated in float32; sums of float32 in float32, pairwise or in slabs.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from . import between, memory, norm

__all__ = [
    "all",
    "any",
    "argmax",
    "argmin",
    "cumprod",
    "cumsum",
    "logsumexp",
    "max",
    "mean",
    "min",
    "moments",
    "prod",
    "sum",
]

# Rows added one after the other before partial sums are added: NumPy is pairwise along the last
# axis alone, and one row at a time along the others: off by 2e-5 for 1e6 rows of float32.
_SLAB = 32

_WIDE = (np.dtype(np.float32), np.dtype(np.float64))

_py_sum, _py_max = sum, max


class _Settled(NamedTuple):
    """A reduction's axes, its result's shapes with and without them, how many values meet in one.

    `single` is the axis that NumPy sums at once in the order of `_float_sum`, or None.
    """

    axes: tuple[int, ...]
    kept: tuple[int, ...]
    shape: tuple[int, ...]
    count: int
    single: int | None


@functools.lru_cache(4096)
def _settled(shape, axis):
    axes = _axes(axis, len(shape))
    single = None
    if len(axes) == 1:
        tail = _count(shape, range(axes[0] + 1, len(shape)))
        if axes[0] == len(shape) - 1 or (tail > 1 and shape[axes[0]] <= _SLAB):
            single = axes[0]
    rest = tuple(n for i, n in enumerate(shape) if i not in axes)
    return _Settled(axes, _kept_shape(shape, axes), rest, _count(shape, axes), single)


@functools.lru_cache(1024)
def _number(count, dtype):
    # As an array: NumPy takes longer over numbers.
    return np.array(count, dtype)


@between.notable
def sum(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """Sum of x over `axis`."""
    if x.dtype in _WIDE:
        return _wide_sum(x, _settled(x.shape, axis), keepdims)
    axes = _axes(axis, x.ndim)
    if x.dtype == bool:
        return np.asarray(np.sum(x, axis=axes, keepdims=keepdims, dtype=np.int32))
    if x.dtype.kind != "f" and x.dtype.kind != "c" and x.dtype.kind != "V":
        return _reduce(np.add, x, axes, keepdims)
    small = x.dtype.itemsize < 4
    y = _float_sum(x.astype(np.float32) if small else x, axes)
    shape = _kept_shape(x.shape, axes) if keepdims else y.shape
    return y.astype(x.dtype).reshape(shape) if small else y.reshape(shape)


def prod(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """Product of x over `axis`."""
    axes = _axes(axis, x.ndim)
    return _reduce(np.multiply, x.astype(np.int32) if x.dtype == bool else x, axes, keepdims)


@between.notable
def max(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """Largest value of x over `axis`, NaN if there is one; the lowest there is for no values."""
    return _extremum(np.maximum, x, axis, keepdims, largest=False)


@between.notable
def min(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """Smallest value of x over `axis`, NaN if there is one; the highest there is for no values."""
    return _extremum(np.minimum, x, axis, keepdims, largest=True)


@between.notable
def mean(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """Mean of a float array over `axis`; NaN for no values."""
    settled = _settled(x.shape, axis)
    count = settled.count
    if x.dtype in _WIDE and count:
        total = _wide_sum(x, settled, keepdims)
        return np.divide(total, _number(count, x.dtype), total)
    if count == 0:
        empty = sum(x, axis, keepdims)
        empty.fill(np.nan)
        return empty
    if x.dtype.itemsize < 4:
        total = sum(x.astype(np.float32), axis, keepdims)
        return np.divide(total, np.float32(count), out=total).astype(x.dtype)
    total = sum(x, axis, keepdims)
    return np.divide(total, total.dtype.type(count), out=total)


def argmax(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """Index (int32) of the first largest value along one axis, or in the flat array."""
    return np.asarray(np.argmax(x, axis=axis, keepdims=keepdims)).astype(np.int32)


def argmin(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """Index (int32) of the first smallest value along one axis, or in the flat array."""
    return np.asarray(np.argmin(x, axis=axis, keepdims=keepdims)).astype(np.int32)


def all(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """Whether every value over `axis` is true."""
    return np.asarray(np.all(x, axis=_axes(axis, x.ndim), keepdims=keepdims))


def any(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """Whether some value over `axis` is true."""
    return np.asarray(np.any(x, axis=_axes(axis, x.ndim), keepdims=keepdims))


def moments(x: np.ndarray, axes=None, keepdims: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (the mean of (x - mean)^2, in two passes) of a float array over `axes`."""
    axes = _axes(axes, x.ndim)
    kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
    shape = _kept_shape(x.shape, axes) if keepdims else tuple(x.shape[axis] for axis in kept)
    wide = x.astype(np.float32) if x.dtype.itemsize < 4 else x
    if axes and axes == tuple(range(len(axes))):
        columns = wide.reshape(_count(x.shape, axes), _count(x.shape, kept))
        mean, variance = norm.batch_norm_stats(columns)
    else:
        rows = wide.transpose(kept + axes).reshape(_count(x.shape, kept), _count(x.shape, axes))
        mean, variance = norm.row_moments(rows)
    if wide is not x:
        mean, variance = mean.astype(x.dtype), variance.astype(x.dtype)
    return mean.reshape(shape), variance.reshape(shape)


def logsumexp(x: np.ndarray, axis=None, keepdims: bool = False) -> np.ndarray:
    """log(sum(e^x)) of a float array over `axis`, with the largest value taken out first."""
    axes = _axes(axis, x.ndim)
    largest = max(x, axes, keepdims=True)
    # Where all values are -inf (or one is inf) the shift would be inf - inf.
    shift = np.where(np.isfinite(largest), largest, x.dtype.type(0))
    scaled = np.subtract(x, shift, out=memory.empty(x.shape, x.dtype))
    np.exp(scaled, out=scaled)
    with np.errstate(divide="ignore"):
        y = np.log(sum(scaled, axes, keepdims=True)) + shift
    return y if keepdims else y.reshape([n for i, n in enumerate(x.shape) if i not in axes])


def cumsum(x: np.ndarray, axis: int | None = None, reverse: bool = False) -> np.ndarray:
    """Sums of x up to each place of `axis` (None: of the flat array); from the end if reverse."""
    return _accumulate(np.add, x, axis, reverse)


def cumprod(x: np.ndarray, axis: int | None = None, reverse: bool = False) -> np.ndarray:
    """Products of x up to each place of `axis` (None: flat array); from the end if reverse."""
    return _accumulate(np.multiply, x, axis, reverse)


def _accumulate(ufunc, x, axis, reverse):
    if axis is None:
        x, axis = x.reshape(-1), 0
    if x.dtype == bool:
        x = x.astype(np.int32)
    y = memory.empty(x.shape, x.dtype)
    if reverse:
        ufunc.accumulate(np.flip(x, axis), axis, dtype=x.dtype, out=np.flip(y, axis))
    else:
        ufunc.accumulate(x, axis, dtype=x.dtype, out=y)
    return y


def _wide_sum(x, settled, keepdims):
    axes, kept, shape, _, single = settled
    if single is None:
        return _float_sum(x, axes).reshape(kept if keepdims else shape)
    y = memory.empty(shape, x.dtype)
    np.add.reduce(np.asarray(x, order="C"), single, None, y)
    return y.reshape(kept) if keepdims else y


def _float_sum(x, axes):
    """Sum over `axes` without `keepdims`: trailing axes pairwise by NumPy, others in slabs."""
    x = np.asarray(x, order="C")  # ascontiguousarray would give a scalar an axis
    for axis in reversed(axes):
        tail = _count(x.shape, range(axis + 1, x.ndim))
        head = x.shape[:axis]
        if tail == 1:
            x = _reduce(np.add, x.reshape(*head, x.shape[axis]), (axis,), False).reshape(
                head + x.shape[axis + 1 :]
            )
        else:
            x = _sum_slabs(x, axis)
    return x


def _sum_slabs(x, axis):
    """Sum over an axis that is not the last: slabs of `_SLAB` rows, then the slabs' sums, ..."""
    while x.shape[axis] > _SLAB:
        n, (head, tail) = x.shape[axis], (x.shape[:axis], x.shape[axis + 1 :])
        whole = n // _SLAB * _SLAB
        parts = memory.empty((*head, -(-n // _SLAB), *tail), x.dtype)
        start = (slice(None),) * axis
        slabs = x[(*start, slice(0, whole))].reshape(*head, whole // _SLAB, _SLAB, *tail)
        np.add.reduce(slabs, axis=axis + 1, out=parts[(*start, slice(0, whole // _SLAB))])
        if whole < n:
            np.add.reduce(x[(*start, slice(whole, n))], axis=axis, out=parts[(*start, -1)])
        x = parts
    return _reduce(np.add, x, (axis,), False)


def _extremum(ufunc, x, axis, keepdims, largest):
    axes = _axes(axis, x.ndim)
    if _count(x.shape, axes) == 0:
        if x.dtype.kind in "iu":
            info = np.iinfo(x.dtype)
            start = info.max if largest else info.min
        else:
            start = largest if x.dtype == bool else (np.inf if largest else -np.inf)
        return np.asarray(ufunc.reduce(x, axis=axes, keepdims=keepdims, initial=start), x.dtype)
    return _reduce(ufunc, x, axes, keepdims)


def _reduce(ufunc, x, axes, keepdims):
    kept = _kept_shape(x.shape, axes)
    shape = kept if keepdims else tuple(n for i, n in enumerate(x.shape) if i not in axes)
    y = memory.empty(shape, x.dtype)
    ufunc.reduce(x, axis=axes, keepdims=keepdims, dtype=x.dtype, out=y)
    return y


def _axes(axis, rank):
    """`axis` as a sorted tuple of axes >= 0."""
    if axis is None:
        return tuple(range(rank))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else axis
    return tuple(sorted(int(a) % rank for a in axes))


def _kept_shape(shape, axes):
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _count(shape, axes):
    count = 1
    for axis in axes:
        count *= shape[axis]
    return count
