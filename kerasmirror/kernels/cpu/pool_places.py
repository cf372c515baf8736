"""Max pooling that keeps one byte a maximum, the place where it stood, instead of its input.

The passes of the layers around it ride along: dropout and relu's mask in the forward pass; in the
backward pass both masks (in the same byte) and the sum for the bias in front.
x (N, H, W, C), window (R, S), z (N, P, Q, C). The place (r, s) of a window is the number
r S + s + 1, and NOWHERE where no gradient flows: relu or dropout made the value 0.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir

from ..geometry import PoolGeometry
from . import gemm, memory, threads
from .deferred import intrinsic, types
from .launch import inlined, kernel, launch
from .random import dropout_numbers, fill, is_kept, key_and_counter, tile_where_kept
from .simd import (
    clear,
    lanes_of,
    pointer,
    splat,
    tile_add,
    tile_fill,
    tile_load,
    tile_mul,
    tile_store,
    tile_zero,
)
from .vectormath import select

__all__ = ["max_pool2d_places", "max_pool2d_places_grad_input"]

NOWHERE = 0

_SLABS = 64  # sums of the bias's gradient, added in order: no result depends on the threads


def max_pool2d_places(x, geometry: PoolGeometry, relu=False, seed_pair=None, rate=0.0):
    """(dropout of the largest value in each window, the places of these values as uint8).

    Args: `relu` says that x comes from relu, whose gradient is 0 where x is; `rate` 0 drops none.
    The first of several largest values counts. Windows have at most 255 places,
    which a byte can tell apart beside NOWHERE.
    """
    x = np.ascontiguousarray(x)
    shape = (x.shape[0], *geometry.out_size, x.shape[3])
    z, places = memory.empty(shape, x.dtype), memory.empty(shape, np.uint8)
    work = shape[2] * shape[3] * geometry.window[0] * geometry.window[1]
    key, lowest, scale = (0, 0, 0, 0), 0, 1.0
    if rate > 0:
        key = key_and_counter(seed_pair)
        lowest, scale = dropout_numbers(x.dtype, rate)
    launch(
        _max_pool_places,
        shape[0] * shape[1],
        threads.chunk_of(work),
        x,
        z.reshape(-1),
        places.reshape(-1),
        geometry.window,
        geometry.stride,
        (geometry.pad[0][0], geometry.pad[1][0]),
        geometry.out_size,
        key,
        (int(relu), int(rate > 0)),
        lowest,
        scale,
    )
    return z, places


def max_pool2d_places_grad_input(dz, places, x_shape, geometry: PoolGeometry, rate=0.0):
    """(dx, its sum over all axes but the last): each dz, scaled as dropout does, at its place."""
    dz = np.ascontiguousarray(dz)
    x_shape = tuple(x_shape)
    if not dz.size:
        return memory.zeros(x_shape, dz.dtype), memory.zeros(x_shape[3:], dz.dtype)
    dx = memory.empty(x_shape, dz.dtype)
    # Windows of different output rows that share input rows belong to one band: the whole image.
    shared = geometry.stride[0] < geometry.window[0] and dz.shape[1] > 1
    bands = 1 if shared else dz.shape[1]
    slabs = min(dz.shape[0] * bands, _SLABS)
    sums = memory.empty((slabs, x_shape[3]), dz.dtype)
    chunk = threads.chunk_of(dx.size // slabs)
    launch(
        _max_pool_places_grad,
        slabs,
        chunk,
        dz.reshape(-1),
        places.reshape(-1),
        dx.reshape(-1),
        sums.reshape(-1),
        x_shape,
        geometry.window,
        geometry.stride,
        (geometry.pad[0][0], geometry.pad[1][0]),
        geometry.out_size,
        bands,
        slabs,
        1.0 / (1.0 - rate),
    )
    return dx, gemm.bias_grad(sums)


@intrinsic
def tile_where_larger(typing_context, t, u, x, y):
    """y where u is larger than t, or u alone is not a number; else x."""

    def generate(context, builder, signature, arguments):
        t_, u_, x_, y_ = arguments
        result = x_
        for i in range(t.count):
            old, new = builder.extract_value(t_, i), builder.extract_value(u_, i)
            # "Unordered or larger" holds for anything new after NaN too, which must not count.
            larger = builder.and_(
                builder.fcmp_unordered(">", new, old), builder.fcmp_ordered("ord", old, old)
            )
            value = builder.select(
                larger, builder.extract_value(y_, i), builder.extract_value(x_, i)
            )
            result = builder.insert_value(result, value, i)
        return result

    return x(t, t, x, x), generate


@intrinsic
def tile_store_bytes(typing_context, t, places, offset):
    """places[offset :] = t, a tile of one vector of whole numbers, as bytes."""

    def generate(context, builder, signature, arguments):
        value, places_, offset_ = arguments
        whole = ir.VectorType(ir.IntType(32), t.lanes)
        narrow = ir.VectorType(ir.IntType(8), t.lanes)
        numbers = builder.fptosi(builder.extract_value(value, 0), whole)
        address = pointer(context, builder, places, places_, offset_)
        numbers = builder.trunc(numbers, narrow)
        builder.store(numbers, builder.bitcast(address, narrow.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(t, places, types.intp), generate


@intrinsic
def keep_bytes(typing_context, t, places, offset):
    """places[offset :] = NOWHERE where t, one vector, is not above 0."""

    def generate(context, builder, signature, arguments):
        value, places_, offset_ = arguments
        narrow = ir.VectorType(ir.IntType(8), t.lanes)
        address = pointer(context, builder, places, places_, offset_)
        address = builder.bitcast(address, narrow.as_pointer())
        zero = ir.Constant(t.llvm_vector, None)
        alive = builder.fcmp_ordered(">", builder.extract_value(value, 0), zero)
        found = builder.load(address, align=1)
        found = builder.select(alive, found, ir.Constant(narrow, [NOWHERE] * t.lanes))
        builder.store(found, address, align=1)
        return context.get_dummy_value()

    return types.void(t, places, types.intp), generate


def _where_place(name, doc, condition):
    def operation(typing_context, t, places, offset, number):
        def generate(context, builder, signature, arguments):
            value, places_, offset_, number_ = arguments
            narrow = ir.VectorType(ir.IntType(8), t.lanes)
            address = pointer(context, builder, places, places_, offset_)
            found = builder.load(builder.bitcast(address, narrow.as_pointer()), align=1)
            wanted = splat(builder, builder.trunc(number_, ir.IntType(8)), narrow)
            hit = builder.icmp_unsigned(condition, found, wanted)
            zero = ir.Constant(t.llvm_vector, None)
            chosen = builder.select(hit, builder.extract_value(value, 0), zero)
            return builder.insert_value(value, chosen, 0)

        return t(t, places, types.intp, types.intp), generate

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = doc
    return intrinsic(operation)


tile_at_place = _where_place(
    "tile_at_place", "t, one vector, where places[offset :] is `number`, else 0.", "=="
)
tile_off_place = _where_place(
    "tile_off_place", "t, one vector, where places[offset :] is not `number`, else 0.", "!="
)


@inlined
def _inside(place, stride, pad, window, size):
    """The start of a window on one axis, and its part within x: [first, last)."""
    start = place * stride - pad
    return start, max(start, 0), min(start + window, size)


@inlined
def _next(best, place, x, at, number):
    """The larger of `best` and x[at :], and where it stands."""
    value = tile_load(best, x, at, 0)
    place = tile_where_larger(best, value, place, tile_fill(place, x.dtype.type(number)))
    return tile_where_larger(best, value, best, value), place


@inlined
def _four(x, at, row, channels):
    """The usual window, 2 x 2, without loops: (largest values, places)."""
    best = tile_load(tile_zero(x, 1, 1), x, at, 0)
    place = tile_fill(best, x.dtype.type(1))
    best, place = _next(best, place, x, at + channels, 2)
    best, place = _next(best, place, x, at + row, 3)
    return _next(best, place, x, at + row + channels, 4)


@inlined
def _largest(x, n, c, rows, columns, window):
    """The same for a vector of channels of a window of any size."""
    height, width, channels = x.shape[1], x.shape[2], x.shape[3]
    best = tile_fill(tile_zero(x, 1, 1), x.dtype.type(-np.inf))
    place = tile_fill(best, x.dtype.type(_first_place(rows, columns, window)))
    for h in range(rows[1], rows[2]):
        for w in range(columns[1], columns[2]):
            at = ((n * height + h) * width + w) * channels + c
            number = (h - rows[0]) * window + w - columns[0] + 1
            best, place = _next(best, place, x, at, number)
    return best, place


@inlined
def _first_place(rows, columns, window):
    """The number of a window's first place inside x."""
    if rows[1] >= rows[2] or columns[1] >= columns[2]:
        return NOWHERE
    return (rows[1] - rows[0]) * window + columns[1] - columns[0] + 1


@inlined
def _largest_alone(x, n, c, rows, columns, window):
    """The same for one channel."""
    best = x.dtype.type(-np.inf)
    place = _first_place(rows, columns, window)
    for h in range(rows[1], rows[2]):
        for w in range(columns[1], columns[2]):
            value = x[n, h, w, c]
            if value > best or (value != value and best == best):
                best = value
                place = (h - rows[0]) * window + w - columns[0] + 1
    return best, place


@inlined
def _drop(z, places, to, count, relu, words, at, lowest, scale):
    """Drop some of a row's values, and note where no gradient flows; their bits are words[at :]."""
    whole, width = count // lanes_of(z) * lanes_of(z), z.itemsize // 4
    one = tile_fill(tile_zero(z, 1, 1), z.dtype.type(1))
    factor = tile_fill(one, scale)
    for i in range(0, whole, lanes_of(z)):
        t = tile_load(one, z, to + i, 0)
        alive = t if relu else one
        keep_bytes(tile_where_kept(alive, words, at + i * width, lowest), places, to + i)
        t = tile_where_kept(tile_mul(t, factor), words, at + i * width, lowest)
        tile_store(t, z, to + i, 0)
    for i in range(whole, count):
        kept = is_kept(words, at, i, lowest, z)
        value = select(kept, z[to + i] * scale, z.dtype.type(0))
        alive = value > z.dtype.type(0) if relu else kept
        z[to + i], places[to + i] = value, select(alive, places[to + i], np.uint8(NOWHERE))


@inlined
def _note_zeros(z, places, to, count):
    """Note where no gradient flows back through relu."""
    whole = count // lanes_of(z) * lanes_of(z)
    t = tile_zero(z, 1, 1)
    for i in range(0, whole, lanes_of(z)):
        keep_bytes(tile_load(t, z, to + i, 0), places, to + i)
    for i in range(to + whole, to + count):
        places[i] = select(z[i] > z.dtype.type(0), places[i], np.uint8(NOWHERE))


@kernel
def _max_pool_places(
    lo, hi, thread, x, z, places, window, stride, pad, out_size, key, flags, lowest, scale
):  # fmt: skip
    channels, row = x.shape[3], out_size[1] * x.shape[3]
    whole = channels // lanes_of(x) * lanes_of(x)
    relu, drop = flags[0] == 1, flags[1] == 1
    width = x.itemsize // 4  # words a value
    words = np.empty((row * width + 62) // 32 * 32, np.uint32)
    for item in range(lo, hi):  # one item owns one row of outputs
        n, p = divmod(item, out_size[0])
        rows = _inside(p, stride[0], pad[0], window[0], x.shape[1])
        for q in range(out_size[1]):
            columns = _inside(q, stride[1], pad[1], window[1], x.shape[2])
            to = item * row + q * channels
            four = window[0] == 2 and window[1] == 2
            if four and rows[2] - rows[1] == 2 and columns[2] - columns[1] == 2:
                line = x.shape[2] * channels
                corner = ((n * x.shape[1] + rows[1]) * x.shape[2] + columns[1]) * channels
                for c in range(0, whole, lanes_of(x)):
                    best, place = _four(x, corner + c, line, channels)
                    tile_store(best, z, to + c, 0)
                    tile_store_bytes(place, places, to + c)
            else:
                for c in range(0, whole, lanes_of(x)):
                    best, place = _largest(x, n, c, rows, columns, window[1])
                    tile_store(best, z, to + c, 0)
                    tile_store_bytes(place, places, to + c)
            for c in range(whole, channels):
                value, number = _largest_alone(x, n, c, rows, columns, window[1])
                z[to + c], places[to + c] = value, np.uint8(number)
        # The row is still in the cache; in the loops above the branches cost more than this.
        if drop:
            step = item * row * width // 32
            fill(words, step, key)
            at = item * row * width - 32 * step
            _drop(z, places, item * row, row, relu, words, at, lowest, x.dtype.type(scale))
        elif relu:
            _note_zeros(z, places, item * row, row)


@inlined
def _band(item, bands, p_rows, stride, pad, rows):
    """(image, first and last output row, first and last input row) of one item of a gradient."""
    n, band = divmod(item, bands)
    if bands == 1:
        return n, 0, p_rows, 0, rows
    first = 0 if band == 0 else max(0, min(band * stride - pad, rows))
    last = rows if band == bands - 1 else max(0, min((band + 1) * stride - pad, rows))
    return n, band, band + 1, first, last


@inlined
def _set_pixel(dz, places, at, number, scale, dx, to, channels):
    """dx[to :] = scale * dz[at :] where the place is `number`, else 0: all channels of a pixel."""
    whole = channels // lanes_of(dx) * lanes_of(dx)
    factor = tile_fill(tile_zero(dx, 1, 1), scale)
    for c in range(0, whole, lanes_of(dx)):
        t = tile_mul(tile_load(factor, dz, at + c, 0), factor)
        tile_store(tile_at_place(t, places, at + c, number), dx, to + c, 0)
    for c in range(whole, channels):
        dx[to + c] = select(places[at + c] == number, dz[at + c] * scale, dx.dtype.type(0))


@inlined
def _add_pixel(dz, places, at, number, scale, dx, to, channels):
    """The same added to what other windows brought."""
    # Not a branch in the function above: that made it 1.5 times as slow.
    whole = channels // lanes_of(dx) * lanes_of(dx)
    factor = tile_fill(tile_zero(dx, 1, 1), scale)
    for c in range(0, whole, lanes_of(dx)):
        t = tile_mul(tile_load(factor, dz, at + c, 0), factor)
        t = tile_at_place(t, places, at + c, number)
        tile_store(tile_add(tile_load(t, dx, to + c, 0), t), dx, to + c, 0)
    for c in range(whole, channels):
        dx[to + c] += select(places[at + c] == number, dz[at + c] * scale, dx.dtype.type(0))


@inlined
def _add_row(dz, places, at, pixels, scale, sums, to, channels):
    """Add scale * dz of a row of outputs to the sums, without what flows nowhere."""
    whole = channels // lanes_of(dz) * lanes_of(dz)
    factor = tile_fill(tile_zero(dz, 1, 1), scale)
    for c in range(0, whole, lanes_of(dz)):
        total = tile_zero(dz, 1, 1)
        for place in range(at + c, at + pixels * channels, channels):
            t = tile_mul(tile_load(factor, dz, place, 0), factor)
            total = tile_add(total, tile_off_place(t, places, place, NOWHERE))
        tile_store(tile_add(tile_load(total, sums, to + c, 0), total), sums, to + c, 0)
    for c in range(whole, channels):
        for place in range(at + c, at + pixels * channels, channels):
            t = dz[place] * scale
            sums[to + c] += select(places[place] != NOWHERE, t, dz.dtype.type(0))


@kernel
def _max_pool_places_grad(
    lo, hi, thread, dz, places, dx, sums, shape, window, stride, pad, out_size, bands, slabs, scale
):  # fmt: skip
    n_images, height, width, channels = shape
    items = n_images * bands
    scale = dx.dtype.type(scale)
    # Windows side by side: each value of dx is written once. Else bands start from zeros.
    apart = window[0] == stride[0] and window[1] == stride[1]
    end_row = min(out_size[0] * window[0] - pad[0], height)
    end_column = min(out_size[1] * window[1] - pad[1], width)
    for slab in range(lo, hi):  # one item owns one row of sums, and the bands of its slab
        clear(sums, slab * channels, channels)
        for item in range(slab * items // slabs, (slab + 1) * items // slabs):
            n, p_first, p_last, first, last = _band(
                item, bands, out_size[0], stride[0], pad[0], height
            )
            cleared = first if not apart else max(first, end_row)
            if cleared < last:
                clear(dx, (n * height + cleared) * width * channels,
                      (last - cleared) * width * channels)  # fmt: skip
            for p in range(p_first, p_last):
                top, h_first, h_last = _inside(p, stride[0], pad[0], window[0], height)
                at = (n * out_size[0] + p) * out_size[1] * channels
                for h in range(h_first, h_last):
                    to = (n * height + h) * width * channels
                    for q in range(out_size[1]):
                        left, w_first, w_last = _inside(q, stride[1], pad[1], window[1], width)
                        number = (h - top) * window[1] - left + 1
                        for w in range(w_first, w_last):
                            pixel = to + w * channels
                            if apart:
                                _set_pixel(
                                    dz, places, at + q * channels, number + w, scale,
                                    dx, pixel, channels,
                                )  # fmt: skip
                            else:
                                _add_pixel(
                                    dz, places, at + q * channels, number + w, scale,
                                    dx, pixel, channels,
                                )  # fmt: skip
                    if apart and end_column < width:
                        clear(dx, to + end_column * channels, (width - end_column) * channels)
                _add_row(dz, places, at, out_size[1], scale, sums, slab * channels, channels)
