"""The gradient of reading rows of a table: rows added at their places, in the indices' order."""

from __future__ import annotations

import numpy as np

from . import memory, runs
from .casting import as_dtype, cast

__all__ = ["scatter_add_rows"]


def scatter_add_rows(dy, indices, rows):
    """(rows, width) zeros with each row of dy added at its index: the gradient of take_rows.

    Shapes: dy (n, width), indices of n whole numbers within [-rows, rows).
    """
    width = dy.shape[-1]
    single = np.dtype(np.float32)
    wide = as_dtype(dy, single) if dy.dtype.name in ("float16", "bfloat16") else dy
    table = memory.zeros((rows, width), wide.dtype)
    places = runs.flat_places([indices], [rows])
    runs.put(table, places, wide, rows, width, "add")
    return table if wide is dy else cast(table, dy.dtype)
