"""Direct convolution as an implicit matrix product, for any geometry.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). A thread copies one image (of one group)
into a scratch with its padding. There, what an output reads lies at the output's own place plus a
table of offsets, one for each (r, s, c): any window, dilation and channel count is the same loop.
 A register tile holds neighbouring outputs of one row times a panel of filters.

The gradient in x gathers, too: for each of the stride's phases, the inputs of that phase are a
convolution of dy with stride 1 and the taps that reach the phase. The gradient in w keeps a tile of
(r, s, c) times filters and runs over the outputs; images are split into a fixed number of slabs
with sums of their own, added in order.
"""

import functools
from typing import NamedTuple

import numpy as np

from . import memory, threads
from .launch import helper, kernel, launch
from .simd import (
    ROWS,
    VECTORS,
    WIDTH,
    clear,
    copy,
    hidden,
    lanes_of,
    tile_fma,
    tile_fma_at,
    tile_load,
    tile_relu,
    tile_rows,
    tile_store,
    tile_zero,
)

_POSITIONS = (
    128  # outputs in a block of the gradient in w: their panel of dy stays in the first cache
)
_BLOCK_FILTERS = 64


class Gather(NamedTuple):
    """A convolution as gathering: the source's padding and, for each phase, its taps and outputs.

    `pad` (top, left), `size` (rows, columns) of the padded source, `step` (rows, columns) in it
    from one output to the next. `phases` has a row for each phase: first tap, number of taps,
    first output row, number of rows, first output column, number of columns; `out_step` leads from
    one output of a phase to the next. `taps` has a row for each tap: row and column offset in the
    padded source, and the tap's place r * S + s in w.
    """

    pad: tuple[int, int]
    size: tuple[int, int]
    step: tuple[int, int]
    out_step: tuple[int, int]
    phases: np.ndarray
    taps: np.ndarray


@functools.lru_cache(256)
def forward_gather(extents, window, geometry):
    """How y gathers from x with `extents` (H, W): one phase, every tap."""
    (top, bottom), (left, right) = geometry.pad
    stride, dilation = geometry.stride, geometry.dilation
    out = geometry.out_size
    taps = [
        (r * dilation[0], s * dilation[1], r * window[1] + s)
        for r in range(window[0])
        for s in range(window[1])
    ]
    size = tuple(
        max(before + extent + after, (o - 1) * step + (reach - 1) * d + 1)
        for before, extent, after, o, step, reach, d in zip(
            (top, left), extents, (bottom, right), out, stride, window, dilation, strict=True
        )
    )
    phases = np.array([[0, len(taps), 0, out[0], 0, out[1]]], np.int64)
    return Gather((top, left), size, stride, (1, 1), phases, np.array(taps, np.int64))


@functools.lru_cache(256)
def backward_gather(extents, window, geometry):
    """How dx, `extents` (H, W), gathers from dy: a phase for each (h mod stride, w mod stride)."""
    axes = [
        _axis_phases(
            extents[axis],
            window[axis],
            geometry.stride[axis],
            geometry.dilation[axis],
            geometry.pad[axis][0],
            geometry.out_size[axis],
        )
        for axis in (0, 1)
    ]
    taps, phases = [], []
    (rows, top, height), (columns, left, width) = axes
    for row in rows:
        for column in columns:
            phases.append((len(taps), len(row[2]) * len(column[2]), *row[:2], *column[:2]))
            taps.extend((i, j, r * window[1] + s) for r, i in row[2] for s, j in column[2])
    table = np.array(taps, np.int64).reshape(-1, 3)
    stride = geometry.stride
    return Gather((top, left), (height, width), (1, 1), stride, np.array(phases, np.int64), table)


def _axis_phases(extent, window, stride, dilation, pad, outputs):
    """Phases of one axis: (first place, how many, [(tap, offset)]), padding before, padded size.

    x at h = phase + i * stride is read by tap r of output p = (h + pad - r * dilation) / stride,
    where that is a whole number: p = i + (phase + pad - r * dilation) / stride.
    """
    phases = []
    for phase in range(min(stride, extent)):
        reached = [
            (r, (phase + pad - r * dilation) // stride)
            for r in range(window)
            if (phase + pad - r * dilation) % stride == 0
        ]
        phases.append((phase, -(-(extent - phase) // stride), reached))
    offsets = [p for _, _, reached in phases for _, p in reached] or [0]
    before = max(0, -min(offsets))
    last = max([many - 1 + p for _, many, reached in phases for _, p in reached] or [0])
    shifted = [(at, many, [(r, p + before) for r, p in taps]) for at, many, taps in phases]
    return shifted, before, max(before + outputs, before + last + 1)


def gather(source, w, bias, relu, plan, out_shape, groups, transposed):
    """The sum over taps of source times w; `transposed` swaps channels and filters of each tap."""
    out = memory.empty(out_shape, source.dtype)
    if out.size == 0:
        return out
    width = WIDTH[source.itemsize]
    channels, filters = source.shape[3] // groups, out_shape[3] // groups
    panels = -(-filters // width)
    n_taps = len(plan.taps)
    packed = memory.empty((groups * panels * n_taps * channels * width,), source.dtype)
    sizes = (groups, channels, filters, int(transposed))
    launch(
        _pack_taps,
        groups * n_taps,
        threads.chunk_of(channels * filters),
        w.reshape(w.shape[0] * w.shape[1], *w.shape[2:]),
        plan.taps,
        packed,
        plan.phases,
        sizes,
    )
    room = (plan.size[0] * plan.size[1] + ROWS * plan.step[1]) * channels
    offsets = _offset_table(plan, channels)
    work = plan.phases[:, 1] @ (plan.phases[:, 3] * plan.phases[:, 5]) * channels * panels * width
    launch(
        _gather,
        source.shape[0] * groups,
        threads.chunk_of(int(work) // 8),
        source,
        packed,
        np.empty(0, source.dtype) if bias is None else bias,
        out,
        threads.scratch(room + (1 + ROWS) * width, source.dtype),
        offsets,
        plan.phases,
        (groups, int(relu), room),
        (*plan.pad, *plan.size, *plan.step, *plan.out_step),
    )
    return out


def _offset_table(plan, channels, unit=1):
    """For each (tap, channel) its offset in the padded source; the last repeats to fill `unit`."""
    places = (plan.taps[:, 0] * plan.size[1] + plan.taps[:, 1]) * channels
    table = (places[:, None] + np.arange(channels)).reshape(-1)
    return np.concatenate([table, np.repeat(table[-1:], -len(table) % unit)])


@kernel
def _pack_taps(lo, hi, thread, w, taps, out, phases, sizes):
    # One item is one tap of one group: out[group][phase][panel][tap, c][width].
    groups, channels, filters, transposed = sizes
    width = VECTORS * lanes_of(out)
    panels = (filters + width - 1) // width
    n_taps = taps.shape[0]
    for item in range(lo, hi):
        group, tap = item // n_taps, item % n_taps
        phase = 0
        while tap >= phases[phase, 0] + phases[phase, 1]:
            phase += 1
        begin, depth = phases[phase, 0], phases[phase, 1] * channels
        matrix = w[taps[tap, 2]]
        base = (group * n_taps + begin) * channels * panels * width
        for panel in range(panels):
            at = base + (panel * depth + (tap - begin) * channels) * width
            first = panel * width
            present = min(width, filters - first)
            if present < width:
                clear(out, at, channels * width)
            for c in range(channels):
                if transposed == 1:
                    column = group * channels + c
                    for f in range(present):
                        out[at + c * width + f] = matrix[first + f, column]
                else:
                    row = matrix[c]
                    column = group * filters + first
                    for f in range(present):
                        out[at + c * width + f] = row[column + f]


@helper
def _pad_image(x, image, group, channels, scratch, top, left, rows, columns):
    """Image `image`, the channels of `group`, into the scratch with zeros around."""
    height, width, line = x.shape[1], x.shape[2], columns * channels
    clear(scratch, 0, top * line)
    row_size = width * x.shape[3]
    for h in range(height):
        at = (top + h) * line
        clear(scratch, at, left * channels)
        at += left * channels
        source = (image * height + h) * row_size + group * channels
        if channels == x.shape[3]:
            copy(scratch, at, x, source, width * channels)
        else:
            for i in range(width):
                for c in range(channels):
                    scratch[at + i * channels + c] = x[image, h, i, group * channels + c]
        clear(scratch, at + width * channels, (columns - left - width) * channels)
    done = top + height
    clear(scratch, done * line, (rows - done) * line)


@kernel
def _gather(lo, hi, thread, x, w, bias, y, buffer, offsets, phases, sizes, plan):
    # One item is one image and group: one thread owns those channels of its outputs.
    groups, relu, room = sizes
    channels, filters = x.shape[3] // groups, y.shape[3] // groups
    scratch = buffer[thread]
    for item in range(lo, hi):
        image, group = item // groups, item % groups
        _pad_image(x, image, group, channels, scratch, plan[0], plan[1], plan[2], plan[3])
        for phase in range(phases.shape[0]):
            _gather_phase(
                scratch, w, group * (w.size // groups), bias, group * filters,
                y, (image, group * filters), filters, offsets, phases[phase], channels,
                relu, room, plan,
            )  # fmt: skip


@helper
def _gather_phase(
    x, w, w_at, bias, bias_at, y, target, filters, offsets, phase, channels, relu, room, plan
):
    width = VECTORS * lanes_of(y)
    begin, depth = phase[0] * channels, phase[1] * channels
    table = offsets[begin : begin + depth]
    panels = (filters + width - 1) // width
    w_at += begin * panels * width
    row_step, step = plan[4] * plan[3] * channels, plan[5] * channels
    out_columns, out_filters = y.shape[2], y.shape[3]
    out_step = plan[7] * out_filters
    part_at = room + width
    for first in range(0, filters, width):
        present = min(width, filters - first)
        if bias.size > 0:
            clear(x, room, width)
            copy(x, room, bias, bias_at + first, present)
        for i in range(phase[3]):
            row = target[0] * y.shape[1] + phase[2] + i * plan[6]
            y_at = (row * out_columns + phase[4]) * out_filters + target[1] + first
            for j in range(0, phase[5], ROWS):
                # The last tile overlaps the one before, where a row has as many outputs.
                start = max(0, min(j, phase[5] - ROWS))
                t = tile_zero(y, ROWS, VECTORS)
                if bias.size > 0:
                    t = tile_rows(t, x, room)
                at = i * row_step + start * step
                for k in range(table.size):
                    t = tile_fma(t, x, at + table[k], step, w, w_at + k * width)
                if relu == 1:
                    t = tile_relu(t)
                if present == width and start + ROWS <= phase[5]:
                    tile_store(t, y, y_at + start * out_step, out_step)
                else:
                    tile_store(t, x, part_at, width)
                    for m in range(min(ROWS, phase[5] - start)):
                        copy(y, y_at + (start + m) * out_step, x, part_at + m * width, present)
        w_at += depth * width


def scatter(dy, w, x_shape, geometry):
    """The gradient in x for few channels: each output's dy times all of w, added where it read.

    A panel as wide as a tile would be mostly zeros with few channels, but the (r, s, c) fill it.
    """
    plan = forward_gather(x_shape[1:3], w.shape[:2], geometry)
    dx = memory.empty(x_shape, dy.dtype)
    if dx.size == 0:
        return dx
    groups, channels = geometry.groups, w.shape[2]
    depth, filters = len(plan.taps) * channels, w.shape[3] // geometry.groups
    width = WIDTH[dy.itemsize]
    panels = -(-depth // width)
    padded = np.zeros((panels * width, groups, filters), dy.dtype)
    padded[:depth] = w.reshape(depth, groups, filters)
    packed = padded.reshape(panels, width, groups, filters).transpose(2, 0, 3, 1)
    room = plan.size[0] * plan.size[1] * channels
    work = geometry.out_size[0] * geometry.out_size[1] * panels * width * filters
    launch(
        _scatter,
        x_shape[0] * groups,
        threads.chunk_of(work // 8),
        dy,
        np.ascontiguousarray(packed).reshape(-1),
        dx,
        threads.scratch(room + ROWS * panels * width, dy.dtype),
        _offset_table(plan, channels),
        (groups, room),
        (*plan.pad, *plan.size, *plan.step),
    )
    return dx


@kernel
def _scatter(lo, hi, thread, dy, w, dx, buffer, offsets, sizes, plan):
    # One item is one image and group: one thread owns those channels of dx.
    groups, room = sizes
    channels, filters = dx.shape[3] // groups, dy.shape[3] // groups
    scratch = buffer[thread]
    columns = dy.shape[2]
    # Rows shorter than a tile go one output at a time, in every row of the tile.
    stride, advance = (dy.shape[3], ROWS) if columns >= ROWS else (0, 1)
    for item in range(lo, hi):
        image, group = item // groups, item % groups
        clear(scratch, 0, room)
        for p in range(dy.shape[1]):
            source = (image * dy.shape[1] + p) * columns * dy.shape[3] + group * filters
            for q in range(0, columns, advance):
                first = min(q, columns - advance)
                _multiply_outputs(
                    scratch, room, dy, source + first * dy.shape[3], stride,
                    w, group * (w.size // groups), filters, offsets.size,
                )  # fmt: skip
                for number in range(q, min(columns, q + advance)):
                    at = (p * plan[4] * plan[3] + number * plan[5]) * channels
                    _add_taps(scratch, at, offsets, room, number - first)
        _cut_image(scratch, dx, image, group, channels, plan)


@helper
def _multiply_outputs(scratch, at, dy, dy_at, stride, w, w_at, filters, depth):
    """scratch[at:] = the dy of some outputs (a tile's rows) times all (r, s, c) of w."""
    width = VECTORS * lanes_of(dy)
    pitch = (depth + width - 1) // width * width
    for panel in range(0, depth, width):
        t = tile_zero(dy, ROWS, VECTORS)
        for f in range(filters):
            t = tile_fma(t, dy, dy_at + f, stride, w, w_at + f * width)
        tile_store(t, scratch, at + panel, pitch)
        w_at += filters * width


@helper
def _add_taps(scratch, at, offsets, products_at, row):
    width = VECTORS * lanes_of(scratch)
    pitch = (offsets.size + width - 1) // width * width
    image, products = scratch[at:products_at], scratch[products_at + row * pitch :]
    for k in range(offsets.size):
        image[np.uint64(offsets[k])] += products[k]  # unsigned: no test for indices from the end


@helper
def _cut_image(scratch, x, image, group, channels, plan):
    """The image without its padding, from the scratch."""
    top, left, columns = plan[0], plan[1], plan[3]
    for h in range(x.shape[1]):
        for v in range(x.shape[2]):
            at = ((top + h) * columns + left + v) * channels
            for c in range(channels):
                x[image, h, v, group * channels + c] = scratch[at + c]


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w of the convolution."""
    groups = geometry.groups
    plan = forward_gather(x.shape[1:3], w_shape[:2], geometry)
    dw = memory.empty(w_shape, x.dtype)
    if dw.size == 0:
        return dw
    if dy.size == 0:
        dw.fill(0)
        return dw
    width = WIDTH[x.itemsize]
    channels, filters = w_shape[2], w_shape[3] // groups
    depth = len(plan.taps) * channels
    offsets = _offset_table(plan, channels, ROWS)
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
    room = plan.size[0] * plan.size[1] * channels
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
        (*plan.pad, *plan.size, *plan.step),
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
            _pad_image(x, image, group, channels, scratch, plan[0], plan[1], plan[2], plan[3])
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
