"""The gradient of reading rows of a table: rows added at their places.

Threads own columns of the table, never rows: each adds its part of every row in the order of the
indices, so that sums never change, and frequent indices (words) are no more work for one than for
another.
"""

from __future__ import annotations

import numpy as np

from . import memory, threads
from .launch import kernel, launch

__all__ = ["scatter_add_rows"]

# Values of a row that a thread owns at least: two cache lines of float32.
_COLUMNS = 32


def scatter_add_rows(dy: np.ndarray, indices: np.ndarray, rows: int) -> np.ndarray:
    """(rows, width) zeros with each row of dy added at its index: the gradient of take_rows.

    Shapes: dy (n, width), indices of n whole numbers within [-rows, rows).
    """
    width = dy.shape[-1]
    places = np.ascontiguousarray(indices).reshape(-1)
    if dy.dtype not in (np.float32, np.float64):
        return _added_without_kernel(dy, places, rows)
    table = memory.zeros((rows, width), dy.dtype)
    dy = np.ascontiguousarray(dy).reshape(-1, width)
    parts = max(1, width // _COLUMNS)
    chunk = threads.chunk_of(places.size * _COLUMNS)
    if places.dtype not in (np.int32, np.int64):
        places = places.astype(np.int64)
    launch(_add_rows, parts, chunk, dy, places, table, parts)
    return table


def _added_without_kernel(dy, places, rows):
    table = memory.zeros((rows, dy.shape[-1]), dy.dtype)
    np.add.at(table, places, dy.reshape(-1, dy.shape[-1]))
    return table


@kernel
def _add_rows(lo, hi, thread, dy, places, table, parts):
    rows, width = table.shape
    first = lo * width // parts
    last = hi * width // parts
    for i in range(places.size):
        place = np.int64(places[i])
        if place < 0:
            place += rows
        row, drow = table[place], dy[i]
        for c in range(first, last):
            row[c] += drow[c]
