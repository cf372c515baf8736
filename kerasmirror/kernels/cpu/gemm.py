"""Matrix products: c[m, n] = sum over k of a[m, k] * b[k, n], and the dense layer's passes.

A block of c is one item of work and owned by one thread. For each slice of k it packs the slice of
b into panels as wide as a register tile (zeros to the right of the last column), so that any size
and a transposed b take the same loop, and a slice of a that is transposed or has fewer rows than a
tile likewise. Where c has too few blocks for all threads, k is split into a fixed number of slabs
with a partial c each, added in order: results do not depend on the number of threads.
"""

import math

import numpy as np

from . import memory, threads
from .launch import helper, kernel, launch
from .simd import (
    BITS,
    VECTORS,
    WIDTH,
    clear,
    copy,
    lanes_of,
    tile_add,
    tile_fma,
    tile_load,
    tile_load_part,
    tile_relu,
    tile_rows,
    tile_store,
    tile_store_part,
    tile_zero,
    transpose_block,
)
from .simd import ROWS as TILE_ROWS

__all__ = ["bias_grad", "dense", "dense_grad_input", "dense_grad_kernel", "matmul"]

# With 16 registers 6 x 2 sums need fewer loads a product than 4 x 2: 84 instead of 75 GFLOP/s for a
# packed a.
ROWS = 6 if BITS == 256 else TILE_ROWS
_DEPTH = 384  # k in a slice: a panel of b stays in the first cache, a block of a in the second
_BLOCK_ROWS = 192
_BLOCK_COLUMNS = 128
_ITEMS = 8  # blocks wanted, so that several threads share the work evenly
_SLAB_DEPTH = 512  # k in a slab, at least


def dense(x, w, bias=None, activation="linear"):
    """activation(x @ w + bias), activation "linear" or "relu"; x (M, K), w (K, N), bias (N,)."""
    return _product(x, w, bias, activation == "relu")


def dense_grad_input(dy, w):
    """dy @ w.T: the gradient of dense in x; dy (M, N), w (K, N)."""
    return _product(dy, w.T)


def dense_grad_kernel(x, dy):
    """x.T @ dy: the gradient of dense in w; x (M, K), dy (M, N)."""
    return _product(x.T, dy)


def matmul(a, b):
    """a @ b over the last two axes; the axes before them broadcast."""
    if a.ndim == 2 and b.ndim == 2:
        return _product(a, b)
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if b.ndim == 2 and a.flags.c_contiguous:
        rows = math.prod(a.shape[:-1])
        return _product(a.reshape(rows, a.shape[-1]), b).reshape(*lead, a.shape[-2], b.shape[-1])
    a, a_strides = _plain_or_transposed(a)
    b, b_strides = _plain_or_transposed(b)
    shape = (a.shape[-2], b.shape[-1], a.shape[-1])
    places = np.stack([_matrix_places(a.shape, lead), _matrix_places(b.shape, lead)])
    c = _blocks(a, a_strides, b, b_strides, np.empty(0, a.dtype), False, shape, places)
    return c.reshape(*lead, shape[0], shape[1])


def _matrix_places(shape, lead):
    """Where each matrix of a broadcast stack starts, in elements."""
    size = shape[-2] * shape[-1]
    own = np.arange(math.prod(shape[:-2]), dtype=np.int64).reshape(shape[:-2]) * size
    return np.ascontiguousarray(np.broadcast_to(own, lead)).reshape(-1)


def _plain_or_transposed(x):
    """x, or a contiguous copy, with its strides (row, column) in elements."""
    if x.flags.c_contiguous:
        return x, (x.shape[-1], 1)
    if x.swapaxes(-1, -2).flags.c_contiguous:
        return x, (1, x.shape[-2])
    return np.ascontiguousarray(x), (x.shape[-1], 1)


_ONE_MATRIX = np.zeros((2, 1), np.int64)


def _product(a, b, bias=None, relu=False):
    a, a_strides = _plain_or_transposed(a)
    b, b_strides = _plain_or_transposed(b)
    if bias is None:
        bias = np.empty(0, a.dtype)
    shape = (a.shape[0], b.shape[1], a.shape[1])
    return _blocks(a, a_strides, b, b_strides, bias, relu, shape, _ONE_MATRIX).reshape(shape[:2])


def _blocks(a, a_strides, b, b_strides, bias, relu, shape, places):
    """All blocks of all matrices: c (matrices, M, N)."""
    m, n, k = shape
    batch = places.shape[1]
    c = memory.empty((batch, m, n), a.dtype)
    if c.size == 0:
        return c
    if k == 0:
        c[...] = bias if bias.size else 0
        return np.maximum(c, 0, out=c) if relu else c
    width = WIDTH[a.itemsize]
    rows = _even(m, _BLOCK_ROWS, ROWS)
    columns = _even(n, _BLOCK_COLUMNS, width)
    grid = (-(-m // rows), -(-n // columns))
    slabs = 1
    if batch * grid[0] * grid[1] < _ITEMS:
        slabs = min(-(-_ITEMS // (batch * grid[0] * grid[1])), max(1, k // _SLAB_DEPTH))
        if slabs == 1:
            columns = _even(n, max(width, n * grid[0] * batch // _ITEMS), width)
            grid = (grid[0], -(-n // columns))
    depth = _even(k, max(1, -(-k // slabs)), 1)
    slabs = -(-k // depth)
    pack = (a_strides[1] != 1) or (m < ROWS)
    parts = c if slabs == 1 else memory.empty((slabs, batch, m, n), a.dtype)
    scratch = threads.scratch((columns + rows) * _DEPTH + (1 + ROWS) * width, a.dtype)
    epilogue = slabs == 1
    launch(
        _gemm,
        slabs * batch * grid[0] * grid[1],
        threads.chunk_of(2 * rows * columns * depth // 16),
        _flat(a, a_strides),
        _flat(b, b_strides),
        bias if epilogue else bias[:0],
        parts.reshape(-1),
        scratch,
        places,
        (m, n, k),
        (*a_strides, *b_strides),
        (rows, columns, depth),
        (int(pack), int(relu and epilogue)),
    )
    if slabs > 1:
        flags = (m * n * batch, n, slabs, int(relu))
        launch(
            _add_slabs,
            batch * m,
            threads.chunk_of(n * slabs),
            parts.reshape(-1),
            bias,
            c.reshape(-1),
            flags,
        )
    return c


def _even(total, at_most, unit):
    """The size of equal blocks of `total`, a multiple of `unit` and about `at_most`."""
    blocks = -(-total // at_most)
    return -(-total // (blocks * unit)) * unit


def _flat(x, strides):
    return (x if strides[1] == 1 and x.flags.c_contiguous else x.swapaxes(-1, -2)).reshape(-1)


@kernel
def _gemm(lo, hi, thread, a, b, bias, c, scratch, places, shape, strides, block, flags):
    # One item is one block of one matrix in one slab of k; it alone writes there.
    m, n, k = shape
    rows, columns, depth = block
    batch = places.shape[1]
    grid_rows = (m + rows - 1) // rows
    grid_columns = (n + columns - 1) // columns
    for item in range(lo, hi):
        rest, column = item // grid_columns, item % grid_columns
        rest, row = rest // grid_rows, rest % grid_rows
        slab, matrix = rest // batch, rest % batch
        first = slab * depth
        end = min(k, first + depth)
        for k0 in range(first, end, _DEPTH):
            _slice(
                a, places[0, matrix], b, places[1, matrix], bias,
                c, (slab * batch + matrix) * m * n, scratch[thread],
                (row * rows, min(m, row * rows + rows)),
                (column * columns, min(n, column * columns + columns)),
                (k0, min(end, k0 + _DEPTH)), k0 == first, k0 + _DEPTH >= end, n, strides, flags,
            )  # fmt: skip


@helper
def _slice(a, a_at, b, b_at, bias, c, c_at, scratch, ms, ns, ks, first, last, n, strides, flags):
    """Add the slice ks of k to the block ms x ns of c."""
    depth = ks[1] - ks[0]
    width = VECTORS * lanes_of(c)
    packed = flags[0] == 1
    # The scratch: a row of bias, the sums of a tile that is not whole, panels of b, panels of a.
    part_at = width
    b_place = part_at + ROWS * width
    a_place = b_place + (ns[1] - ns[0] + width - 1) // width * width * depth
    b_at += ks[0] * strides[2] + ns[0] * strides[3]
    a_at += ms[0] * strides[0] + ks[0] * strides[1]
    _pack(b, b_at, strides[2], strides[3], scratch, b_place, depth, ns[1] - ns[0], width)
    if packed:
        height = ms[1] - ms[0]
        rows = max(ROWS, min(width, 1))  # ROWS itself, a literal, would compile a second _pack
        _pack(a, a_at, strides[1], strides[0], scratch, a_place, depth, height, rows)
    w_at = b_place
    for j in range(ns[0], ns[1], width):
        if bias.size > 0 and first:
            clear(scratch, 0, width)
            copy(scratch, 0, bias, j, min(width, n - j))
        for i in range(ms[0], ms[1], ROWS):
            # The last tile overlaps the one before and leaves the rows that are done alone.
            begin = i if packed else min(i, ms[1] - ROWS)
            c_place = c_at + begin * n + j
            whole = begin == i and i + ROWS <= ms[1] and j + width <= ns[1]
            t = tile_zero(c, ROWS, VECTORS)
            if not first:
                if whole:
                    t = tile_load(t, c, c_place, n)
                else:
                    for row in range(begin, min(begin + ROWS, ms[1])):
                        place = part_at + (row - begin) * width
                        copy(scratch, place, c, c_at + row * n + j, min(width, ns[1] - j))
                    t = tile_load(t, scratch, part_at, width)
            elif bias.size > 0:
                t = tile_rows(t, scratch, 0)
            if packed:
                at = a_place + (i - ms[0]) * depth
                for k in range(depth):
                    t = tile_fma(t, scratch, at + k * ROWS, 1, scratch, w_at + k * width)
            else:
                at = a_at + (begin - ms[0]) * strides[0]
                for k in range(depth):
                    t = tile_fma(t, a, at + k, strides[0], scratch, w_at + k * width)
            if last and flags[1] == 1:
                t = tile_relu(t)
            if whole:
                tile_store(t, c, c_place, n)
            else:
                tile_store(t, scratch, part_at, width)
                for row in range(i, min(begin + ROWS, ms[1])):
                    place = part_at + (row - begin) * width
                    copy(c, c_at + row * n + j, scratch, place, min(width, ns[1] - j))
        w_at += width * depth


@helper
def _pack(x, at, k_step, step, out, out_at, depth, count, width):
    """out[panel][k][i] = x[at + k * k_step + (panel * width + i) * step], zeros past `count`."""
    lanes = lanes_of(x)
    whole = count // width * width
    plain_from = (
        0  # what is left for the plain loop: all k of columns past `whole`, and k past this
    )
    if step == 1 and width == ROWS:
        for k in range(depth):
            for i in range(0, whole, ROWS):
                copy(out, out_at + i * depth + k * ROWS, x, at + k * k_step + i, ROWS)
        plain_from = depth
    elif step == 1:
        for i in range(0, whole, width):
            for k in range(depth):
                t = tile_load(tile_zero(x, 1, VECTORS), x, at + k * k_step + i, 0)
                tile_store(t, out, out_at + i * depth + k * width, 0)
        plain_from = depth
    elif k_step == 1 and width % lanes == 0:
        plain_from = depth // lanes * lanes
        for i in range(0, whole, width):
            for s in range(i, i + width, lanes):
                place = out_at + i * depth + s - i
                for k in range(0, plain_from, lanes):
                    transpose_block(out, place + k * width, width, x, at + s * step + k, step)
    if whole < count:
        clear(out, out_at + whole * depth, width * depth)
    for i in range(count):
        place = out_at + i // width * width * depth + i % width
        for k in range(plain_from if i < whole else 0, depth):
            out[place + k * width] = x[at + k * k_step + i * step]


@kernel
def _add_slabs(lo, hi, thread, parts, bias, c, sizes):
    # One item is one row of c: its slabs are added in order, then the bias.
    size, n, slabs, relu = sizes
    zero = c.dtype.type(0)
    for row in range(lo, hi):
        out = c[row * n : row * n + n]
        part = parts[row * n : row * n + n]  # slice = slice would compile for two seconds
        for j in range(n):
            out[j] = part[j]
        for slab in range(1, slabs):
            part = parts[slab * size + row * n : slab * size + row * n + n]
            for j in range(n):
                out[j] += part[j]
        if bias.size > 0:
            for j in range(n):
                out[j] += bias[j]
        if relu == 1:
            for j in range(n):
                out[j] = zero if out[j] < zero else out[j]


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
