"""Places repeated along an axis, and their gradient: sums of neighbours.

x is (outer, n, inner): the axis in the middle, all before and behind it as one each.
"""

from __future__ import annotations

import numpy as np

from . import memory, threads
from .launch import kernel, launch

__all__ = ["repeat_places", "repeat_places_grad_input"]


def repeat_places(x: np.ndarray, axis: int, count: int) -> np.ndarray:
    """x with each place of `axis` `count` times in a row."""
    shape = (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :])
    rows = np.ascontiguousarray(x).reshape(_rows(x.shape, axis))
    y = memory.empty((rows.shape[0] * count, rows.shape[1]), x.dtype)
    if x.dtype in (np.float32, np.float64):
        launch(_repeat, rows.shape[0], threads.chunk_of(count * rows.shape[1]), rows, y, count)
    else:
        y.reshape(rows.shape[0], count, -1)[...] = rows[:, None]
    return y.reshape(shape)


def repeat_places_grad_input(dy: np.ndarray, axis: int, count: int) -> np.ndarray:
    """The sums of each `count` places of dy that come from one place."""
    shape = (*dy.shape[:axis], dy.shape[axis] // count, *dy.shape[axis + 1 :])
    drows = np.ascontiguousarray(dy).reshape(_rows(dy.shape, axis))
    if dy.dtype not in (np.float32, np.float64):
        return drows.reshape(-1, count, drows.shape[1]).sum(1).astype(dy.dtype).reshape(shape)
    dx = memory.empty((drows.shape[0] // count, drows.shape[1]), dy.dtype)
    launch(_sum_neighbours, dx.shape[0], threads.chunk_of(count * dx.shape[1]), drows, dx, count)
    return dx.reshape(shape)


def _rows(shape, axis):
    """A place of the axis and all behind it is a row: the number of rows, and their length."""
    rows, length = 1, 1
    for n in shape[: axis + 1]:
        rows *= n
    for n in shape[axis + 1 :]:
        length *= n
    return rows, length


@kernel
def _repeat(lo, hi, thread, x, y, count):
    for n in range(lo, hi):
        row = x[n]
        for i in range(count):
            out = y[n * count + i]
            for c in range(row.size):
                out[c] = row[c]


@kernel
def _sum_neighbours(lo, hi, thread, dy, dx, count):
    for n in range(lo, hi):
        out, first = dx[n], dy[n * count]
        for c in range(out.size):
            out[c] = first[c]
        for i in range(1, count):
            drow = dy[n * count + i]
            for c in range(out.size):
                out[c] += drow[c]
