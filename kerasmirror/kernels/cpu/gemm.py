"""Matrix products and the dense layer's passes: which blocks, slices and slabs a product takes.

The plan of a product depends on its shape alone, and slabs are added in order: results do not
depend on the number of threads.
"""

import functools
import math

import numpy as np

from . import memory, threads
from .gemm_blocks import ROWS, add_slabs, gemm
from .launch import kernel, launch
from .simd import (
    VECTORS,
    WIDTH,
    lanes_of,
    tile_add,
    tile_load,
    tile_load_part,
    tile_store_part,
    tile_zero,
)

__all__ = ["bias_grad", "dense", "dense_grad_input", "dense_grad_kernel", "matmul"]

_LENGTH = 384  # k in a slice: a panel of b stays in the first cache, a block of a in the second
_BLOCK_TILES = 32  # rows of tiles
_BLOCK_PANELS = 32
_ITEMS = 8  # blocks wanted, so that several threads share the work evenly
_SLAB_DEPTH = 512  # k in a slab, at least
_SMALL = 1 << 18  # multiply-adds of a product that one block does

_NO_BIAS = {size: np.empty(0, f"f{size}") for size in (4, 8)}
_NO_SCRATCH = {size: np.empty((1, 0), f"f{size}") for size in (4, 8)}
_ONE_MATRIX = np.zeros((2, 1), np.int64)


def dense(x, w, bias=None, activation="linear"):
    """activation(x @ w + bias), activation "linear" or "relu"; x (M, K), w (K, N), bias (N,)."""
    m, k = x.shape
    return _product(x, w, m, w.shape[1], k, bias=bias, relu=activation == "relu")


def dense_grad_input(dy, w):
    """dy @ w.T: the gradient of dense in x; dy (M, N), w (K, N)."""
    m, n = dy.shape
    return _product(dy, w, m, w.shape[0], n, b_turned=True)


def dense_grad_kernel(x, dy):
    """x.T @ dy: the gradient of dense in w; x (M, K), dy (M, N)."""
    m, k = x.shape
    return _product(x, dy, k, dy.shape[1], m, a_turned=True)


def matmul(a, b):
    """a @ b over the last two axes; the axes before them broadcast."""
    m, k = a.shape[-2:]
    n = b.shape[-1]
    if a.ndim == 2 and b.ndim == 2:
        a, a_turned = _plain_or_turned(a)
        b, b_turned = _plain_or_turned(b)
        return _product(a, b, m, n, k, a_turned, b_turned)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if b.ndim == 2 and a.flags.c_contiguous:
        rows = math.prod(a.shape[:-1])
        b, b_turned = _plain_or_turned(b)
        y = _product(a.reshape(rows, k), b, rows, n, k, b_turned=b_turned)
        return y.reshape(*lead, m, n)
    places = np.stack([_matrix_places(a.shape, lead), _matrix_places(b.shape, lead)])
    a, a_turned = _plain_or_turned(a)
    b, b_turned = _plain_or_turned(b)
    a, b = (x.reshape(math.prod(x.shape[:-1]), x.shape[-1]) for x in (a, b))
    return _product(a, b, m, n, k, a_turned, b_turned, places=places).reshape(*lead, m, n)


def _matrix_places(shape, lead):
    """Where each matrix of a broadcast stack starts, in elements."""
    size = shape[-2] * shape[-1]
    own = np.arange(math.prod(shape[:-2]), dtype=np.int64).reshape(shape[:-2]) * size
    return np.ascontiguousarray(np.broadcast_to(own, lead)).reshape(-1)


def _plain_or_turned(x):
    """x as a contiguous array, with its last two axes exchanged (and True) where that is one."""
    if x.flags.c_contiguous:
        return x, False
    turned = x.swapaxes(-1, -2)
    if turned.flags.c_contiguous:
        return turned, True
    return np.ascontiguousarray(x), False


def _product(
    a, b, m, n, k, a_turned=False, b_turned=False, bias=None, relu=False, places=_ONE_MATRIX
):  # fmt: skip
    """c (matrices * M, N) = relu(a b + bias); a and b 2-D, a turned one with its axes exchanged."""
    size = a.itemsize
    batch = places.shape[1]
    c = memory.empty((batch * m, n), a.dtype)
    if not (batch and m and n and k):
        return _without_terms(c, bias, relu)
    if bias is None:
        bias = _NO_BIAS[size]
    if not a.flags.c_contiguous:
        a = np.ascontiguousarray(a)
    if not b.flags.c_contiguous:
        b = np.ascontiguousarray(b)
    items, chunk, slabs, packed, *numbers = _plan(m, n, k, batch, size, a_turned, b_turned, relu)
    scratch = threads.scratch(packed, a.dtype) if packed else _NO_SCRATCH[size]
    none = _NO_BIAS[size]
    if slabs == 1:
        launch(gemm, items, chunk, a, b, bias, c, none, scratch, places, *numbers)
        return c
    parts = memory.empty((slabs * batch * m, n), a.dtype)
    launch(gemm, items, chunk, a, b, none, parts, none, scratch, places, *numbers)
    sizes = (m * n * batch, n, slabs, int(relu))
    chunk = threads.chunk_of(n * slabs)
    launch(add_slabs, batch * m, chunk, parts.reshape(-1), bias, c.reshape(-1), sizes)
    return c


def _without_terms(c, bias, relu):
    c[...] = 0 if bias is None else bias
    return np.maximum(c, 0, out=c) if relu else c


@functools.lru_cache(maxsize=1024)
def _plan(m, n, k, batch, itemsize, a_turned, b_turned, relu):
    """(items, chunk, slabs, elements of scratch, shape, strides, blocks, flags)."""
    width = WIDTH[itemsize]
    wanted = 1 if m * n * k <= _SMALL else -(-_ITEMS // batch)
    tiles, panels = -(-m // ROWS), -(-n // width)
    row_tiles, column_panels = min(tiles, _BLOCK_TILES), min(panels, _BLOCK_PANELS)
    slabs = 1
    if k >= wanted * _SLAB_DEPTH and 2 * wanted * m * n <= k * (m + n):
        slabs = wanted  # a and b are read once, and the slabs are small beside them
    elif a_turned:  # a block that packs its part of a uses it for all columns
        row_tiles = _share(tiles, row_tiles, wanted // -(-panels // column_panels))
        column_panels = _share(panels, column_panels, wanted // -(-tiles // row_tiles))
    else:
        column_panels = _share(panels, column_panels, wanted // -(-tiles // row_tiles))
        blocks = -(-tiles // row_tiles) * -(-panels // column_panels)
        if blocks <= wanted // 2:
            slabs = max(1, min(wanted // blocks, k // _SLAB_DEPTH))
            row_tiles = _share(tiles, row_tiles, wanted * -(-tiles // row_tiles) // blocks // slabs)
    rows, columns = row_tiles * ROWS, column_panels * width
    depth = -(-k // slabs)
    slabs = -(-k // depth)
    length = _even(depth, _LENGTH)
    strides = ((1, m) if a_turned else (k, 1)) + ((1, k) if b_turned else (n, 1))
    pack = m < ROWS or (a_turned and panels >= 4 and _evicts(m * itemsize, length))
    return (
        slabs * batch * -(-m // rows) * -(-n // columns),
        threads.chunk_of(2 * rows * columns * depth // 16),
        slabs,
        (rows + ROWS) * length if pack else 0,
        (m, n, k),
        strides,
        (rows, columns, depth, length),
        (int(pack), int(relu and slabs == 1)),
    )


def _share(units, at_most, blocks):
    """How many of `units` a block has, for about `blocks` blocks; not more than `at_most`."""
    return max(1, min(at_most, units // max(1, blocks)))


def _evicts(stride, count):
    """Whether `count` lines, `stride` bytes apart, take over half of their sets' first cache."""
    return count > 4 * (64 // math.gcd(64, stride // 64)) if stride % 64 == 0 else False


def _even(total, at_most):
    """The size of equal parts of `total`, of `at_most` or less each."""
    return -(-total // -(-total // at_most))


def bias_grad(dy):
    """Sum of dy over all axes but the last."""
    columns = dy.shape[-1]
    dy = np.ascontiguousarray(dy).reshape(math.prod(dy.shape[:-1]), columns)
    out = memory.zeros((columns,), dy.dtype)
    rows = dy.shape[0]
    if rows == 0 or columns == 0:
        return out
    slabs = max(1, min(32, rows * columns // threads.GRAIN))
    parts = memory.empty((slabs, columns), dy.dtype)
    height = -(-rows // slabs)
    launch(_column_sums, slabs, threads.chunk_of(height * columns), dy, parts, height)
    if slabs > 1:
        launch(_column_sums, 1, 1, parts, out.reshape(1, -1), slabs)
        return out
    return parts.reshape(-1)


@kernel
def _column_sums(lo, hi, thread, x, out, height):
    # One item is one slab of rows.
    columns = x.shape[1]
    width = VECTORS * lanes_of(x)
    for slab in range(lo, hi):
        top, bottom = slab * height, min(x.shape[0], slab * height + height)
        for j in range(0, columns, width):
            # Two sums, of alternating rows: one alone would wait for its own addition.
            t, u = tile_zero(x, 1, VECTORS), tile_zero(x, 1, VECTORS)
            if j + width <= columns:
                for i in range(top, bottom - 1, 2):
                    t = tile_add(t, tile_load(t, x, i * columns + j, 0))
                    u = tile_add(u, tile_load(u, x, (i + 1) * columns + j, 0))
                if (bottom - top) % 2 == 1:
                    t = tile_add(t, tile_load(t, x, (bottom - 1) * columns + j, 0))
            else:
                for i in range(top, bottom):
                    t = tile_add(t, tile_load_part(t, x, i * columns + j, 0, 1, columns - j))
            tile_store_part(tile_add(t, u), out, slab * columns + j, 0, 0, 1, columns - j)
