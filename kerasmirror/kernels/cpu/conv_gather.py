"""Direct convolution as an implicit matrix product, for any geometry.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). A thread copies a band of rows of one image
(of one group) into a scratch with its padding. There, what an output reads lies at the output's own
place plus a table of offsets, one for each (r, s, c): any window, dilation and channel count is the
same loop. A register tile holds neighbouring outputs of one row times a panel of filters.

The gradient in x gathers, too: for each of the stride's phases, the inputs of that phase are a
convolution of dy with stride 1 and the taps that reach the phase.
"""

import functools
from typing import NamedTuple

import numpy as np

from . import memory, threads
from .deferred import intrinsic
from .launch import helper, kernel, launch
from .simd import (
    BITS,
    ROWS,
    VECTORS,
    Tile,
    clear,
    copy,
    ir,
    lanes_of,
    tile_fma,
    tile_relu,
    tile_rows,
    tile_store,
    tile_store_part,
)

_ITEMS = 8  # bands wanted, so that several threads share the work evenly
_NEAR = 256 * 1024  # bytes of a band's scratch that stay in a core's second cache
_SIZES = 256  # of arrays whose settings are kept with a plan


class Gather(NamedTuple):
    """A convolution as gathering: the source's padding and, for each phase, its taps and outputs.

    `pad` (top, left), `columns` of the padded source, `step` (rows, columns) in it from one output
    to the next, `reach`: how many rows the outputs of one row read. `phases` has a row for each
    phase: first tap, number of taps, first output row, number of rows, first output column, number
    of columns; `out_step` leads from one output of a phase to the next. `taps` has a row for each
    tap: row and column offset in the padded source, and the tap's place r * S + s in w. `offsets`
    has the place in the padded source for each (tap, channel), relative to an output's own.
    `tallest` is the largest number of rows of a phase. `settled` keeps what `gather` has found for
    one size of arrays: in a small convolution, finding it again would take as long as its sums.
    """

    pad: tuple[int, int]
    rows: int
    columns: int
    step: tuple[int, int]
    out_step: tuple[int, int]
    reach: int
    phases: np.ndarray
    taps: np.ndarray
    offsets: np.ndarray
    products: int
    tallest: int
    settled: dict


def _gather_plan(pad, size, step, out_step, phases, taps, channels, pitch):
    taps = np.array(taps, np.int64).reshape(-1, 3)
    phases = np.array(phases, np.int64)
    places = (taps[:, :1] * size[1] + taps[:, 1:2]) * pitch
    offsets = np.ascontiguousarray((places + np.arange(channels)).reshape(-1))
    products = int(phases[:, 1] @ (phases[:, 3] * phases[:, 5])) * channels
    reach = int(taps[:, 0].max(initial=0)) + 1
    tallest = int(phases[:, 3].max(initial=0))
    shape = pad, size[0], size[1], step, out_step, reach
    return Gather(*shape, phases, taps, offsets, products, tallest, {})


@functools.lru_cache(256)
def forward_gather(extents, window, geometry, channels, pitch):
    """How y gathers from x with `extents` (H, W): one phase, every tap.

    Of each place it reads `channels` elements; the next place lies `pitch` elements on.
    """
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
    phases = [(0, len(taps), 0, out[0], 0, out[1])]
    return _gather_plan((top, left), size, stride, (1, 1), phases, taps, channels, pitch)


@functools.lru_cache(256)
def backward_gather(extents, window, geometry, channels, pitch):
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
    size, step = (height, width), geometry.stride
    return _gather_plan((top, left), size, (1, 1), step, phases, taps, channels, pitch)


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


def panel_shape(filters, itemsize):
    """(vectors in a panel of filters, panels): narrow ones where wide ones would be half empty."""
    lanes = BITS // 8 // itemsize
    needed = -(-filters // lanes)
    vectors = 1 if needed in (1, 3) else VECTORS
    return vectors, -(-needed // vectors)


def gather(source, w, bias, relu, plan, out_shape, groups, transposed):
    """The sum over taps of source times w; `transposed` swaps channels and filters of each tap."""
    out = memory.empty(out_shape, source.dtype)
    if out.size == 0:
        return out
    images, total = source.shape[0], source.shape[3]
    key = (images, total, out_shape[3], groups, transposed, relu, source.dtype)
    found = plan.settled.get(key) or _settled(plan, key)
    width, room, packed_size, (taps, work, sizes), (items, sums, tile, scalars) = found
    packed = memory.empty((packed_size,), source.dtype)
    chunk = threads.chunk_of(work)
    matrices = w.reshape(w.shape[0] * w.shape[1], *w.shape[2:])
    launch(_pack_taps, taps, chunk, matrices, plan.taps, packed, plan.phases, sizes)
    launch(
        _gather,
        items,
        threads.chunk_of(sums),
        source,
        packed,
        np.empty(0, source.dtype) if bias is None else bias,
        out,
        threads.scratch(room + width, source.dtype),
        plan.offsets,
        plan.phases,
        *tile,
        *scalars,
    )
    return out


def _settled(plan, key):
    """(filters in a panel, room, size of the packed taps, how taps are packed, how to gather)."""
    images, total, total_out, groups, transposed, relu, dtype = key
    channels, filters = total // groups, total_out // groups
    vectors, panels = panel_shape(filters, dtype.itemsize)
    width = vectors * BITS // 8 // dtype.itemsize
    n_taps = len(plan.taps)
    sizes = (groups, channels, filters, int(transposed), width)
    packing = groups * n_taps, channels * filters, sizes
    band = band_height(plan, images, total * dtype.itemsize)
    bands = -(-plan.tallest // band)
    room = ((band - 1) * plan.step[0] + plan.reach) * plan.columns
    room = (room + 2 * ROWS * plan.step[1]) * total
    tile = (0,) * (ROWS * VECTORS // vectors), (0,) * vectors
    scalars = (
        (groups, int(relu), room, bands, band),
        (*plan.pad, plan.columns, plan.reach, *plan.step, *plan.out_step),
    )
    sums = plan.products * groups * panels * width // (8 * bands)
    packed_size = groups * panels * n_taps * channels * width
    found = width, room, packed_size, packing, (images * bands, sums, tile, scalars)
    if len(plan.settled) >= _SIZES:
        plan.settled.clear()
    plan.settled[key] = found
    return found


def band_height(plan, items, bytes_per_place):
    """Output rows in a band: enough bands for all threads, and a scratch near the core."""
    rows = plan.tallest
    height = -(-rows * items // _ITEMS)
    near = (_NEAR // (plan.columns * bytes_per_place) - plan.reach) // plan.step[0] + 1
    # Neighbouring bands both copy the rows that both read: no band is shorter than what it repeats.
    height = max(1, min(rows, height, max(near, 2 * plan.reach)))
    return -(-rows // -(-rows // height))


@kernel
def _pack_taps(lo, hi, thread, w, taps, out, phases, sizes):
    # One item is one tap of one group: out[group][phase][panel][tap, c][width].
    groups, channels, filters, transposed, width = sizes
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
def pad_rows(x, image, scratch, first, count, top, left, columns):
    """Rows first to first + count of a padded image into the scratch."""
    height, channels = x.shape[1], x.shape[3]
    size, line = x.shape[2] * channels, columns * channels
    for row in range(count):
        at, h = row * line, first + row - top
        if h < 0 or h >= height:
            clear(scratch, at, line)
        else:
            clear(scratch, at, left * channels)
            at += left * channels
            copy(scratch, at, x, (image * height + h) * size, size)
            clear(scratch, at + size, line - left * channels - size)


@intrinsic
def tile_of(typing_context, array, height, vectors):
    """A tile of zeros of as many rows and vectors as the tuples `height` and `vectors` are long.

    So a kernel's arguments, tuples, choose the tile that it is compiled for.
    """
    tile = Tile(array.dtype, height.count, vectors.count)

    def generate(context, builder, signature, arguments):
        return ir.Constant(ir.ArrayType(tile.llvm_vector, tile.count), None)

    return tile(array, height, vectors), generate


@kernel
def _gather(lo, hi, thread, x, w, bias, y, buffer, offsets, phases, height, vectors, sizes, plan):
    # One item is one image and band: one thread owns its outputs.
    groups, relu, room, bands, band = sizes
    top, left, columns, reach, row_step = plan[0], plan[1], plan[2], plan[3], plan[4]
    filters = y.shape[3] // groups
    scratch = buffer[thread]
    for item in range(lo, hi):
        image, first = item // bands, item % bands * band
        count = (band - 1) * row_step + reach
        pad_rows(x, image, scratch, first * row_step, count, top, left, columns)
        for number in range(groups * phases.shape[0]):
            group, phase = number // phases.shape[0], phases[number % phases.shape[0]]
            _gather_phase(
                scratch, x.shape[3], group, w, group * (w.size // groups), bias, y, image, filters,
                offsets, phase, first, min(band, phase[3] - first), x.shape[3] // groups,
                height, vectors, relu, room, plan,
            )  # fmt: skip


@helper
def _gather_phase(
    x, pitch, group, w, w_at, bias, y, image, filters, offsets, phase, row, rows, channels,
    height, vectors, relu, room, plan,
):  # fmt: skip
    """Rows row to row + rows of a phase's outputs of one group."""
    first = group * filters
    width = len(vectors) * lanes_of(y)
    begin, depth = phase[0] * channels, phase[1] * channels
    table = offsets[begin : begin + depth]
    w_at += begin * ((filters + width - 1) // width) * width
    row_step, step = plan[4] * plan[2] * pitch, plan[5] * pitch
    out_step = plan[7] * y.shape[3]
    target = (image * y.shape[1] + phase[2] + row * plan[6]) * y.shape[2] + phase[4]
    for panel in range(0, filters, width):
        present = min(width, filters - panel)
        if bias.size > 0:
            clear(x, room, width)
            copy(x, room, bias, first + panel, present)
        for i in range(rows):
            y_at = (target + i * plan[6] * y.shape[2]) * y.shape[3] + first + panel
            for j in range(0, phase[5], len(height)):
                # The last tile overlaps the one before, where a row has as many outputs.
                start = max(0, min(j, phase[5] - len(height)))
                t = tile_of(y, height, vectors)
                if bias.size > 0:
                    t = tile_rows(t, x, room)
                at = group * channels + i * row_step + start * step
                for k in range(table.size):
                    t = tile_fma(t, x, at + table[k], step, w, w_at + k * width)
                if relu == 1:
                    t = tile_relu(t)
                at = y_at + start * out_step
                if present == width and start + len(height) <= phase[5]:
                    tile_store(t, y, at, out_step)
                else:
                    tile_store_part(t, y, at, out_step, 0, phase[5] - start, present)
        w_at += depth * width
