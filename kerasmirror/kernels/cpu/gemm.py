"""Matrix products and the dense layer's passes: which blocks, slices and slabs a product takes.

The plan of a product depends on its shape alone, and slabs are added in order: results do not
depend on the number of threads.
"""

import functools
import math

import numpy as np

from . import memory, threads
from .gemm_blocks import ROWS, add_slabs, gemm
from .gemm_vector import STRIP, SUM_STRIP, column_sums, row_product
from .launch import launch
from .simd import VECTORS, WIDTH

__all__ = [
    "bias_grad",
    "dense",
    "dense_grad_input",
    "dense_grad_kernel",
    "dense_grad_kernel_bias",
    "matmul",
]

_LENGTH = 800  # k in a slice: a panel of b and a block of a stay in the second cache
_BLOCK_TILES = 24  # rows of tiles
_BLOCK_PANELS = 32
_ITEMS = 8  # blocks wanted, so that several threads share the work evenly
_SLAB_DEPTH = 256  # k in a slab, at least
_GRAIN = 1 << 17  # multiply-adds that are worth handing to a thread
_SUM_ROWS = 256
_SUM_SLABS = 32
_ROW_SLAB = 1 << 17  # elements of a matrix in a slab of a row's product, at least

_NO_BIAS = {size: np.empty(0, f"f{size}") for size in (4, 8)}
_NO_SCRATCH = {size: np.empty((1, 0), f"f{size}") for size in (4, 8)}
_ONE_MATRIX = np.zeros((2, 1), np.int64)


def dense(x, w, bias=None, activation="linear"):
    """activation(x @ w + bias), activation "linear" or "relu"; x (M, K), w (K, N), bias (N,)."""
    m, k = x.shape
    if m == 1:
        return _row_product(x, w, bias, activation == "relu")
    return _product(x, w, m, w.shape[1], k, bias=bias, relu=activation == "relu")


def dense_grad_input(dy, w):
    """dy @ w.T: the gradient of dense in x; dy (M, N), w (K, N)."""
    m, n = dy.shape
    return _product(dy, w, m, w.shape[0], n, b_turned=True)


def dense_grad_kernel(x, dy):
    """x.T @ dy: the gradient of dense in w; x (M, K), dy (M, N)."""
    m, k = x.shape
    return _product(x, dy, k, dy.shape[1], m, a_turned=True)


def dense_grad_kernel_bias(x, dy):
    """(x.T @ dy, the sum of dy's rows): the gradients of dense in w and in its bias."""
    m, k = x.shape
    n = dy.shape[1]
    if not (m and k and n) or _plan(k, n, m, 1, x.itemsize, True, False, False)[2] > 1:
        return dense_grad_kernel(x, dy), bias_grad(dy)
    sums = memory.empty((n,), dy.dtype)
    return _product(x, dy, k, n, m, a_turned=True, sums=sums), sums


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


def _row_product(x, w, bias, relu):
    k, n = w.shape
    if not (k and n):
        return _without_terms(memory.empty((1, n), x.dtype), bias, relu)
    if bias is None:
        bias = _NO_BIAS[x.itemsize]
    if not x.flags.c_contiguous:
        x = np.ascontiguousarray(x)
    if not w.flags.c_contiguous:
        w = np.ascontiguousarray(w)
    y = memory.empty((1, n), x.dtype)
    items, chunk, slabs, depth, shape = _row_plan(k, n, x.itemsize)
    if slabs == 1:
        launch(row_product, items, chunk, x, w, bias, y, shape, (depth, int(relu)))
        return y
    parts = memory.empty((slabs, n), x.dtype)
    launch(row_product, items, chunk, x, w, _NO_BIAS[x.itemsize], parts, shape, (depth, 0))
    sizes = (n, n, slabs, int(relu))
    launch(add_slabs, 1, 1, parts.reshape(-1), bias, y.reshape(-1), sizes)
    return y


@functools.lru_cache(maxsize=1024)
def _row_plan(k, n, itemsize):
    """(items, chunk, slabs, k in a slab, shape) of a row's product with a matrix."""
    columns = STRIP * WIDTH[itemsize] // VECTORS
    strips = -(-n // columns)
    slabs = max(1, min(_ITEMS // strips, k * n // _ROW_SLAB))
    depth = -(-k // slabs)
    slabs = -(-k // depth)
    chunk = max(1, threads.GRAIN // (depth * min(n, columns)))
    return slabs * strips, chunk, slabs, depth, (k, n)


def _product(
    a, b, m, n, k, a_turned=False, b_turned=False, bias=None, relu=False, places=_ONE_MATRIX,
    sums=None
):  # fmt: skip
    """c (matrices * M, N) = relu(a b + bias); a and b 2-D, a turned one with its axes exchanged.

    `sums` takes the sums of b's rows, for a product without slabs.
    """
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
        sums = none if sums is None else sums
        launch(gemm, items, chunk, a, b, bias, c, sums, scratch, places, *numbers)
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
    wanted = -(-min(_ITEMS, max(1, m * n * k * batch // _GRAIN)) // batch)
    tiles, panels = -(-m // ROWS), -(-n // width)
    row_tiles, column_panels = min(tiles, _BLOCK_TILES), min(panels, _BLOCK_PANELS)
    slabs = 1
    if k >= wanted * _SLAB_DEPTH and 8 * wanted * m * n <= k * (m + n):
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
        max(1, _GRAIN // (rows * columns * depth)),
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
    if dy.ndim != 2 or not dy.flags.c_contiguous:
        dy = np.ascontiguousarray(dy).reshape(math.prod(dy.shape[:-1]), columns)
    rows = dy.shape[0]
    if rows == 0 or columns == 0:
        return memory.zeros((columns,), dy.dtype)
    sums = dy
    while True:
        # Slabs, added in turn, of many rows that are narrow; else every item has some columns.
        slabs = 1 if rows <= _SUM_ROWS else min(_SUM_SLABS, max(1, rows * columns // threads.GRAIN))
        height = -(-rows // slabs)
        slabs = -(-rows // height)
        parts = memory.empty((slabs, columns), dy.dtype)
        chunk = threads.chunk_of(height * min(columns, SUM_STRIP) // 2)
        items = slabs * -(-columns // SUM_STRIP)
        launch(column_sums, items, chunk, sums, parts, height)
        if slabs == 1:
            return parts.reshape(-1)
        sums, rows = parts, slabs
