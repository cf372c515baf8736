"""Order of values along the last axis: sort, argsort, top_k, searchsorted.

Sorting is stable, and NaN counts as larger than every number: values become whole numbers of the
same order, which a bitonic network sorts together with their positions. Blocks sort pieces of 1024
in shared memory; only the steps over longer distances go through the card's.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import cuda, int32, types, uint32, uint64
from numba.cuda.extending import intrinsic

from . import memory, strided
from .array import DeviceArray
from .casting import as_dtype
from .half import bits_of_float
from .indices import add32, grid_index, mul32, quotient
from .kernel import inlined, kernel
from .launch import blocks_for, launch
from .movement import contiguous

__all__ = ["argsort", "searchsorted", "sort", "top_k"]

_PIECE = 1024
_LAST = {"u4": 0xFFFFFFFF, "u8": 0xFFFFFFFFFFFFFFFF}
_KEYS = {"f4": "u4", "i4": "u4", "u1": "u4", "f8": "u8", "i8": "u8"}


# --- keys -----------------------------------------------------------------------------------


@intrinsic
def _bits_of_double(typing_context, value):
    def generate(context, builder, signature, args):
        return builder.bitcast(args[0], ir.IntType(64))

    return types.uint64(types.float64), generate


@inlined
def _key_of_single(x):
    if x != x:
        return uint32(0xFFFFFFFF)
    bits = bits_of_float(x + type(x)(0))  # -0 and 0 are equal
    return uint32(~bits) if bits & uint32(0x80000000) else uint32(bits | uint32(0x80000000))


@inlined
def _key_of_double(x):
    if x != x:
        return uint64(0xFFFFFFFFFFFFFFFF)
    bits = _bits_of_double(x + type(x)(0))
    sign = uint64(0x8000000000000000)
    return uint64(~bits) if bits & sign else uint64(bits | sign)


@inlined
def _key_of_int(x):
    return uint32(uint32(x) ^ uint32(0x80000000))


@inlined
def _key_of_long(x):
    return uint64(uint64(x) ^ uint64(0x8000000000000000))


@inlined
def _key_of_byte(x):
    return uint32(x)


def _key_kernel(code, key_of):
    last = {"u4": uint32, "u8": uint64}[_KEYS[code]]
    largest = np.dtype(_KEYS[code]).type(_LAST[_KEYS[code]])

    def keys_of(x, keys, order, size, n, length, descending):
        i = grid_index()
        if i < size:
            row = quotient(i, length)
            c = add32(i, mul32(row, -length))
            order[i] = c
            key = largest
            if c < n:
                key = key_of(x[add32(mul32(row, n), c)])
                if descending != 0:
                    key = last(~key)
            keys[i] = key

    keys_of.__name__ = f"_keys_of_{code}"
    return kernel(f"{code}* {_KEYS[code]}* i4* i4 i4 i4 i4", traffic="r w w 0f")(keys_of)


_KEY_KERNELS = {
    code: _key_kernel(code, key_of)
    for code, key_of in {
        "f4": _key_of_single,
        "f8": _key_of_double,
        "i4": _key_of_int,
        "i8": _key_of_long,
        "u1": _key_of_byte,
    }.items()
}


# --- the network ----------------------------------------------------------------------------


def _piece_kernel(code):
    word = {"u4": uint32, "u8": uint64}[code]

    def sort_pieces(keys, order, size, length, first, last):
        held = cuda.shared.array(1024, word)
        places = cuda.shared.array(1024, int32)
        t = cuda.threadIdx.x
        start = mul32(cuda.blockIdx.x, 1024)
        for half in range(2):
            at = add32(t, 512 * half)
            if add32(start, at) < size:
                held[at] = keys[add32(start, at)]
                places[at] = order[add32(start, at)]
            else:
                held[at] = word(0)  # beyond the last row, and never stored
                places[at] = int32(0)
        cuda.syncthreads()
        k = first
        while k <= last:
            j = min(k >> 1, 512)
            while j > 0:
                low = ((t & ~(j - 1)) << 1) | (t & (j - 1))
                high = low + j
                up = ((start + low) & (length - 1) & k) == 0
                a, b, pa, pb = held[low], held[high], places[low], places[high]
                if (a > b or (a == b and pa > pb)) == up:
                    held[low], held[high], places[low], places[high] = b, a, pb, pa
                cuda.syncthreads()
                j >>= 1
            k <<= 1
        for half in range(2):
            at = add32(t, 512 * half)
            if add32(start, at) < size:
                keys[add32(start, at)] = held[at]
                order[add32(start, at)] = places[at]

    sort_pieces.__name__ = f"_sort_pieces_{code}"
    return kernel(f"{code}* i4* i4 i4 i4 i4", block=512, traffic="rw rw 0f")(sort_pieces)


_PIECE_KERNELS = {code: _piece_kernel(code) for code in ("u4", "u8")}


@kernel("K* i4* i4 i4 i4 i4", K="u4 u8", traffic="2rw 2rw 0f")
def _sort_step(keys, order, pairs, length, k, j):
    t = grid_index()
    if t < pairs:
        low = ((t & ~(j - 1)) << 1) | (t & (j - 1))
        high = low + j
        up = (low & (length - 1) & k) == 0
        a, b, pa, pb = keys[low], keys[high], order[low], order[high]
        if (a > b or (a == b and pa > pb)) == up:
            keys[low] = b
            keys[high] = a
            order[low] = pb
            order[high] = pa


class Order(NamedTuple):
    """Sorted rows: keys, and positions in the row, both with `length` places for each row."""

    keys: DeviceArray
    places: DeviceArray
    length: int


def order_of(x, descending=False):
    """The Order of the last axis of x; the first x.shape[-1] places of each row count."""
    x = _with_key(x)
    n = x.shape[-1]
    rows = x.size // n
    length = 1 << max(1, (n - 1).bit_length())
    size = rows * length
    code = _KEYS[x.code]
    keys = memory.empty((size,), np.dtype(code))
    places = memory.empty((size,), np.int32)
    keyed = _KEY_KERNELS[x.code]
    launch(keyed, blocks_for(size), x, keys, places, size, n, length, int(descending))
    pieces, in_pieces = blocks_for(size, _PIECE), _PIECE_KERNELS[code]
    launch(in_pieces, pieces, keys, places, size, length, 2, min(length, _PIECE))
    k = 2 * _PIECE
    while k <= length:
        j = k // 2
        while j >= _PIECE:
            launch(_sort_step, blocks_for(size // 2), keys, places, size // 2, length, k, j)
            j //= 2
        launch(in_pieces, pieces, keys, places, size, length, k, k)
        k *= 2
    return Order(keys, places, length)


def _with_key(x):
    if x.dtype.name in ("float16", "bfloat16"):
        return as_dtype(x, np.dtype(np.float32))
    if x.code in _KEYS:
        return x
    return as_dtype(x, np.dtype(np.int64 if x.dtype.itemsize >= 4 else np.int32))


# --- what is asked for ----------------------------------------------------------------------


@kernel("T* i4* T* i4 i4 i4 i4", T="u1 u2 u4 u8", traffic="r r w 0f")
def _in_order(x, places, y, size, n, length, count):
    i = grid_index()
    if i < size:
        row = quotient(i, count)
        c = add32(i, mul32(row, -count))
        y[i] = x[add32(mul32(row, n), places[add32(mul32(row, length), c)])]


@kernel("i4* i4* i4 i4 i4", traffic="r w 0f")
def _first_places(places, y, size, length, count):
    i = grid_index()
    if i < size:
        row = quotient(i, count)
        y[i] = places[add32(mul32(row, length), add32(i, mul32(row, -count)))]


def _values(x, order, count):
    y = memory.empty((*x.shape[:-1], count), x.dtype)
    sizes = y.size, x.shape[-1], order.length, count
    words = strided.words
    launch(_in_order, blocks_for(y.size), words(x), order.places, words(y), *sizes)
    return y


def _positions(x, order, count):
    y = memory.empty((*x.shape[:-1], count), np.int32)
    launch(_first_places, blocks_for(y.size), order.places, y, y.size, order.length, count)
    return y


def sort(x):
    """x with its values in ascending order along the last axis."""
    if not x.size:
        return memory.empty(x.shape, x.dtype)
    return _values(x, order_of(x), x.shape[-1])


def argsort(x):
    """Positions (int32) along the last axis that put x in ascending order; ties stay in order."""
    if not x.size:
        return memory.empty(x.shape, np.int32)
    return _positions(x, order_of(x), x.shape[-1])


def top_k(x, k):
    """The k largest values along the last axis, largest first, and their positions (int32).

    Of equal values the one with the lower position comes first, as in TensorFlow.
    """
    count = min(k, x.shape[-1])
    if not x.size or not count:
        shape = (*x.shape[:-1], count)
        return memory.empty(shape, x.dtype), memory.empty(shape, np.int32)
    order = order_of(x, descending=True)
    return _values(x, order, count), _positions(x, order, count)


@inlined
def _before(a, b):
    """Whether a is less than b; NaN is the largest."""
    return a < b or (b != b and a == a)


@kernel("T* T* i4* i4 i4 i4", T="f4 f8 i4 i8", traffic="- r w 10f")
def _search(edges, values, y, size, n, right):
    i = grid_index()
    if i < size:
        v = values[i]
        low, high = int32(0), n
        while low < high:
            middle = (low + high) >> 1
            edge = edges[middle]
            goes_on = not _before(v, edge) if right != 0 else _before(edge, v)
            if goes_on:
                low = int32(middle + 1)
            else:
                high = int32(middle)
        y[i] = low


def searchsorted(edges, values, side="left"):
    """Where in the ascending `edges` each value belongs (int32), before or after its equals."""
    dtype = np.result_type(edges.dtype, values.dtype)
    if dtype.name in ("float16", "bfloat16"):
        dtype = np.dtype(np.float32)
    elif dtype.kind in "biu":
        dtype = np.dtype(np.int32 if dtype.itemsize < 4 or dtype == np.int32 else np.int64)
    edges, values = as_dtype(contiguous(edges), dtype), as_dtype(contiguous(values), dtype)
    y = memory.empty(values.shape, np.int32)
    right = int(side == "right")
    launch(_search, blocks_for(y.size), edges, values, y, y.size, math.prod(edges.shape), right)
    return y
