"""Places repeated along an axis, and their gradient: sums of neighbours."""

from __future__ import annotations

import math

import numpy as np

from . import memory, movement
from .casting import as_dtype, cast
from .indices import add32, grid_index, mul32, quotient
from .kernel import kernel
from .launch import blocks_for, launch

__all__ = ["repeat_places", "repeat_places_grad_input"]


def repeat_places(x, axis, count):
    """x with each place of `axis` `count` times in a row."""
    return movement.repeat(x, count, axis)


def repeat_places_grad_input(dy, axis, count):
    """The sums of each `count` places of dy that come from one place."""
    if dy.dtype.name in ("float16", "bfloat16"):
        single = as_dtype(dy, np.dtype(np.float32))
        return cast(repeat_places_grad_input(single, axis, count), dy.dtype)
    shape = (*dy.shape[:axis], dy.shape[axis] // count, *dy.shape[axis + 1 :])
    dx = memory.empty(shape, dy.dtype)
    inner = math.prod(shape[axis + 1 :])
    launch(_sum_neighbours, blocks_for(dx.size), dy, dx, dx.size, count, inner)
    return dx


@kernel("T* T* i4 i4 i4", T="f4 f8", traffic="4r w 3f")
def _sum_neighbours(dy, dx, size, count, inner):
    i = grid_index()
    if i < size:
        row = quotient(i, inner)
        at = add32(mul32(mul32(row, count), inner), add32(i, mul32(row, -inner)))
        total = dy[at]
        k = 1
        while k < count:
            at = add32(at, inner)
            total += dy[at]
            k += 1
        dx[i] = total
