"""Gradient of direct convolution in w.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). The gradient in w keeps a tile of
(r, s, c) times filters and runs over the outputs; images are split into a fixed number of slabs
with sums of their own, added in order.
"""

import numpy as np

from . import memory, threads
from .conv_gather import forward_gather, pad_rows
from .launch import helper, kernel, launch
from .simd import (
    ROWS,
    VECTORS,
    WIDTH,
    clear,
    copy,
    hidden,
    lanes_of,
    tile_fma_at,
    tile_load,
    tile_store,
    tile_zero,
)

_POSITIONS = 128  # outputs in a block: their panel of dy stays in the first cache
_BLOCK_FILTERS = 64


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w of the convolution."""
    groups = geometry.groups
    plan = forward_gather(x.shape[1:3], w_shape[:2], geometry, w_shape[2])
    dw = memory.empty(w_shape, x.dtype)
    if dw.size == 0:
        return dw
    if dy.size == 0:
        dw.fill(0)
        return dw
    width = WIDTH[x.itemsize]
    channels, filters = w_shape[2], w_shape[3] // groups
    depth = len(plan.taps) * channels
    offsets = _filled(plan.offsets, ROWS)
    images = x.shape[0]
    # As many slabs as keep their sums within a few MB, whatever the number of threads.
    sums = groups * -(-filters // width) * width * len(offsets)
    slabs = max(1, min(images, 32, max(8, (1 << 19) // sums)))
    per_slab = -(-images // slabs)
    slabs = -(-images // per_slab)
    block = min(_BLOCK_FILTERS, -(-filters // width) * width)
    blocks = -(-filters // block)
    parts = memory.empty((slabs * groups * blocks * block * len(offsets),), x.dtype)
    rows = max(1, _POSITIONS // geometry.out_size[1])
    room = plan.rows * plan.columns * channels
    positions = rows * geometry.out_size[1]
    work = per_slab * geometry.out_size[0] * geometry.out_size[1] * depth * block
    launch(
        _gather_kernel,
        slabs * groups * blocks,
        threads.chunk_of(work // 8),
        x,
        dy,
        parts,
        threads.scratch(room + positions * block, x.dtype),
        offsets,
        (groups, filters, block, per_slab, rows, room),
        (*plan.pad, plan.rows, plan.columns, *plan.step),
    )
    launch(
        _add_kernels,
        depth,
        threads.chunk_of(w_shape[3] * slabs),
        parts,
        dw.reshape(-1, w_shape[3]),
        (slabs, groups, blocks, block, len(offsets)),
    )
    return dw


def _filled(offsets, unit):
    """The offsets, the last one repeated to fill whole units."""
    return np.concatenate([offsets, np.repeat(offsets[-1:], -len(offsets) % unit)])


@kernel
def _gather_kernel(lo, hi, thread, x, dy, parts, buffer, offsets, sizes, plan):
    # One item is one slab of images times one block of filters; its sums are its own.
    groups, filters, block, per_slab, rows, room = sizes
    channels = x.shape[3] // groups
    blocks = (filters + block - 1) // block
    scratch = buffer[thread]
    size = block * offsets.size
    for item in range(lo, hi):
        slab, rest = item // (groups * blocks), item % (groups * blocks)
        group, first = rest // blocks, rest % blocks * block
        clear(parts, item * size, size)
        for image in range(slab * per_slab, min(x.shape[0], slab * per_slab + per_slab)):
            pad_rows(x, image, group, channels, scratch, 0, plan[2], plan[0], plan[1], plan[3])
            for row in range(0, dy.shape[1], rows):
                _add_rows(
                    scratch, dy, parts, item * size, offsets, image,
                    (row, min(dy.shape[1], row + rows)), group * filters + first,
                    min(block, filters - first), room, plan, channels,
                )  # fmt: skip


@helper
def _add_rows(x, dy, parts, parts_at, offsets, image, rows, first, count, room, plan, channels):
    """Add what output rows `rows` of one image contribute, panel by panel of filters."""
    width = VECTORS * lanes_of(dy)
    columns, filters = dy.shape[2], dy.shape[3]
    source = ((image * dy.shape[1] + rows[0]) * columns) * filters + first
    positions = (rows[1] - rows[0]) * columns
    row_step, step = plan[4] * plan[3] * channels, plan[5] * channels
    for panel in range(0, count, width):
        present = min(width, count - panel)
        if present < width:
            clear(x, room, positions * width)
        for position in range(positions):
            copy(x, room + position * width, dy, source + position * filters + panel, present)
        for k in range(0, offsets.size, ROWS):
            t = tile_load(tile_zero(dy, ROWS, VECTORS), parts, parts_at + k * width, width)
            w_at = room
            for row in range(rows[0], rows[1]):
                at = row * row_step
                for _ in range(columns):
                    t = tile_fma_at(t, x, at, offsets, k, x, w_at)
                    at = hidden(at + step)
                    w_at += width
            tile_store(t, parts, parts_at + k * width, width)
        parts_at += offsets.size * width


@kernel
def _add_kernels(lo, hi, thread, parts, dw, sizes):
    # One item is one row (r, s, c) of dw: the slabs' sums are added in order.
    slabs, groups, blocks, block, depth = sizes
    width = VECTORS * lanes_of(dw)
    filters = dw.shape[1] // groups
    for k in range(lo, hi):
        row = dw[k]
        for group in range(groups):
            for f in range(0, filters, width):
                present = min(width, filters - f)
                at = ((group * blocks + f // block) * block + f % block) * depth + k * width
                out = row[group * filters + f : group * filters + f + present]
                part = parts[at : at + present]  # slice = slice would compile for two seconds
                for i in range(present):
                    out[i] = part[i]
                for _ in range(1, slabs):
                    at += groups * blocks * block * depth
                    part = parts[at : at + present]
                    for i in range(present):
                        out[i] += part[i]
