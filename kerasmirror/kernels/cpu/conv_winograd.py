"""Winograd convolution F(m x m, 3 x 3), m = 4 or 2, for windows of 3 x 3 and stride 1.

    Y = A^T [ sum over c of (G w G^T) * (B^T d B) ] A

for tiles d of m + 2 rows and columns of the padded image, which overlap by 2, and tiles Y of m x m
outputs: (m + 2)^2 instead of 9 m^2 products each. The sums over c are matrix products of tiles by
channels, one for each of the (m + 2)^2 points. The gradient in x is the same convolution of dy
with the window turned and its axes swapped; the gradient in w is
G^T [ sum over tiles of (B^T d B) (A dY A^T) ] G.

In kernels, `tile` is a tuple of m zeros: its length makes m a constant of the compiled code.

A thread takes some rows of tiles at a time, few enough for its scratch to stay near the core: tiles
of the input V[point][tile][c], products M[point][tile][f], and a strip of padded image rows.
Channel counts are whole numbers of vectors. float32 errors are about 1e-5 (m = 4) and 2e-6 (m = 2)
of the largest value.

Source: Lavin and Gray 2016, https://arxiv.org/abs/1509.09308, section 4.
"""

import numpy as np

from . import memory, threads
from .launch import helper, kernel, launch
from .simd import (
    BITS,
    ROWS,
    VECTORS,
    WIDTH,
    clear,
    copy,
    hidden,
    lanes_of,
    sandwich,
    tile_fma,
    tile_load,
    tile_store,
    tile_zero,
    transpose_block,
)

# The points of m = 4 are 0, 1, -1, 2, -2 and infinity; those of m = 2 are 0, 1, -1 and infinity.
_B4 = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_A4 = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
_G4 = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_B2 = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
_A2 = ((1, 1, 1, 0), (0, 1, -1, -1))
_G2 = ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1))


def _turned(matrix):
    return tuple(zip(*matrix, strict=True))


_input = sandwich("_input", {4: _B4, 2: _B2})
_output = sandwich("_output", {4: _A4, 2: _A2}, finish=True)
_window = sandwich("_window", {4: _G4, 2: _G2})
_spread = sandwich("_spread", {4: _turned(_A4), 2: _turned(_A2)})
_narrow = sandwich("_narrow", {4: _turned(_G4), 2: _turned(_G2)})

_NEAR = 384 * 1024  # bytes of scratch that stay in a core's second cache
_APART = 80  # elements between the planes of points: plane sizes that are powers of two collide
_SUMS = 8 << 20  # bytes of the partial sums of the gradient in w
_BLOCK_FILTERS = 64


def tile_size(x_shape, w_shape, geometry, dtype):
    """The m that needs fewest products, or 0 where direct convolution is better."""
    channels, filters = w_shape[2], w_shape[3]
    unit = max(BITS // 32, ROWS)
    pads = geometry.pad[0] + geometry.pad[1]
    if (
        dtype != np.float32
        or tuple(w_shape[:2]) != (3, 3)
        or tuple(geometry.stride) != (1, 1)
        or tuple(geometry.dilation) != (1, 1)
        or geometry.groups != 1
        or max(pads) > 2
        or channels % unit
        or filters % unit
        or min(channels, filters) < 16
        or x_shape[0] == 0
    ):
        return 0
    rows, columns = geometry.out_size
    # Transforms and partial tiles make a product of Winograd's cost about 1.5 of the direct ones.
    products = {m: 1.5 * -(-rows // m) * -(-columns // m) * (m + 2) ** 2 for m in (2, 4)}
    best = min(products, key=products.get)
    return best if products[best] < 9 * rows * columns else 0


def convolve(x, w, bias, relu, pad, out_size, m):
    """The convolution of x with w (3, 3, C, F), padded by `pad` (top, left)."""
    images, _, _, channels = x.shape
    filters = w.shape[3]
    y = memory.empty((images, *out_size, filters), x.dtype)
    windows = _transformed_windows(w, m)
    tall, wide = -(-out_size[0] // m), -(-out_size[1] // m)
    padded = -(-filters // WIDTH[4]) * WIDTH[4]
    rows = _rows_of_tiles(images * tall, wide, channels + padded, m, 32)
    tiles = -(-rows * wide // ROWS) * ROWS
    planes = (tiles * channels + _APART, tiles * padded + _APART)
    strip = (m + 2) * (wide * m + 2) * channels
    size = (m + 2) ** 2 * sum(planes) + max(strip, m * m * filters)
    launch(
        _convolve,
        -(-images * tall // rows),
        1,
        x,
        windows,
        np.zeros(filters, x.dtype) if bias is None else bias,
        y,
        threads.scratch(size, x.dtype),
        (0,) * m,
        (tall, wide, rows, padded),
        (*pad, *planes),
        np.float32(0 if relu else -np.inf),
    )
    return y


def _rows_of_tiles(total, wide, depth, m, at_least):
    """How many rows of tiles an item takes: as many as stay near the core, or `at_least` tiles."""
    near = _NEAR // (4 * depth * (m + 2) ** 2)
    rows = max(1, max(near, at_least) // wide)
    return -(-total // -(-total // rows))


def _transformed_windows(w, m):
    """G w G^T as [point][panel of filters][c][width], zeros past the last filter."""
    channels, filters = w.shape[2:]
    width = WIDTH[4]
    size = (m + 2) ** 2 * -(-filters // width) * width * channels
    out = (memory.zeros if filters % width else memory.empty)((size,), w.dtype)
    launch(_transform_windows, channels, threads.chunk_of(filters * 36), w, out, (0,) * m)
    return out


@kernel
def _transform_windows(lo, hi, thread, w, out, tile):
    # One item is one input channel.
    m = len(tile)
    channels, filters = w.shape[2], w.shape[3]
    lanes = lanes_of(w)
    width = VECTORS * lanes
    panels = (filters + width - 1) // width
    point = panels * channels * width
    tap = channels * filters
    for c in range(lo, hi):
        for f in range(0, filters, lanes):
            at = (f // width * channels + c) * width + f % width
            source = c * filters + f
            _window(tile, w, source, 3 * tap, tap, out, at, (m + 2) * point, point)


def turned_windows(w):
    """w (3, 3, C, F) turned by half and with its channel axes swapped: (3, 3, F, C)."""
    out = memory.empty((3, 3, w.shape[3], w.shape[2]), w.dtype)
    launch(_turn_windows, 9, threads.chunk_of(w.shape[2] * w.shape[3]), w, out)
    return out


@kernel
def _turn_windows(lo, hi, thread, w, out):
    # One item is one tap.
    channels, filters = w.shape[2], w.shape[3]
    lanes = lanes_of(w)
    for tap in range(lo, hi):
        source, target = tap * channels * filters, (8 - tap) * channels * filters
        for c in range(0, channels, lanes):
            for f in range(0, filters, lanes):
                at = target + f * channels + c
                transpose_block(out, at, channels, w, source + c * filters + f, filters)


@helper
def _strip(x, image, first, height, left, columns, out, out_at):
    """Rows first to first + height of an image, columns -left on, zeros outside the image."""
    channels = x.shape[3]
    line = columns * channels
    present = min(x.shape[2], columns - left)
    for row in range(first, first + height):
        if row < 0 or row >= x.shape[1]:
            clear(out, out_at, line)
        else:
            source = (image * x.shape[1] + row) * x.shape[2] * channels
            clear(out, out_at, left * channels)
            copy(out, out_at + left * channels, x, source, present * channels)
            done = (left + present) * channels
            clear(out, out_at + done, line - done)
        out_at += line


@helper
def _transform_input(x, image, row, wide, tile, top, left, scratch, strip, at, plane):
    """V of one row of tiles: B^T d B at scratch[at + point * plane + tile * C]."""
    m, channels = len(tile), x.shape[3]
    columns = wide * m + 2
    line = columns * channels
    _strip(x, image, row * m - top, m + 2, left, columns, scratch, strip)
    for number in range(wide):
        source, target = strip + number * m * channels, at + number * channels
        for c in range(0, channels, lanes_of(x)):
            _input(
                tile, scratch, source + c, line, channels,
                scratch, target + c, (m + 2) * plane, plane,
            )  # fmt: skip


@helper
def _multiply(scratch, windows, tiles, channels, padded, points, v_plane, m_at, m_plane):
    """M[point] = V[point] (tiles x C) @ windows[point] (C x F)."""
    width = VECTORS * lanes_of(scratch)
    w_at = 0
    for point in range(points):
        for panel in range(0, padded, width):
            for tile in range(0, tiles, ROWS):
                at = point * v_plane + tile * channels
                t = tile_zero(scratch, ROWS, VECTORS)
                for c in range(channels):
                    t = tile_fma(t, scratch, at + c, channels, windows, w_at + c * width)
                tile_store(t, scratch, m_at + point * m_plane + tile * padded + panel, padded)
            w_at += channels * width


@helper
def _transform_output(scratch, at, plane, patch, bias, floor, y, image, row, wide, tile):
    """One row of tiles of y: max(A^T M A + bias, floor)."""
    m, height, columns, filters = len(tile), y.shape[1], y.shape[2], y.shape[3]
    padded = (
        (filters + VECTORS * lanes_of(y) - 1) // (VECTORS * lanes_of(y)) * VECTORS * lanes_of(y)
    )
    deep = min(m, height - row * m)
    for number in range(wide):
        across = min(m, columns - number * m)
        target = ((image * height + row * m) * columns + number * m) * filters
        whole = deep == m and across == m
        for f in range(0, filters, lanes_of(y)):
            source = at + number * padded + f
            if whole:
                _output(
                    tile, scratch, source, (m + 2) * plane, plane,
                    y, target + f, columns * filters, filters, bias, f, floor,
                )  # fmt: skip
            else:
                _output(
                    tile, scratch, source, (m + 2) * plane, plane,
                    scratch, patch + f, m * filters, filters, bias, f, floor,
                )  # fmt: skip
        if not whole:
            for i in range(deep):
                line = target + i * columns * filters
                copy(y, line, scratch, patch + i * m * filters, across * filters)


@kernel
def _convolve(lo, hi, thread, x, windows, bias, y, buffer, tile, sizes, plan, floor):
    # One item is some rows of tiles, counted through all images; it owns their outputs.
    tall, wide, rows, padded = sizes
    m = len(tile)
    top, left, v_plane, m_plane = plan
    scratch = buffer[thread]
    points = (m + 2) * (m + 2)
    channels = x.shape[3]
    m_at = points * v_plane
    strip = m_at + points * m_plane
    for item in range(lo, hi):
        first, last = item * rows, min(x.shape[0] * tall, item * rows + rows)
        for row in range(first, last):
            at = (row - first) * wide * channels
            _transform_input(
                x, row // tall, row % tall, wide, tile, top, left, scratch, strip, at, v_plane
            )
        tiles = (last - first) * wide
        _multiply(scratch, windows, tiles, channels, padded, points, v_plane, m_at, m_plane)
        for row in range(first, last):
            at = m_at + (row - first) * wide * padded
            _transform_output(
                scratch, at, m_plane, strip, bias, floor, y, row // tall, row % tall, wide, tile
            )


def grad_kernel(dy, x, pad, m):
    """The gradient in w (3, 3, C, F); `pad` (top, left)."""
    images, _, _, channels = x.shape
    filters = dy.shape[3]
    points = (m + 2) ** 2
    tall, wide = -(-dy.shape[1] // m), -(-dy.shape[2] // m)
    block = min(_BLOCK_FILTERS, -(-filters // WIDTH[4]) * WIDTH[4])
    blocks = -(-filters // block)
    sums = points * channels * block
    slabs = max(4, min(16, _SUMS // (4 * sums * blocks)))
    rows = _rows_of_tiles(images * tall, wide, channels + block, m, 64)
    per_slab = -(-images * tall // (rows * slabs)) * rows
    slabs = -(-images * tall // per_slab)
    tiles = rows * wide
    planes = (tiles * channels + _APART, tiles * block + _APART)
    strip = (m + 2) * (wide * m + 2) * max(channels, filters)
    parts = memory.empty((slabs * blocks, points, channels, block), x.dtype)
    launch(
        _correlate,
        slabs * blocks,
        1,
        x,
        dy,
        parts,
        threads.scratch(points * sum(planes) + strip, x.dtype),
        (0,) * m,
        (tall, wide, rows, per_slab, blocks),
        (*pad, *planes),
    )
    dw = memory.empty((3, 3, channels, filters), x.dtype)
    launch(
        _add_windows,
        channels,
        threads.chunk_of(points * filters * slabs),
        parts,
        dw,
        (0,) * m,
    )
    return dw


@helper
def _spread_output(dy, image, row, wide, tile, first, block, scratch, strip, at, plane):
    """A dY A^T of one row of tiles for filters first to first + block."""
    m, filters = len(tile), dy.shape[3]
    line = wide * m * filters
    # Sums and differences: literals would compile a second copy of _strip.
    _strip(dy, image, row * m, m + line - line, line - line, wide * m, scratch, strip)
    present = min(block, filters - first)
    for number in range(wide):
        source, target = strip + number * m * filters + first, at + number * block
        for f in range(0, present, lanes_of(dy)):
            _spread(
                tile, scratch, source + f, line, filters,
                scratch, target + f, (m + 2) * plane, plane,
            )  # fmt: skip


@helper
def _multiply_turned(scratch, tiles, channels, block, v_plane, m_at, m_plane, parts):
    """parts[point] += V[point].T (C x tiles) @ spread[point] (tiles x F)."""
    width = VECTORS * lanes_of(scratch)
    for point in range(parts.shape[0]):
        sums = parts[point]
        for panel in range(0, block, width):
            for c in range(0, channels, ROWS):
                at, w_at = point * v_plane + c, m_at + point * m_plane + panel
                t = tile_load(tile_zero(sums, ROWS, VECTORS), sums, c * block + panel, block)
                for _ in range(tiles):
                    t = tile_fma(t, scratch, at, 1, scratch, w_at)
                    at = hidden(at + channels)
                    w_at = hidden(w_at + block)
                tile_store(t, sums, c * block + panel, block)


@kernel
def _correlate(lo, hi, thread, x, dy, parts, buffer, tile, sizes, plan):
    # One item is one slab of rows of tiles times one block of filters; its sums are its own.
    tall, wide, rows, per_slab, blocks = sizes
    top, left, v_plane, m_plane = plan
    scratch = buffer[thread]
    points, channels, block = parts.shape[1], parts.shape[2], parts.shape[3]
    m_at = points * v_plane
    strip = m_at + points * m_plane
    for item in range(lo, hi):
        slab, filters = item // blocks, item % blocks * block
        clear(parts, item * points * channels * block, points * channels * block)
        if filters + block > dy.shape[3]:
            clear(scratch, m_at, points * m_plane)
        end = min(x.shape[0] * tall, slab * per_slab + per_slab)
        for first in range(slab * per_slab, end, rows):
            last = min(end, first + rows)
            for row in range(first, last):
                at, image, line = (row - first) * wide, row // tall, row % tall
                _transform_input(
                    x, image, line, wide, tile, top, left, scratch, strip, at * channels, v_plane
                )
                _spread_output(
                    dy, image, line, wide, tile, filters, block, scratch, strip,
                    m_at + at * block, m_plane,
                )  # fmt: skip
            tiles = (last - first) * wide
            _multiply_turned(scratch, tiles, channels, block, v_plane, m_at, m_plane, parts[item])


@kernel
def _add_windows(lo, hi, thread, parts, dw, tile):
    # One item is one input channel: its slabs' sums are added in order, then G^T sums G.
    points, channels, block = parts.shape[1], parts.shape[2], parts.shape[3]
    m, filters = len(tile), dw.shape[3]
    blocks = (filters + block - 1) // block
    tap, point = channels * filters, channels * block
    for c in range(lo, hi):
        for item in range(blocks):
            for other in range(item + blocks, parts.shape[0], blocks):
                for p in range(points):
                    total, part = parts[item, p, c], parts[other, p, c]
                    for f in range(total.size):
                        total[f] += part[f]
            for f in range(0, min(block, filters - item * block), lanes_of(dw)):
                source = item * points * point + c * block + f
                target = c * filters + item * block + f
                _narrow(tile, parts, source, (m + 2) * point, point, dw, target, 3 * tap, tap)
