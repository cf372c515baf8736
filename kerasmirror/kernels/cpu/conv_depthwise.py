"""Depthwise convolution and its two gradients: filter f reads channel f // M alone.

x (N, H, W, C), w (R, S, 1, C * M), y (N, P, Q, C * M). Vectors lie along the filters. A thread
copies a band of padded rows into a scratch, each channel M times, so that input, window and output
have filters side by side; the rest is as in conv_gather.py and conv_direct_grad.py, with a product
of vectors where those have one of a number and a vector.
"""

import numpy as np

from . import between, memory, threads
from .conv_direct_grad import add_kernels, places_of, slabs_of, tile_height
from .conv_gather import (
    backward_gather,
    band_height,
    forward_gather,
    pad_rows,
    panel_shape,
    tile_of,
)
from .deferred import intrinsic, types
from .launch import helper, kernel, launch
from .simd import (
    BITS,
    ROWS,
    VECTORS,
    clear,
    constant,
    fused_multiply_add,
    lanes_of,
    load_vector,
    pointer,
    tile_load,
    tile_load_part,
    tile_relu,
    tile_rows,
    tile_store,
    tile_store_part,
)


def conv2d(x, w, bias, relu, geometry):
    """max(x convolved with w, plus bias; 0), the last where `relu`; bias (F,) or None."""
    plan = forward_gather(x.shape[1:3], w.shape[:2], geometry, 1, w.shape[3])
    out = memory.empty((x.shape[0], *geometry.out_size, w.shape[3]), x.dtype)
    return _gather(x, w, bias, relu, plan, out)


def grad_input(dy, w, x_shape, geometry):
    """The gradient in x, of shape `x_shape`."""
    plan = backward_gather(x_shape[1:3], w.shape[:2], geometry, 1, w.shape[3])
    return _gather(dy, w, None, False, plan, memory.empty(x_shape, dy.dtype))


@between.notable
def _rows_of_taps(w, bias, taps, columns):
    """The bias, or zeros, then the window's taps in the plan's order: rows of whole panels."""
    rows = np.zeros((1 + len(taps), columns), w.dtype)
    filters = w.shape[3]
    if bias is not None:
        rows[0, :filters] = bias
    rows[1:, :filters] = w.reshape(-1, filters)[taps[:, 2]]
    return rows


def _gather(x, w, bias, relu, plan, out):
    if out.size == 0:
        return out
    filters = w.shape[3]
    vectors, panels = panel_shape(filters, x.itemsize)
    width = vectors * BITS // 8 // x.itemsize
    rows = _rows_of_taps(w, bias, plan.taps, panels * width)
    height = ROWS * VECTORS // vectors
    band = band_height(plan, x.shape[0], filters * x.itemsize)
    bands = -(-int(plan.phases[:, 3].max()) // band)
    room = ((band - 1) * plan.step[0] + plan.reach) * plan.columns
    room = (room + height * plan.step[1]) * filters + width
    launch(
        _depthwise,
        x.shape[0] * bands,
        threads.chunk_of(plan.products * filters // (8 * bands)),
        x,
        rows,
        out,
        threads.scratch(room + height * panels * width, x.dtype),
        plan.offsets,
        plan.phases,
        (0,) * height,
        (0,) * vectors,
        (int(relu), room, bands, band),
        (*plan.pad, plan.columns, plan.reach, *plan.step, *plan.out_step),
    )
    return out


@intrinsic
def _fma_lanes(typing_context, t, x, x_offset, x_stride, w, w_offset):
    """t[m, :] + x[x_offset + m * x_stride :] * w[w_offset :]."""

    def generate(context, builder, signature, arguments):
        value, x_, x_offset_, x_stride_, w_, w_offset_ = arguments
        rows = [builder.mul(x_stride_, constant(m)) for m in range(t.rows)]
        x_at = pointer(context, builder, x, x_, x_offset_)
        w_at = pointer(context, builder, w, w_, w_offset_)
        return _fma_rows(builder, t, value, [builder.gep(x_at, [row]) for row in rows], w_at)

    return t(t, x, types.intp, types.intp, w, types.intp), generate


@intrinsic
def _fma_lanes_at(typing_context, t, x, x_offset, places, places_offset, w, w_offset):
    """t[m, :] + x[x_offset + places[places_offset + m] :] * w[w_offset :]."""

    def generate(context, builder, signature, arguments):
        value, x_, x_offset_, places_, places_offset_, w_, w_offset_ = arguments
        places_at = pointer(context, builder, places, places_, places_offset_)
        x_at = pointer(context, builder, x, x_, x_offset_)
        w_at = pointer(context, builder, w, w_, w_offset_)
        rows = [builder.load(builder.gep(places_at, [constant(m)])) for m in range(t.rows)]
        return _fma_rows(builder, t, value, [builder.gep(x_at, [row]) for row in rows], w_at)

    whole = types.intp
    return t(t, x, whole, places, whole, w, whole), generate


def _fma_rows(builder, t, value, rows, w_at):
    for v in range(t.vectors):
        lane = constant(v * t.lanes)
        weights = load_vector(builder, builder.gep(w_at, [lane]), t.llvm_vector)
        for m, row in enumerate(rows):
            factor = load_vector(builder, builder.gep(row, [lane]), t.llvm_vector)
            total = builder.extract_value(value, m * t.vectors + v)
            total = fused_multiply_add(builder, factor, weights, total)
            value = builder.insert_value(value, total, m * t.vectors + v)
    return value


@helper
def _pad_repeated(x, image, filters, scratch, first, count, top, left, columns):
    """Padded rows first to first + count of an image, each channel filters / C times."""
    times = filters // x.shape[3]
    pad_rows(x, image, scratch, first, count, top, left, columns)
    if times > 1:
        # In place, from the last on: what is read lies at or before what is written.
        for i in range(count * columns * x.shape[3] - 1, -1, -1):
            value = scratch[i]
            for m in range(times):
                scratch[i * times + m] = value


@kernel
def _depthwise(lo, hi, thread, x, w, y, buffer, offsets, phases, height, vectors, sizes, plan):
    # One item is one image and band: one thread owns its outputs.
    relu, room, bands, band = sizes
    top, left, columns, reach, row_step = plan[0], plan[1], plan[2], plan[3], plan[4]
    filters = max(x.shape[3], y.shape[3])
    scratch = buffer[thread]
    for item in range(lo, hi):
        image, first = item // bands, item % bands * band
        count = (band - 1) * row_step + reach
        _pad_repeated(
            x, image, filters, scratch, first * row_step, count, top, left, columns
        )  # fmt: skip
        for phase in range(phases.shape[0]):
            begin, depth = phases[phase, 0], phases[phase, 1]
            for i in range(min(band, phases[phase, 3] - first)):
                row = phases[phase, 2] + (first + i) * plan[6]
                _depthwise_row(
                    scratch, i * row_step * columns * filters, plan[5] * filters, room,
                    w, 1 + begin, offsets[begin : begin + depth],
                    y, (image * y.shape[1] + row) * y.shape[2] + phases[phase, 4],
                    plan[7], phases[phase, 5], filters, height, vectors, relu,
                )  # fmt: skip


@helper
def _depthwise_row(
    x, x_at, step, room, w, tap, offsets, y, y_at, out_step, columns, filters, height, vectors, relu
):
    """A phase's outputs of one row, y at place y_at and every `out_step` places."""
    width, pitch = len(vectors) * lanes_of(y), w.shape[1]
    for j in range(0, columns, len(height)):
        # The last tile overlaps the one before, where a row has as many outputs.
        start = max(0, min(j, columns - len(height)))
        rows = min(len(height), columns - start)
        for panel in range(0, filters, width):
            present = min(width, filters - panel)
            t = tile_rows(tile_of(y, height, vectors), w, panel)
            at = x_at + start * step + panel
            for k in range(offsets.size):
                t = _fma_lanes(t, x, at + offsets[k], step, w, (tap + k) * pitch + panel)
            if relu == 1:
                t = tile_relu(t)
            if y.shape[3] == filters:
                at = (y_at + start * out_step) * filters + panel
                if present == width and rows == len(height):
                    tile_store(t, y, at, out_step * filters)
                else:
                    tile_store_part(t, y, at, out_step * filters, 0, rows, present)
            else:
                tile_store(t, x, room + panel, pitch)
        if y.shape[3] < filters:
            for m in range(rows):
                at = (y_at + (start + m) * out_step) * y.shape[3]
                _add_repeated(x, room + m * pitch, filters // y.shape[3], y, at)


@helper
def _add_repeated(x, at, times, y, y_at):
    """Each channel of y at one place: the sum of its `times` filters in x."""
    out = y.reshape(-1)[y_at : y_at + y.shape[3]]
    for c in range(out.size):
        total = x[at]
        for m in range(1, times):
            total += x[at + m]
        out[c] = total
        at += times


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w, of shape `w_shape`."""
    dw = memory.empty(w_shape, x.dtype)
    if dw.size == 0:
        return dw
    if dy.size == 0:
        dw.fill(0)
        return dw
    filters = w_shape[3]
    plan = forward_gather(x.shape[1:3], w_shape[:2], geometry, 1, filters)
    vectors, panels = panel_shape(filters, x.itemsize)
    width = vectors * BITS // 8 // x.itemsize
    depth = len(plan.offsets)
    height = tile_height(depth, vectors)
    offsets = np.concatenate([plan.offsets, np.repeat(plan.offsets[-1:], -depth % height)])
    band = band_height(plan, x.shape[0], filters * x.itemsize)
    bands = x.shape[0] * -(-geometry.out_size[0] // band)
    sums = panels * width * len(offsets)
    slabs, per_slab = slabs_of(bands, sums)
    parts = memory.empty((slabs * sums,), x.dtype)
    columns = geometry.out_size[1]
    room = (((band - 1) * plan.step[0] + plan.reach) * plan.columns) * filters + width
    launch(
        _depthwise_kernel,
        slabs,
        threads.chunk_of(per_slab * band * columns * depth * filters // 8),
        x,
        dy.reshape(-1),
        parts,
        threads.scratch(room + band * columns * width, x.dtype),
        offsets,
        places_of(plan, band, columns, filters),
        (0,) * height,
        (0,) * vectors,
        (filters, per_slab, room, band),
        (*plan.pad, plan.columns, plan.reach, plan.step[0]),
        geometry.out_size,
    )
    return add_kernels(parts, dw, (slabs, 1, 1, panels * width, len(offsets), width), depth)


@kernel
def _depthwise_kernel(
    lo, hi, thread, x, dy, parts, buffer, offsets, places, height, vectors, sizes, plan, out_size
):
    # One item is one slab of bands; its sums are its own.
    filters, per_slab, room, band = sizes
    top, left, columns, reach, step = plan
    bands = (out_size[0] + band - 1) // band
    width = len(vectors) * lanes_of(dy)
    scratch = buffer[thread]
    size = parts.size // ((x.shape[0] * bands + per_slab - 1) // per_slab)
    for slab in range(lo, hi):
        clear(parts, slab * size, size)
        for number in range(slab * per_slab, min(x.shape[0] * bands, slab * per_slab + per_slab)):
            image, begin = number // bands, number % bands * band
            end = min(out_size[0], begin + band)
            count = (end - begin - 1) * step + reach
            _pad_repeated(x, image, filters, scratch, begin * step, count, top, left, columns)
            dy_at = (image * out_size[0] + begin) * out_size[1] * filters
            outputs = places[: (end - begin) * out_size[1]]
            for panel in range(0, filters, width):
                at = slab * size + panel * offsets.size
                if panel + width <= filters:
                    _add_products(
                        scratch, panel, dy, dy_at + panel, filters, parts, at, offsets, outputs,
                        height, vectors,
                    )  # fmt: skip
                    continue
                line = tile_of(dy, (0,), vectors)
                for i in range(outputs.size):
                    source = dy_at + i * filters + panel
                    part = tile_load_part(line, dy, source, 0, 1, filters - panel)
                    tile_store(part, scratch, room + i * width, 0)
                _add_products(
                    scratch, panel, scratch, room, width, parts, at, offsets, outputs, height,
                    vectors,
                )  # fmt: skip


@helper
def _add_products(x, at, dy, dy_at, step, parts, parts_at, offsets, places, height, vectors):
    """parts[k, :] += the sum over places of x[at + place + offsets[k] :] * dy[place, :]."""
    width = len(vectors) * lanes_of(dy)
    for k in range(0, offsets.size, len(height)):
        t = tile_load(tile_of(dy, height, vectors), parts, parts_at + k * width, width)
        for i in range(places.size):
            t = _fma_lanes_at(t, x, at + places[i], offsets, k, dy, dy_at + i * step)
        tile_store(t, parts, parts_at + k * width, width)
