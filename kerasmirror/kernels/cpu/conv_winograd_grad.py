"""The gradient in w of a Winograd convolution: G^T [ sum of (B d B^T) (A^T dY A) ] G.

The names are those of conv_winograd.py.
"""

from . import memory, threads
from .conv_winograd_points import transposed
from .conv_winograd_tiles import (
    BLOCK_FILTERS,
    MATRICES,
    NARROW,
    SHORT,
    TALL,
    is_short,
    plane_size,
    rows_of_tiles,
    transform_input,
)
from .conv_winograd_transforms import sandwich
from .launch import helper, inlined, kernel, launch
from .simd import (
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
)

_spread = sandwich("_spread", [transposed(a) for _, _, a in MATRICES])
_narrow = sandwich("_narrow", [transposed(g) for _, g, _ in MATRICES])

_SUMS = 8 << 20  # bytes of the partial sums


def grad_kernel(dy, x, pad, m, r=3):
    """The gradient in w (r, r, C, F); `pad` (top, left)."""
    images, *image = x.shape
    channels, filters = x.shape[3], dy.shape[3]
    n = m + r - 1
    tall, wide = -(-dy.shape[1] // m), -(-dy.shape[2] // m)
    blocks = -(-filters // BLOCK_FILTERS)
    block = -(-filters // (blocks * WIDTH[4])) * WIDTH[4]
    sums = n * n * channels * block
    slabs = max(4, min(16, _SUMS // (4 * sums * blocks)))
    rows = rows_of_tiles(images * tall, wide, channels + block, n, 64)
    per_slab = -(-images * tall // (rows * slabs)) * rows
    slabs = -(-images * tall // per_slab)
    planes = (plane_size(rows * wide * channels), plane_size(rows * wide * block))
    lines = n * (wide * m + r - 1) * channels
    size = n * n * sum(planes) + max(2 * lines, m * m * block)
    parts = memory.empty((slabs * blocks, n * n, plane_size(channels * block)), x.dtype)
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
                    t = tile_zero(sums, NARROW, 1)
                    _add_outer_products(t, scratch, tiles, at, channels, w_at, sums, place, block)
                    step = NARROW
                elif is_short(channels - row):
                    t = tile_zero(sums, SHORT, VECTORS)
                    _add_outer_products(t, scratch, tiles, at, channels, w_at, sums, place, block)
                    step = SHORT
                else:
                    t = tile_zero(sums, TALL, VECTORS)
                    _add_outer_products(t, scratch, tiles, at, channels, w_at, sums, place, block)
                    step = TALL
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
                transform_input(
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
