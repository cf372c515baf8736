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
from .conv_winograd_grad import grad_kernel as grad_kernel
from .conv_winograd_tiles import (
    BLOCK_FILTERS,
    MATRICES,
    NARROW,
    SHORT,
    TALL,
    TILES,
    UNIT,
    is_short,
    plane_size,
    rows_of_tiles,
    transform_input,
)
from .conv_winograd_transforms import prefetch_to_write, sandwich
from .launch import helper, inlined, kernel, launch
from .simd import (
    VECTORS,
    WIDTH,
    copy,
    lanes_of,
    tile_fma,
    tile_store,
    tile_zero,
    transpose_block,
)

_output = sandwich("_output", [a for _, _, a in MATRICES], finish=True)
_window = sandwich("_window", [g for _, g, _ in MATRICES])

_ITEMS, _WORK = 8, 400_000  # items wanted, each of so many products at least: 10 microseconds
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
    block = min(portion, BLOCK_FILTERS)
    tiles = -(-rows * wide // NARROW) * NARROW
    planes = (plane_size(tiles * channels), plane_size(tiles * block))
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
    rows = rows_of_tiles(total, wide, channels + min(filters, BLOCK_FILTERS), n, 32)
    wanted = min(_ITEMS, total * wide * n * n * channels * filters // _WORK)
    if -(-total // rows) >= wanted:
        return rows, filters
    rows = min(rows, max(-(-NARROW // wide), -(-total // wanted)))
    parts = -(-wanted // -(-total // rows))
    return rows, -(-filters // (parts * WIDTH[4])) * WIDTH[4]


@functools.cache
def _no_bias(filters):
    zeros = np.zeros(filters, np.float32)
    zeros.setflags(write=False)  # a constant, also to a recorder of launches
    return zeros


def _transformed_windows(w, m):
    """G w G^T as [point][panel of filters][c][filter]; the last panel may have one vector."""
    r, _, channels, filters = w.shape
    n = m + r - 1
    out = memory.empty((n * n, plane_size(channels * filters)), w.dtype)
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
                    t = tile_zero(scratch, NARROW, 1)
                    _rows_times_panel(t, scratch, v_at, channels, windows, w_at, lanes, m_at, block)
                    step = NARROW
                elif is_short(tiles - row):
                    t = tile_zero(scratch, SHORT, VECTORS)
                    _rows_times_panel(t, scratch, v_at, channels, windows, w_at, width, m_at, block)
                    step = SHORT
                else:
                    t = tile_zero(scratch, TALL, VECTORS)
                    _rows_times_panel(t, scratch, v_at, channels, windows, w_at, width, m_at, block)
                    step = TALL
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
            transform_input(x, image, place, tile, points, pad, scratch, free, at, v_plane)
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
