"""Gradient of direct convolution in w.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). A register tile holds some (r, s, c) times
a panel of filters and runs over the outputs of a block of rows. Bands of rows of images are split
into a fixed number of slabs with sums of their own, added in order: results do not depend on the
number of threads.
"""

import numpy as np

from . import memory, threads
from .conv_gather import band_height, forward_gather, pad_rows, panel_shape, tile_of
from .launch import helper, kernel, launch
from .simd import (
    BITS,
    ROWS,
    VECTORS,
    clear,
    lanes_of,
    tile_fma_at,
    tile_load,
    tile_load_part,
    tile_store,
)

_POSITIONS = 128  # outputs in a block: their panel of dy stays in the first cache
_BLOCK_FILTERS = 64
_ITEMS = 8  # slabs wanted, so that several threads share the work evenly


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w of the convolution."""
    dw = memory.empty(w_shape, x.dtype)
    if dw.size == 0:
        return dw
    if dy.size == 0:
        dw.fill(0)
        return dw
    groups, channels, filters = geometry.groups, w_shape[2], w_shape[3] // geometry.groups
    plan = forward_gather(x.shape[1:3], w_shape[:2], geometry, channels, x.shape[3])
    vectors, _ = panel_shape(min(filters, _BLOCK_FILTERS), x.itemsize)
    width = vectors * BITS // 8 // x.itemsize
    depth = len(plan.offsets)
    height = tile_height(depth, vectors)
    offsets = np.concatenate([plan.offsets, np.repeat(plan.offsets[-1:], -depth % height)])
    block = min(_BLOCK_FILTERS, -(-filters // width) * width)
    blocks = -(-filters // block)
    band = band_height(plan, x.shape[0], x.shape[3] * x.itemsize)
    bands = x.shape[0] * -(-geometry.out_size[0] // band)
    sums = groups * blocks * block * len(offsets)
    slabs, per_slab = slabs_of(bands, sums)
    parts = memory.empty((slabs * sums,), x.dtype)
    columns = geometry.out_size[1]
    rows = min(band, max(1, _POSITIONS // columns))
    room = ((band - 1) * plan.step[0] + plan.reach) * plan.columns * x.shape[3]
    launch(
        _gather_kernel,
        slabs,
        threads.chunk_of(per_slab * band * columns * depth * w_shape[3] // 8),
        x,
        dy.reshape(-1),
        parts,
        threads.scratch(room + rows * columns * width, x.dtype),
        offsets,
        places_of(plan, rows, columns, x.shape[3]),
        (0,) * height,
        (0,) * vectors,
        (groups, filters, block, per_slab, room, band, rows),
        (*plan.pad, plan.columns, plan.reach, plan.step[0]),
        geometry.out_size,
    )
    return add_kernels(parts, dw, (slabs, groups, blocks, block, len(offsets), width), depth)


def slabs_of(bands, sums):
    """How many slabs share some bands, each with its own `sums`, and how many bands have each.

    As many slabs as keep their sums within a few MB, whatever the number of threads.
    """
    slabs = max(1, min(bands, 32, max(_ITEMS, (1 << 19) // sums)))
    per_slab = -(-bands // slabs)
    return -(-bands // per_slab), per_slab


def add_kernels(parts, dw, sizes, depth):
    """dw, of which a row is one of `depth` (r, s, c), from the sums of the slabs."""
    filters = dw.shape[3]
    chunk = threads.chunk_of(filters * sizes[0])
    launch(_add_kernels, depth, chunk, parts, dw.reshape(depth, filters), sizes)
    return dw


def tile_height(depth, vectors):
    """Rows of the tile: those of the other tiles, or one more where fewer are left over."""
    if vectors == 1 and BITS == 256:
        # 16 registers: with 8 sums LLVM keeps some in memory; 67 instead of 43 GFLOP/s.
        return 7 if depth > 9 else 9
    height = ROWS * VECTORS // vectors
    return min((height, height + 1), key=lambda rows: -depth % rows)


def places_of(plan, rows, columns, pitch):
    """Where the outputs of some rows read from, in the padded source."""
    lines = np.arange(rows) * (plan.step[0] * plan.columns * pitch)
    return (lines[:, None] + np.arange(columns) * (plan.step[1] * pitch)).reshape(-1)


@kernel
def _gather_kernel(
    lo, hi, thread, x, dy, parts, buffer, offsets, places, height, vectors, sizes, plan, out_size
):
    # One item is one slab of bands; its sums are its own.
    groups, filters, block, per_slab, room, band, rows = sizes
    top, left, columns, reach, step = plan
    blocks, bands = (filters + block - 1) // block, (out_size[0] + band - 1) // band
    channels, all_filters = x.shape[3] // groups, filters * groups
    scratch = buffer[thread]
    size = block * offsets.size
    for slab in range(lo, hi):
        clear(parts, slab * groups * blocks * size, groups * blocks * size)
        for number in range(slab * per_slab, min(x.shape[0] * bands, slab * per_slab + per_slab)):
            image, begin = number // bands, number % bands * band
            end = min(out_size[0], begin + band)
            count = (end - begin - 1) * step + reach
            pad_rows(x, image, scratch, begin * step, count, top, left, columns)
            for part in range(groups * blocks):
                group, first = part // blocks, part % blocks * block
                for row in range(begin, end, rows):
                    place = (image * out_size[0] + row) * out_size[1]
                    _add_block(
                        scratch, (row - begin) * step * columns * x.shape[3] + group * channels,
                        room, dy, place * all_filters + group * filters + first, all_filters,
                        min(block, filters - first), parts,
                        (slab * groups * blocks + part) * size, offsets,
                        places[: min(rows, end - row) * out_size[1]], height, vectors,
                    )  # fmt: skip


@helper
def _add_block(
    x, at, room, dy, dy_at, filters, count, parts, parts_at, offsets, places, height, vectors
):
    """Add what a block of outputs contributes, panel by panel of filters."""
    width = len(vectors) * lanes_of(dy)
    for panel in range(0, count, width):
        # Lines far apart fall on few places of the first cache: a copy of 64 filters' is faster.
        if panel + width <= count and filters < _BLOCK_FILTERS:
            _add_panel(
                x, at, dy, dy_at + panel, filters, parts, parts_at, offsets, places, height, vectors
            )
        else:
            line = tile_of(dy, (0,), vectors)
            for i in range(places.size):
                part = tile_load_part(line, dy, dy_at + i * filters + panel, 0, 1, count - panel)
                tile_store(part, x, room + i * width, 0)
            _add_panel(x, at, x, room, width, parts, parts_at, offsets, places, height, vectors)
        parts_at += offsets.size * width


@helper
def _add_panel(x, at, dy, dy_at, step, parts, parts_at, offsets, places, height, vectors):
    """parts[k, :] += the sum over places of x[at + place + offsets[k]] * dy[place, :]."""
    width = len(vectors) * lanes_of(dy)
    for k in range(0, offsets.size, len(height)):
        t = tile_load(tile_of(dy, height, vectors), parts, parts_at + k * width, width)
        for i in range(places.size):
            t = tile_fma_at(t, x, at + places[i], offsets, k, dy, dy_at + i * step)
        tile_store(t, parts, parts_at + k * width, width)


@kernel
def _add_kernels(lo, hi, thread, parts, dw, sizes):
    # One item is one row (r, s, c) of dw: the slabs' sums are added in order.
    slabs, groups, blocks, block, depth, width = sizes
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
