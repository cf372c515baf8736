"""Values put at places, several of them perhaps at one: always in the order of the places.

The places are sorted (stably); the first of a run of equal ones has a thread for each value of a
row, which takes all of the run in order. So no two threads write one element, no result depends on
chance, and additions come in the order of the CPU's.
"""

from __future__ import annotations

import math

import numpy as np
from numba import int32

from . import memory
from .indices import add32, grid_index, mul32, quotient
from .kernel import kernel
from .launch import blocks_for, launch
from .movement import broadcast_to, index_array, nothing_there
from .sort import order_of
from .strided import words

__all__ = []

MODES = {"add": 1, "max": 2, "min": 3, "mul": 4}


@kernel("I* i4* i4 i4 i4", I="i4 i8", traffic="r rw 0f")
def _flat_places(indices, y, size, n, keeps):
    # Of several index arrays one after the other: y = y * n + index, from the end where negative.
    i = grid_index()
    if i < size:
        at = indices[i]
        if at < 0:
            at += n
        if at < 0 or at >= n:  # nothing beside the array is ever touched
            at = (at % n + n) % n
        y[i] = add32(mul32(y[i], n), at) if keeps != 0 else int32(at)


def flat_places(arrays, sizes):
    """One int32 index for axes of `sizes` as one axis, of index arrays that broadcast."""
    arrays = [index_array(a) for a in arrays]
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    y = memory.empty(shape, np.int32)
    for i, (a, n) in enumerate(zip(arrays, sizes, strict=True)):
        a = a if a.shape == shape else broadcast_to(a, shape)
        if y.size and not n:
            raise nothing_there(i)
        launch(_flat_places, blocks_for(y.size), a, y, y.size, n, int(i > 0))
    return y


_ROWS = "i4 i4 i4 i4"  # size, count, n, inner


@kernel(f"u4* i4* T* T* {_ROWS} i4", T="f4 f8 i4 i8", traffic="r r r rw 1f")
def _combine(keys, order, values, y, size, count, n, inner, mode):
    i = grid_index()
    if i < size:
        row = quotient(i, inner)
        c = add32(i, mul32(row, -inner))
        outer = quotient(row, count)
        s = add32(row, mul32(outer, -count))
        key = keys[s]
        if s == 0 or keys[s - 1] != key:
            at = add32(mul32(outer, n), int32(key ^ 0x80000000))
            place = add32(mul32(at, inner), c)
            total = y[place]
            start = mul32(outer, count)
            while s < count and keys[s] == key:
                v = values[add32(mul32(add32(start, order[s]), inner), c)]
                if mode == 1:
                    total += v
                elif mode == 2:
                    total = total if total > v or total != total else v
                elif mode == 3:
                    total = total if total < v or total != total else v
                else:
                    total *= v
                s = add32(s, 1)
            y[place] = total


@kernel(f"u4* i4* T* T* {_ROWS}", T="u1 u2 u4 u8", traffic="r2 r r w 0f")
def _put_last(keys, order, values, y, size, count, n, inner):
    i = grid_index()
    if i < size:
        row = quotient(i, inner)
        c = add32(i, mul32(row, -inner))
        outer = quotient(row, count)
        s = add32(row, mul32(outer, -count))
        key = keys[s]
        if s == count - 1 or keys[s + 1] != key:
            at = add32(mul32(outer, n), int32(key ^ 0x80000000))
            source = add32(mul32(outer, count), order[s])
            y[add32(mul32(at, inner), c)] = values[add32(mul32(source, inner), c)]


def put(y, places, values, n, inner, reduction=None):
    """Put values (outer, places, inner) into y (outer, n, inner), in place.

    Args: `places` int32 from 0 to n - 1; `reduction` one of MODES, or None: the last value stays.
    """
    count = places.size
    if not count or not values.size:
        return
    order = order_of(places.reshape(count))
    sizes = values.size, count, n, inner
    blocks = blocks_for(values.size)
    if reduction is None:
        launch(_put_last, blocks, order.keys, order.places, words(values), words(y), *sizes)
    else:
        mode = MODES[reduction]
        launch(_combine, blocks, order.keys, order.places, values, y, *sizes, mode)


@kernel("i4* i4", traffic="w 0f")
def _count_up(y, n):
    i = grid_index()
    if i < n:
        y[i] = i


def numbered(shape):
    """The int32 numbers from 0 on in the order of the memory."""
    y = memory.empty(tuple(shape), np.int32)
    launch(_count_up, blocks_for(y.size), y, math.prod(shape))
    return y
