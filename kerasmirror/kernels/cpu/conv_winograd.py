"""Winograd convolution F(m x m, r x r) for square windows and stride 1.

    Y = A [ sum over c of (G w G^T) * (B d B^T) ] A^T

for tiles d of n = m + r - 1 rows and columns of the padded image, which overlap by r - 1, and tiles
Y of m x m outputs: n^2 instead of m^2 r^2 products each. The sums over c are matrix products of
tiles by channels, one for each of the n^2 points. The gradient in x is the same convolution of dy
with the window turned and its axes swapped; the gradient in w is
G^T [ sum over tiles of (B d B^T) (A^T dY A) ] G.

In kernels, `tile`, `window` and `points` are tuples of m, r and n zeros: their lengths make m, r
and n constants of the compiled code.

A thread takes some rows of tiles at a time, few enough for its scratch to stay near the core:
tiles of the input V[point][tile][c], products M[point][tile][f] of a block of filters, and the
lines of one row of tiles. Channel counts are whole numbers of vectors.

Source: Lavin and Gray 2016, https://arxiv.org/abs/1509.09308, section 4.
"""

import functools

import numpy as np

from . import memory, threads
from .conv_winograd_points import matrices, transposed
from .conv_winograd_transforms import combination, prefetch_to_write, sandwich
from .launch import helper, inlined, kernel, launch
from .simd import (
    BITS,
    VECTORS,
    WIDTH,
    clear,
    copy,
    hidden,
    lanes_of,
    tile_fma,
    tile_load,
    tile_store,
    tile_zero,
    transpose_block,
)

# What is known of a window: the outputs of a tile, the most first.
TILES = {(3, 3): (5, 4, 2), (5, 5): (4,)}
_MATRICES = [matrices(m, r) for (r, _), sizes in TILES.items() for m in sizes]
_input = combination("_input", [b for b, _, _ in _MATRICES])
_output = sandwich("_output", [a for _, _, a in _MATRICES], finish=True)
_window = sandwich("_window", [g for _, g, _ in _MATRICES])
_spread = sandwich("_spread", [transposed(a) for _, _, a in _MATRICES])
_narrow = sandwich("_narrow", [transposed(g) for _, g, _ in _MATRICES])

UNIT = max(BITS // 32, 8)  # channels and filters come in multiples of this
# Rows of a register tile: 12 or 16 sums hide the latency of a fused multiply-add, and 6 x 2 are
# what 16 registers hold; what these leave of a count goes in fours, and columns of one vector in
# eights.
_TALL, _SHORT, _NARROW = (8 if BITS != 256 else 6), 4, 8

_NEAR = 384 * 1024  # bytes of scratch that stay in a core's second cache
_ITEMS, _WORK = 8, 400_000  # items wanted, each of so many products at least: 10 microseconds
_SUMS = 8 << 20  # bytes of the partial sums of the gradient in w
_BLOCK_FILTERS = 64
_CHANNELS = 8  # whose windows an item transforms


def tile_size(x_shape, w_shape, geometry, dtype):
    """The m that needs fewest products, or 0 where direct convolution is better."""
    channels, filters = w_shape[2], w_shape[3]
    window = tuple(w_shape[:2])
    pads = geometry.pad[0] + geometry.pad[1]
    if (
        dtype != np.float32
        or window not in TILES
        or tuple(geometry.stride) != (1, 1)
        or tuple(geometry.dilation) != (1, 1)
        or geometry.groups != 1
        or max(pads) >= window[0]
        or channels % UNIT
        or filters % UNIT
        or x_shape[0] == 0
    ):
        return 0
    costs = {m: _cost(x_shape[0], w_shape, geometry.out_size, m) for m in TILES[window]}
    best = min(costs, key=costs.get)
    # A direct sum is more exact: it stays where it is little slower.
    direct = _direct_cost(x_shape[0], w_shape, geometry.out_size)
    return best if 1.2 * costs[best] < direct else 0


def _cost(images, w_shape, out_size, m):
    """About how many cycles a convolution takes on a core with 16 sums a cycle."""
    r, _, channels, filters = w_shape
    tiles = images * -(-out_size[0] // m) * -(-out_size[1] // m)
    # Sums run at 90 % of the peak; a vector of channels costs 5 cycles a point on its way in, one
    # of filters 3 on its way out, one of the window's filters 3.
    columns = filters + (filters % WIDTH[4] > 0) * 4
    products = channels * columns / 15
    transforms = (5 * channels + 3 * filters) / 8
    return (m + r - 1) ** 2 * (tiles * (products + transforms) + 3 * channels * filters / 8)


def _direct_cost(images, w_shape, out_size):
    r, _, channels, filters = w_shape
    return images * out_size[0] * out_size[1] * r * r * channels * filters / 12


def convolve(x, w, bias, relu, pad, out_size, m):
    """The convolution of x with w (r, r, C, F), padded by `pad` (top, left)."""
    images, *image = x.shape
    r, _, channels, filters = w.shape
    n = m + r - 1
    y = memory.empty((images, *out_size, filters), x.dtype)
    windows = _transformed_windows(w, m)
    tall, wide = -(-out_size[0] // m), -(-out_size[1] // m)
    rows, portion = _division(images * tall, wide, channels, filters, n)
    block = min(portion, _BLOCK_FILTERS)
    tiles = -(-rows * wide // _NARROW) * _NARROW
    planes = (_plane(tiles * channels), _plane(tiles * block))
    lines = n * (wide * m + r - 1) * channels
    size = n * n * sum(planes) + max(2 * lines, m * m * block)
    launch(
        _convolve,
        -(-images * tall // rows) * -(-filters // portion),
        1,
        x.reshape(-1),
        windows,
        _no_bias(filters) if bias is None else bias,
        y.reshape(-1),
        threads.scratch(size, x.dtype),
        (0,) * m,
        (0,) * n,
        tuple(image),
        (*out_size, filters),
        (images * tall, tall, wide, rows, portion),
        (*pad, *planes, block),
        np.float32(0 if relu else -np.inf),
    )
    return y


def _division(total, wide, channels, filters, n):
    """(rows of tiles, filters) of an item.

    As many rows as stay near the core, or fewer, and a part of the filters, so that a few images
    keep several threads busy.
    """
    rows = _rows_of_tiles(total, wide, channels + min(filters, _BLOCK_FILTERS), n, 32)
    wanted = min(_ITEMS, total * wide * n * n * channels * filters // _WORK)
    if -(-total // rows) >= wanted:
        return rows, filters
    rows = min(rows, max(-(-_NARROW // wide), -(-total // wanted)))
    parts = -(-wanted // -(-total // rows))
    return rows, -(-filters // (parts * WIDTH[4])) * WIDTH[4]


@functools.cache
def _no_bias(filters):
    zeros = np.zeros(filters, np.float32)
    zeros.setflags(write=False)  # a constant, also to a recorder of launches
    return zeros


def _rows_of_tiles(total, wide, depth, n, at_least):
    """How many rows of tiles an item takes: as many as stay near the core, or `at_least` tiles."""
    near = _NEAR // (4 * depth * n * n)
    rows = max(1, max(near, at_least) // wide)
    return -(-total // -(-total // rows))


def _plane(size):
    """Elements from a point's plane to the next.

    An odd number of cache lines: the same place of all planes then falls into different sets of the
    first cache.
    """
    return (-(-size // 16) | 1) * 16


def _transformed_windows(w, m):
    """G w G^T as [point][panel of filters][c][filter]; the last panel may have one vector."""
    r, _, channels, filters = w.shape
    n = m + r - 1
    out = memory.empty((n * n, _plane(channels * filters)), w.dtype)
    work = threads.chunk_of(filters * n * n * _CHANNELS)
    launch(_transform_windows, channels // _CHANNELS, work, w, out, (0,) * n, (0,) * r)
    return out


@kernel
def _transform_windows(lo, hi, thread, w, out, points, window):
    # One item is a few input channels: what it writes of a panel lies together.
    channels, filters, plane = w.shape[2], w.shape[3], out.shape[1]
    lanes = lanes_of(w)
    width = VECTORS * lanes
    for item in range(lo, hi):
        for panel in range(0, filters, width):
            wide = min(width, filters - panel)
            for c in range(item * _CHANNELS, item * _CHANNELS + _CHANNELS):
                for f in range(0, wide, lanes):
                    _window(
                        points, window,
                        w, c * filters + panel + f, len(window) * channels * filters,
                        channels * filters,
                        out, panel * channels + c * wide + f, len(points) * plane, plane,
                    )  # fmt: skip


def turned_windows(w):
    """w (r, r, C, F) turned by half and with its channel axes swapped: (r, r, F, C)."""
    taps = w.shape[0] * w.shape[1]
    out = memory.empty((*w.shape[:2], w.shape[3], w.shape[2]), w.dtype)
    launch(_turn_windows, taps, threads.chunk_of(w.shape[2] * w.shape[3]), w, out)
    return out


@kernel
def _turn_windows(lo, hi, thread, w, out):
    # One item is one tap.
    taps, channels, filters = w.shape[0] * w.shape[1], w.shape[2], w.shape[3]
    lanes = lanes_of(w)
    for tap in range(lo, hi):
        source, target = tap * channels * filters, (taps - 1 - tap) * channels * filters
        for c in range(0, channels, lanes):
            for f in range(0, filters, lanes):
                at = target + f * channels + c
                transpose_block(out, at, channels, w, source + c * filters + f, filters)


@helper
def _transform_input(x, image, place, tile, points, pad, scratch, free, at, plane):
    """V of one row of tiles: B d B^T at scratch[at + point * plane + tile * C].

    First B d for all columns of a row of tiles, which neighbours share, then (B d) B^T.
    """
    height, width, channels = image
    number, row, wide = place
    top, left = pad
    m, n, lanes = len(tile), len(points), lanes_of(x)
    columns = wide * m + n - m
    line, own = columns * channels, width * channels
    source = (number * height + row * m - top) * own
    present = min(width, columns - left) * channels
    start = free + left * channels
    if row * m >= top and row * m - top + n <= height:
        for e in range(0, present, lanes):
            _input(points, points, x, source + e, own, scratch, start + e, line)
    else:
        rows = free + n * line
        for i in range(n):
            if 0 <= row * m - top + i < height:
                copy(scratch, rows + i * present, x, source + i * own, present)
            else:
                clear(scratch, rows + i * present, present)
        for e in range(0, present, lanes):
            _input(points, points, scratch, rows + e, present, scratch, start + e, line)
    rest = left * channels + present
    for i in range(n):
        clear(scratch, free + i * line, left * channels)
        clear(scratch, free + i * line + rest, line - rest)
        for k in range(wide):
            source, target = free + i * line + k * m * channels, at + k * channels
            target += i * n * plane
            for c in range(0, channels, lanes):
                _input(points, points, scratch, source + c, channels, scratch, target + c, plane)


@inlined
def _is_short(left):
    """Whether a register tile takes 4 of the `left` rows, so that few or none are in vain."""
    return left <= _SHORT or _TALL < left <= 2 * _SHORT


@inlined
def _rows_times_panel(t, scratch, at, channels, windows, w_at, width, m_at, m_row):
    for c in range(channels):
        t = tile_fma(t, scratch, at + c, channels, windows, w_at + c * width)
    tile_store(t, scratch, m_at, m_row)


@helper
def _multiply(scratch, windows, tiles, channels, points, v_plane, at, plane, part, y, begin, end):
    """M[point] = V[point] (tiles x C) @ windows[point] (C x filters first to last).

    Meanwhile y[begin:end] comes near the core: writing would wait for its lines (10 % for images
    that the caches do not hold).
    """
    first, last, block = part
    lanes = lanes_of(scratch)
    width = VECTORS * lanes
    share = max(0, end - begin) // (len(points) * len(points)) + 1
    for point in range(len(points) * len(points)):
        for line in range(begin + point * share, min(end, begin + point * share + share), 16):
            prefetch_to_write(y, line)
        for panel in range(first, last, width):
            w_at = point * windows.shape[1] + panel * channels
            v_at, m_at = point * v_plane, at + point * plane + panel - first
            wide = panel + width <= last
            row = 0
            while row < tiles:
                if not wide:
                    t = tile_zero(scratch, _NARROW, 1)
                    _rows_times_panel(t, scratch, v_at, channels, windows, w_at, lanes, m_at, block)
                    step = _NARROW
                elif _is_short(tiles - row):
                    t = tile_zero(scratch, _SHORT, VECTORS)
                    _rows_times_panel(t, scratch, v_at, channels, windows, w_at, width, m_at, block)
                    step = _SHORT
                else:
                    t = tile_zero(scratch, _TALL, VECTORS)
                    _rows_times_panel(t, scratch, v_at, channels, windows, w_at, width, m_at, block)
                    step = _TALL
                row += step
                v_at += step * channels
                m_at += step * block


@helper
def _finish_tile(tile, points, scratch, source, plane, y, target, row, column, bias, part, floor):
    f, count = part
    for c in range(0, count, lanes_of(y)):
        _output(
            tile, points, scratch, source + c, len(points) * plane, plane,
            y, target + c, row, column, bias, f + c, floor,
        )  # fmt: skip


@helper
def _transform_output(scratch, at, plane, free, bias, floor, y, out, place, tile, points, part):
    """One row of tiles of y, filters first to last: max(A M A^T + bias, floor)."""
    height, width, filters = out
    number, row, wide = place
    first, last, block = part
    m, count = len(tile), last - first
    deep = min(m, height - row * m)
    for k in range(wide):
        across = min(m, width - k * m)
        target = ((number * height + row * m) * width + k * m) * filters + first
        source = at + k * block
        if deep == m and across == m:
            _finish_tile(
                tile, points, scratch, source, plane,
                y, target, width * filters, filters, bias, (first, count), floor,
            )  # fmt: skip
        else:
            _finish_tile(
                tile, points, scratch, source, plane,
                scratch, free, m * count, count, bias, (first, count), floor,
            )  # fmt: skip
            for i in range(deep):
                for j in range(across):
                    place = target + (i * width + j) * filters
                    copy(y, place, scratch, free + (i * m + j) * count, count)


@inlined
def _first_output(row, tall, tile, out):
    """Where in y a row of tiles begins."""
    return (row // tall * out[0] + row % tall * len(tile)) * out[1] * out[2]


@kernel
def _convolve(
    lo, hi, thread, x, windows, bias, y, buffer, tile, points, image, out, grid, plan, floor
):
    # One item is some rows of tiles, counted through all images, and some filters; it owns their
    # outputs.
    total, tall, wide, rows, portion = grid
    v_plane, m_plane, block = plan[2:]
    pad = plan[:2]
    scratch = buffer[thread]
    filters = out[2]
    parts = (filters + portion - 1) // portion
    m_at = len(points) * len(points) * v_plane
    free = m_at + len(points) * len(points) * m_plane
    for item in range(lo, hi):
        start = item // parts * rows
        end = min(total, start + rows)
        for row in range(start, end):
            at = (row - start) * wide * image[2]
            place = (row // tall, row % tall, wide)
            _transform_input(x, image, place, tile, points, pad, scratch, free, at, v_plane)
        begin = item % parts * portion
        stop = min(filters, begin + portion)
        y_first = _first_output(start, tall, tile, out) if parts == 1 else y.size
        y_last = _first_output(end, tall, tile, out)
        for first in range(begin, stop, block):
            last = min(stop, first + block)
            _multiply(
                scratch, windows, (end - start) * wide, image[2], points,
                v_plane, m_at, m_plane, (first, last, block),
                y, y_first if first == 0 else y.size, y_last,
            )  # fmt: skip
            for row in range(start, end):
                at = m_at + (row - start) * wide * block
                place = (row // tall, row % tall, wide)
                _transform_output(
                    scratch, at, m_plane, free, bias, floor, y, out, place, tile, points,
                    (first, last, block),
                )  # fmt: skip


def grad_kernel(dy, x, pad, m, r=3):
    """The gradient in w (r, r, C, F); `pad` (top, left)."""
    images, *image = x.shape
    channels, filters = x.shape[3], dy.shape[3]
    n = m + r - 1
    tall, wide = -(-dy.shape[1] // m), -(-dy.shape[2] // m)
    blocks = -(-filters // _BLOCK_FILTERS)
    block = -(-filters // (blocks * WIDTH[4])) * WIDTH[4]
    sums = n * n * channels * block
    slabs = max(4, min(16, _SUMS // (4 * sums * blocks)))
    rows = _rows_of_tiles(images * tall, wide, channels + block, n, 64)
    per_slab = -(-images * tall // (rows * slabs)) * rows
    slabs = -(-images * tall // per_slab)
    planes = (_plane(rows * wide * channels), _plane(rows * wide * block))
    lines = n * (wide * m + r - 1) * channels
    size = n * n * sum(planes) + max(2 * lines, m * m * block)
    parts = memory.empty((slabs * blocks, n * n, _plane(channels * block)), x.dtype)
    launch(
        _correlate,
        slabs * blocks,
        1,
        x.reshape(-1),
        dy.reshape(-1),
        parts,
        threads.scratch(size, x.dtype),
        (0,) * m,
        (0,) * n,
        tuple(image),
        dy.shape[1:],
        (images * tall, tall, wide, rows, per_slab),
        (*pad, *planes, block),
    )
    dw = memory.empty((r, r, channels, filters), x.dtype)
    work = threads.chunk_of(n * n * filters * slabs)
    launch(_add_windows, channels, work, parts, dw, block, (0,) * r, (0,) * n)
    return dw


@helper
def _spread_tile(points, tile, dy, source, row, filters, count, scratch, target, plane):
    for f in range(0, count, lanes_of(dy)):
        _spread(
            points, tile, dy, source + f, row, filters,
            scratch, target + f, len(points) * plane, plane,
        )  # fmt: skip


@helper
def _spread_output(dy, out, place, tile, points, part, scratch, free, at, plane):
    """A^T dY A of one row of tiles for filters first to last."""
    height, width, filters = out
    number, row, wide = place
    first, last, block = part
    m, count = len(tile), last - first
    deep = min(m, height - row * m)
    for k in range(wide):
        across = min(m, width - k * m)
        source = ((number * height + row * m) * width + k * m) * filters + first
        target = at + k * block
        if deep == m and across == m:
            _spread_tile(
                points, tile, dy, source, width * filters, filters, count, scratch, target, plane
            )
        else:
            clear(scratch, free, m * m * count)
            for i in range(deep):
                for j in range(across):
                    place = source + (i * width + j) * filters
                    copy(scratch, free + (i * m + j) * count, dy, place, count)
            _spread_tile(
                points, tile, scratch, free, m * count, count, count, scratch, target, plane
            )


@inlined
def _add_outer_products(t, scratch, tiles, at, channels, w_at, sums, place, block):
    t = tile_load(t, sums, place, block)
    for _ in range(tiles):
        t = tile_fma(t, scratch, at, 1, scratch, w_at)
        at = hidden(at + channels)
        w_at = hidden(w_at + block)
    tile_store(t, sums, place, block)


@helper
def _multiply_turned(scratch, tiles, channels, count, v_plane, s_at, s_plane, sums, block):
    """sums[point] += V[point].T (C x tiles) @ spread[point] (tiles x F)."""
    width = VECTORS * lanes_of(scratch)
    for point in range(sums.shape[0]):
        for panel in range(0, count, width):
            at, w_at = point * v_plane, s_at + point * s_plane + panel
            place = point * sums.shape[1] + panel
            wide = panel + width <= count
            row = 0
            while row < channels:
                if not wide:
                    t = tile_zero(sums, _NARROW, 1)
                    _add_outer_products(t, scratch, tiles, at, channels, w_at, sums, place, block)
                    step = _NARROW
                elif _is_short(channels - row):
                    t = tile_zero(sums, _SHORT, VECTORS)
                    _add_outer_products(t, scratch, tiles, at, channels, w_at, sums, place, block)
                    step = _SHORT
                else:
                    t = tile_zero(sums, _TALL, VECTORS)
                    _add_outer_products(t, scratch, tiles, at, channels, w_at, sums, place, block)
                    step = _TALL
                row += step
                at += step
                place += step * block


@kernel
def _correlate(lo, hi, thread, x, dy, parts, buffer, tile, points, image, out, grid, plan):
    # One item is one slab of rows of tiles times one block of filters; its sums are its own.
    total, tall, wide, rows, per_slab = grid
    v_plane, s_plane, block = plan[2:]
    pad = plan[:2]
    scratch = buffer[thread]
    channels = image[2]
    blocks = (out[2] + block - 1) // block
    s_at = parts.shape[1] * v_plane
    free = s_at + parts.shape[1] * s_plane
    for item in range(lo, hi):
        slab, first = item // blocks, item % blocks * block
        last = min(out[2], first + block)
        clear(parts, item * parts[0].size, parts[0].size)
        finish = min(total, slab * per_slab + per_slab)
        for start in range(slab * per_slab, finish, rows):
            end = min(finish, start + rows)
            for row in range(start, end):
                k = (row - start) * wide
                place = (row // tall, row % tall, wide)
                _transform_input(
                    x, image, place, tile, points, pad, scratch, free, k * channels, v_plane
                )
                _spread_output(
                    dy, out, place, tile, points, (first, last, block),
                    scratch, free, s_at + k * block, s_plane,
                )  # fmt: skip
            _multiply_turned(
                scratch, (end - start) * wide, channels, last - first, v_plane, s_at, s_plane,
                parts[item], block,
            )  # fmt: skip


@kernel
def _add_windows(lo, hi, thread, parts, dw, block, window, points):
    # One item is one input channel: its slabs' sums are added in order, then G^T sums G.
    channels, filters, n = dw.shape[2], dw.shape[3], len(points)
    blocks = (filters + block - 1) // block
    tap, plane = channels * filters, parts.shape[2]
    for c in range(lo, hi):
        for item in range(blocks):
            for other in range(item + blocks, parts.shape[0], blocks):
                for p in range(n * n):
                    total = parts[item, p, c * block : c * block + block]
                    part = parts[other, p, c * block : c * block + block]
                    for f in range(block):
                        total[f] += part[f]
            for f in range(0, min(block, filters - item * block), lanes_of(dw)):
                source = item * n * n * plane + c * block + f
                target = c * filters + item * block + f
                _narrow(
                    window, points, parts, source, n * plane, plane,
                    dw, target, len(window) * tap, tap,
                )  # fmt: skip
