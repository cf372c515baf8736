"""Arrays moved, not computed: transposes, padding, joining, gathering, rolling, repeating.

NumPy moves them at the memory's speed; each result is fresh, contiguous and from the pool.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import between, memory

__all__ = [
    "broadcast_to",
    "concatenate",
    "contiguous",
    "flip",
    "pad",
    "repeat",
    "roll",
    "split",
    "stack",
    "take",
    "take_rows",
    "tile",
    "transpose",
]


def transpose(x: np.ndarray, axes: Sequence[int] | None = None) -> np.ndarray:
    """x with its axes in the order `axes` (None: reversed)."""
    return _copied(np.transpose(x, axes))


def broadcast_to(x: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """x stretched to `shape`."""
    return _copied(np.broadcast_to(x, shape))


def pad(
    x: np.ndarray, widths: Sequence[tuple[int, int]], value=0, mode: str = "constant"
) -> np.ndarray:
    """x with (before, after) more places on each axis: `value`, or NumPy's `mode` of filling."""
    if mode != "constant":
        return _copied(np.pad(x, widths, mode=mode))
    shape = [before + n + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    y = memory.empty(tuple(shape), x.dtype)
    y.fill(value)
    y[tuple(slice(b, b + n) for n, (b, _) in zip(x.shape, widths, strict=True))] = x
    return y


def concatenate(arrays: Sequence[np.ndarray], axis: int = 0) -> np.ndarray:
    """The arrays, all of one dtype, one after the other along `axis`."""
    first = arrays[0]
    shape = list(first.shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    y = memory.empty(tuple(shape), first.dtype)
    between.run(between.join, axis, y, *arrays)
    return y


def contiguous(x: np.ndarray) -> np.ndarray:
    """x itself where its values lie side by side, else a copy."""
    return x if x.flags.c_contiguous else _copied(x)


def split(x: np.ndarray, sizes: Sequence[int], axis: int = 0) -> list[np.ndarray]:
    """x cut along `axis` into pieces of `sizes`: the inverse of concatenate."""
    ends = np.cumsum(sizes)[:-1]
    return [_copied(piece) for piece in np.split(x, ends, axis)]


def stack(arrays: Sequence[np.ndarray], axis: int = 0) -> np.ndarray:
    """The arrays, all of one shape and dtype, along a new axis."""
    return concatenate([np.expand_dims(a, axis) for a in arrays], axis)


def take(x: np.ndarray, indices: np.ndarray, axis: int | None = None) -> np.ndarray:
    """x[indices] along `axis` (None: of the flat array); the indices are within [-n, n)."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis %= x.ndim
    shape = (*x.shape[:axis], *np.shape(indices), *x.shape[axis + 1 :])
    # Without an `out` in mode "raise" NumPy would buffer; the indices are ours and within bounds.
    return np.take(x, indices, axis, out=memory.empty(shape, x.dtype), mode="wrap")


def take_rows(table: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """table[indices] for a (rows, width) table: an embedding."""
    return take(table, indices, 0)


def roll(x: np.ndarray, shift, axis=None) -> np.ndarray:
    """x with its places moved on by `shift` along `axis`, the last ones to the front."""
    return _copied(np.roll(x, shift, axis))


def flip(x: np.ndarray, axis=None) -> np.ndarray:
    """x with `axis` (None: every axis) in reverse order."""
    return _copied(np.flip(x, axis))


def repeat(x: np.ndarray, repeats, axis: int | None = None) -> np.ndarray:
    """Each place of `axis` (None: of the flat array) `repeats` times in a row."""
    return np.repeat(x, repeats, axis)


def tile(x: np.ndarray, repeats: Sequence[int]) -> np.ndarray:
    """x laid side by side `repeats` times along each axis."""
    return _copied(np.tile(x, repeats))


def _copied(view):
    """A contiguous copy of a view, or the array itself where NumPy made a fresh one."""
    if view.base is None and view.flags.owndata and view.flags.c_contiguous:
        return view
    y = memory.empty(view.shape, view.dtype)
    between.run(between.copy, y, view)
    return y
