"""Values put at places, several of them perhaps at one: always in the order of the places.

The places are sorted (stably); the first of a run of equal ones has a thread for each value of a
row, which takes all of the run in order. So no two threads write one element, no result depends on
chance, and additions come in the order of the CPU's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import int32

from . import memory
from .indices import Divisor, add32, divisor, grid_index, mul32, wrapped
from .kernel import inlined, kernel
from .launch import blocks_for, launch
from .movement import broadcast_to, index_array, nothing_there
from .rows import Rows, place_in, place_of_row, row_and_column, rows
from .sort import order_of
from .strided import words

__all__ = []

MODES = {"add": 1, "max": 2, "min": 3, "mul": 4}


class _Axis(NamedTuple):
    n: int
    by_n: Divisor


@kernel("I* i4* i4 A i4", I="i4 i8", A=_Axis, traffic="r rw 0f")
def _flat_places(indices, y, size, axis, keeps):
    # Of several index arrays one after the other: y = y * n + index, from the end where negative.
    i = grid_index()
    if i < size:
        at = wrapped(indices[i], axis.n, axis.by_n)
        y[i] = add32(mul32(y[i], axis.n), at) if keeps != 0 else at


def flat_places(arrays, sizes):
    """One int32 index for axes of `sizes` as one axis, of index arrays that broadcast."""
    arrays = [index_array(a) for a in arrays]
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    y = memory.empty(shape, np.int32)
    for i, (a, n) in enumerate(zip(arrays, sizes, strict=True)):
        a = a if a.shape == shape else broadcast_to(a, shape)
        if y.size and not n:
            raise nothing_there(i)
        launch(_flat_places, blocks_for(y.size), a, y, y.size, n, *divisor(n), int(i > 0))
    return y


@inlined
def _place_of_key(key):
    return int32(key ^ 0x80000000)


@kernel("u4* i4* T* T* R i4", T="f4 f8 i4 i8", R=Rows, traffic="r r r rw 1f")
def _combine(keys, order, values, y, r, mode):
    i = grid_index()
    if i < r.size:
        outer, s, c = row_and_column(i, r)
        key = keys[s]
        if s == 0 or keys[s - 1] != key:
            place = place_in(outer, _place_of_key(key), c, r)
            total = y[place]
            while s < r.count and keys[s] == key:
                v = values[place_of_row(outer, order[s], c, r)]
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


@kernel("u4* i4* T* T* R", T="u1 u2 u4 u8", R=Rows, traffic="r2 r r w 0f")
def _put_last(keys, order, values, y, r):
    i = grid_index()
    if i < r.size:
        outer, s, c = row_and_column(i, r)
        key = keys[s]
        if s == r.count - 1 or keys[s + 1] != key:
            place = place_in(outer, _place_of_key(key), c, r)
            y[place] = values[place_of_row(outer, order[s], c, r)]


def put(y, places, values, n, inner, reduction=None):
    """Put values (outer, places, inner) into y (outer, n, inner), in place.

    Args: `places` int32 from 0 to n - 1; `reduction` one of MODES, or None: the last value stays.
    """
    count = places.size
    if not count or not values.size:
        return
    order = order_of(places.reshape(count))
    r = rows(values.size, n, count, inner)
    blocks = blocks_for(values.size)
    if reduction is None:
        launch(_put_last, blocks, order.keys, order.places, words(values), words(y), *r)
    else:
        mode = MODES[reduction]
        launch(_combine, blocks, order.keys, order.places, values, y, *r, mode)


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
