"""Activations with kernels of their own: relu and its gradient."""

import math

import numpy as np

from . import gemm, memory, threads
from .launch import inlined, kernel, launch
from .simd import (
    clear,
    lanes_of,
    tile_add,
    tile_fill,
    tile_load,
    tile_load_part,
    tile_mul,
    tile_store,
    tile_store_part,
    tile_where_positive,
    tile_zero,
)

__all__ = ["relu", "relu_grad", "relu_grad_sums"]

_SLABS = 64


def relu(x):
    """max(x, 0), of x's shape; what is not a number stays so."""
    x = np.ascontiguousarray(x)
    y = memory.empty(x.shape, x.dtype)
    launch(_relu, x.size, threads.GRAIN, x.reshape(-1), y.reshape(-1))
    return y


@kernel
def _relu(lo, hi, thread, x, y):
    x, y = x[lo:hi], y[lo:hi]  # from 0 on: an index known to be no negative number vectorizes
    zero = x.dtype.type(0)
    for i in range(x.size):
        y[i] = zero if x[i] < zero else x[i]


def relu_grad(dy, y):
    """dy where y > 0, else 0; y is the result of relu (or its argument)."""
    dy, y = np.ascontiguousarray(dy), np.ascontiguousarray(y)
    dx = memory.empty(y.shape, y.dtype)
    launch(_relu_grad, y.size, threads.GRAIN, dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
    return dx


@kernel
def _relu_grad(lo, hi, thread, dy, y, dx):
    dy, y, dx = dy[lo:hi], y[lo:hi], dx[lo:hi]
    zero = y.dtype.type(0)
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > zero else zero


def relu_grad_sums(dy, y, scale=1.0):
    """(scale * dy where y > 0, else 0, and its sum over all axes but the last), in one pass.

    y is the result of relu, or of dropout of it, whose factor for what is kept is `scale`.
    """
    dy, y = np.ascontiguousarray(dy), np.ascontiguousarray(y)
    columns = y.shape[-1]
    rows = math.prod(y.shape[:-1])
    dx = memory.empty(y.shape, y.dtype)
    if not y.size:
        return dx, memory.zeros((columns,), y.dtype)
    # Sums of slabs, added in order: no result depends on the number of threads.
    slabs = max(1, min(_SLABS, y.size // threads.GRAIN))
    sums = memory.empty((slabs, columns), y.dtype)
    shape = (rows, columns)
    arrays = dy.reshape(shape), y.reshape(shape), dx.reshape(shape)
    launch(_relu_grad_sums, slabs, 1, *arrays, sums, float(scale))
    return dx, sums.reshape(-1) if slabs == 1 else gemm.bias_grad(sums)


@inlined
def _masked(dy, y, dx, at, factor):
    """A vector of dx, stored."""
    t = tile_mul(tile_load(factor, dy, at, 0), factor)
    t = tile_where_positive(t, tile_load(factor, y, at, 0))
    tile_store(t, dx, at, 0)
    return t


@inlined
def _masked_part(dy, y, dx, at, factor, present):
    """The same for the columns, fewer than a vector's, at the right."""
    t = tile_mul(tile_load_part(factor, dy, at, 0, 1, present), factor)
    t = tile_where_positive(t, tile_load_part(factor, y, at, 0, 1, present))
    tile_store_part(t, dx, at, 0, 0, 1, present)
    return t


@kernel
def _relu_grad_sums(lo, hi, thread, dy, y, dx, sums, scale):
    rows, columns = y.shape
    lanes = lanes_of(y)
    whole = columns // lanes * lanes
    factor = tile_fill(tile_zero(y, 1, 1), y.dtype.type(scale))
    for slab in range(lo, hi):  # one item owns one row of sums, and the rows of its slab
        to = slab * columns
        clear(sums, to, columns)
        row, last = slab * rows // sums.shape[0], (slab + 1) * rows // sums.shape[0]
        while row < last:
            # Four rows, where there are, for one addition to the sums, which wait for each other.
            four = row + 4 <= last
            for c in range(0, whole, lanes):
                at = row * columns + c
                total = tile_add(tile_load(factor, sums, to + c, 0), _masked(dy, y, dx, at, factor))
                if four:
                    t = _masked(dy, y, dx, at + columns, factor)
                    u = _masked(dy, y, dx, at + 2 * columns, factor)
                    v = _masked(dy, y, dx, at + 3 * columns, factor)
                    total = tile_add(total, tile_add(t, tile_add(u, v)))
                tile_store(total, sums, to + c, 0)
            if whole < columns:
                rest = columns - whole
                total = tile_load_part(factor, sums, to + whole, 0, 1, rest)
                for i in range(row, row + 4 if four else row + 1):
                    t = _masked_part(dy, y, dx, i * columns + whole, factor, rest)
                    total = tile_add(total, t)
                tile_store_part(total, sums, to + whole, 0, 0, 1, rest)
            row += 4 if four else 1
