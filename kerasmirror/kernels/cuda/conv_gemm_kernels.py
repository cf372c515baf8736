"""The implicit matrix products of conv_gemm.py, one kernel for each size of tile.

"wide" kernels read 4 channels at a time: channels (of a group) are in fours, so that 4 columns of
the matrix are 4 neighbouring values of x. The others take each value by itself. Places along k
advance digit by digit: a number in mixed radix (r, s, c), or (n, p, q), plus the step's, with two
carries; so the loop divides nothing.
"""

import numpy as np
from llvmlite import ir
from numba import cuda, int32, types
from numba.cuda.extending import intrinsic

from .conv_passes import PASS
from .gemm_kernels import BIAS, RELU, tile_column, tile_row, tile_traffic
from .gemm_tiles import (
    PADDING,
    address_of,
    copy4,
    fetch,
    fill,
    first_column,
    first_row,
    loaded,
    multiplier,
    put_across,
)
from .indices import add32, mul32, quotient, remainder
from .kernel import inlined, kernel

ALIGNED = 8  # a flag beside BIAS and RELU: filters are in fours
_OUTSIDE = -(1 << 30)  # a row of x that is none, with any tap's distance added
_i32, _i64 = ir.IntType(32), ir.IntType(64)
_SHAPES = {128: (8, 8, 1), 64: (8, 4, 2), 32: (4, 4, 2)}  # rows, columns of a thread; 8s of k


@inlined
def _is_inside(i, n):
    """0 <= i < n, in one comparison."""
    return types.uint32(i) < types.uint32(n)


def _storer(rows, columns):
    """The function store(y, bias, places, acc, row, column, m, n, first, aligned, finish, lowest).

    Row i of the tile is y from places[i] on, for i < m, and has n columns. The thread's sums, of
    rows from `row` and columns from `column` on, go there as max(sum + bias, lowest); column 0 has
    bias[first], which is added where `finish`. `aligned`: columns are in fours. Made as LLVM code,
    for a loop that is not unrolled would need the sums in memory.
    """

    @intrinsic
    def store(
        typing_context, y, bias, places, acc, row, column, m, n, first, aligned, finish, lowest
    ):
        kinds = (y, bias, places, acc, row, column, m, n, first, aligned, finish, lowest)

        def generate(context, builder, signature, args):
            arrays = [_start(context, builder, k, a) for k, a in zip(kinds[:4], args, strict=False)]
            numbers = [
                context.cast(builder, a, k, types.int32)
                for a, k in zip(args[4:11], kinds[4:11], strict=True)
            ]
            _emit_store(builder, rows, columns, arrays, numbers, args[11])
            return context.get_dummy_value()

        return types.void(*kinds), generate

    return store


def _start(context, builder, kind, value):
    return address_of(context, builder, kind, value, ir.Constant(_i64, 0), types.int64)


def _emit_store(builder, rows, columns, arrays, numbers, lowest):
    y, bias, places, acc = arrays
    row, column, m, n, first, aligned, finish = numbers
    own = [builder.add(column, _i32(32 * g + u)) for g in range(columns // 4) for u in range(4)]
    inside = [builder.icmp_signed("<", q, n) for q in own]
    aligned, finish = (builder.icmp_signed("!=", flag, _i32(0)) for flag in (aligned, finish))
    added = []
    for q, there in zip(own, inside, strict=True):
        there = builder.and_(finish, there)
        # Loaded in any case: bias[0] is there.
        at = builder.select(there, builder.add(first, q), _i32(0))
        value = builder.load(builder.gep(bias, [builder.sext(at, _i64)]))
        added.append(builder.select(there, value, ir.Constant(value.type, 0.0)))
    for i in range(rows):
        line = builder.add(row, _i32((i & 3) + (i >> 2) * 16))
        with builder.if_then(builder.icmp_signed("<", line, m)):
            place = builder.load(builder.gep(places, [builder.sext(line, _i64)]))
            values = []
            for j in range(columns):
                value = builder.fadd(loaded(builder, acc, i * columns + j), added[j])
                low = builder.fcmp_ordered("<", value, lowest)
                values.append(builder.select(low, lowest, value))
            for g in range(0, columns, 4):
                to = [builder.sext(builder.add(place, q), _i64) for q in own[g : g + 4]]
                _emit_four(builder, y, to, values[g : g + 4], inside[g : g + 4], aligned)


def _emit_four(builder, y, to, values, inside, aligned):
    """Store four neighbouring values, at once where they are aligned."""
    with builder.if_else(aligned) as (at_once, one_by_one):
        with at_once, builder.if_then(inside[0]):
            vector = ir.Constant(ir.VectorType(values[0].type, 4), ir.Undefined)
            for u, value in enumerate(values):
                vector = builder.insert_element(vector, value, _i32(u))
            place = builder.bitcast(builder.gep(y, [to[0]]), vector.type.as_pointer())
            builder.store(vector, place, align=16)
        with one_by_one:
            for at, value, there in zip(to, values, inside, strict=True):
                with builder.if_then(there):
                    builder.store(value, builder.gep(y, [at]))


def _forward(wide, edge, **budgets):
    """The kernel of y = matrix @ w. Block (x, 0, z) makes tile x of group z."""
    own_rows, own_columns, steps = _SHAPES[edge]
    zero, infinite = np.float32(0), np.float32(np.inf)
    depth, stride = 8 * steps, edge + PADDING
    size = depth * stride
    shared, owned, fetched = 2 * size, own_rows * own_columns, 4 * steps
    quarter, shift = edge // 4, (edge // 4).bit_length() - 1
    multiply = multiplier(own_rows, own_columns, depth, stride)
    store = _storer(own_rows, own_columns)
    always = wide and edge == 128  # whether the second operand is read in fours

    def convolve(
        x, w, bias, y, m, filters, k, flags, images, height, width, channels, rows, columns,
        all_filters, window_rows, window_columns, step, across, top, left, apart, beside, groups,
        first, image, line, place,
    ):  # fmt: skip
        sa = cuda.shared.array(shared, types.float32, alignment=16)
        sb = cuda.shared.array(shared, types.float32, alignment=16)
        acc = cuda.local.array(owned, types.float32, alignment=16)
        ga = cuda.local.array(fetched, types.float32, alignment=16)
        gb = cuda.local.array(fetched, types.float32, alignment=16)
        places = cuda.shared.array(edge, types.int32)  # of the outputs in y
        thread = cuda.threadIdx.x
        wide_tiles = quotient(add32(filters, edge - 1), edge)
        tall_tiles = quotient(add32(m, edge - 1), edge)
        m0 = mul32(tile_row(cuda.blockIdx.x, wide_tiles, tall_tiles), edge)
        n0 = mul32(tile_column(cuda.blockIdx.x, wide_tiles, tall_tiles), edge)
        group_channels = quotient(channels, groups)
        group_first = mul32(cuda.blockIdx.z, filters)

        # The output whose inputs the thread reads, and the digits of its first k.
        a_row = thread >> 1
        output = add32(m0, a_row)
        q, rest = remainder(output, columns), quotient(output, columns)
        p, number = remainder(rest, rows), quotient(rest, rows)
        h0 = add32(mul32(p, step), -top) if output < m else int32(_OUTSIDE)
        v0 = add32(mul32(q, across), -left)
        if thread & 1 == 0:
            at = add32(add32(mul32(p, line), mul32(q, place)), mul32(number, image))
            places[a_row] = add32(add32(at, first), group_first)
        x_at = mul32(cuda.blockIdx.z, group_channels)
        x_at = add32(x_at, mul32(mul32(mul32(number, height), width), channels))
        a_k = mul32(thread & 1, 4)
        tap = quotient(a_k, group_channels)
        c = remainder(a_k, group_channels)
        r, s = quotient(tap, window_columns), remainder(tap, window_columns)
        taps = quotient(8, group_channels)
        more_c = remainder(8, group_channels)
        more_r, more_s = quotient(taps, window_columns), remainder(taps, window_columns)

        b_k = thread >> shift
        b_column = mul32(thread & (quarter - 1), 4)
        b_left = int32(filters - n0 - b_column)
        b_at = add32(mul32(b_k, all_filters), add32(group_first, add32(n0, b_column)))
        row = first_row(thread, edge, own_rows, own_columns)
        column = first_column(thread, edge, own_columns)
        to_a, to_b = int32(a_k * stride + a_row), int32(b_k * stride + b_column)
        fill(acc, 0, owned, zero)

        kk = int32(0)
        buffer = int32(0)
        started = False
        while True:
            more = kk < k
            if more:
                for t in range(steps):
                    if wide:
                        h = add32(h0, mul32(r, apart))
                        v = add32(v0, mul32(s, beside))
                        inside = _is_inside(h, height) and _is_inside(v, width)
                        if inside and r < window_rows:
                            at = mul32(add32(mul32(h, width), v), channels)
                            copy4(ga, 4 * t, x, add32(x_at, add32(at, c)))
                        else:
                            fill(ga, 4 * t, 4, zero)
                    else:
                        own_c, own_s, own_r = c, s, r
                        for u in range(4):
                            h = add32(h0, mul32(own_r, apart))
                            v = add32(v0, mul32(own_s, beside))
                            inside = _is_inside(h, height) and _is_inside(v, width)
                            value = zero
                            if inside and own_r < window_rows:
                                at = mul32(add32(mul32(h, width), v), channels)
                                value = x[add32(x_at, add32(at, own_c))]
                            ga[4 * t + u] = value
                            own_c = add32(own_c, 1)
                            if own_c == group_channels:
                                own_c = int32(0)
                                own_s = add32(own_s, 1)
                                if own_s == window_columns:
                                    own_s = int32(0)
                                    own_r = add32(own_r, 1)
                    left_here = b_left if add32(kk, b_k) < k else int32(0)
                    fetch(gb, 4 * t, w, b_at, left_here, always or flags & ALIGNED, zero)
                    b_at = add32(b_at, mul32(8, all_filters))
                    kk = add32(kk, 8)
                    c = add32(c, more_c)
                    carry = c >= group_channels
                    c = add32(c, -group_channels) if carry else c
                    s = add32(s, add32(more_s, 1) if carry else more_s)
                    carry = s >= window_columns
                    s = add32(s, -window_columns) if carry else s
                    r = add32(r, add32(more_r, 1) if carry else more_r)
            if started:
                multiply(acc, sa, add32(buffer, row), sb, add32(buffer, column))
                buffer = add32(size, -buffer)
            if not more:
                break
            for t in range(steps):
                put_across(sa, add32(buffer, to_a + 8 * t * stride), ga, 4 * t, stride)
                copy4(sb, add32(buffer, to_b + 8 * t * stride), gb, 4 * t)
            cuda.syncthreads()
            started = True

        store(
            y, bias, places, acc, row, add32(n0, column), add32(m, -m0), filters, group_first,
            always or flags & ALIGNED, flags & BIAS, zero if flags & RELU else -infinite,
        )  # fmt: skip

    convolve.__name__ = f"_convolve_{'wide' if wide else 'any'}_{edge}"
    words = "f4* f4* f4* f4* i4 i4 i4 i4 " + PASS
    return kernel(
        words, block=2 * edge, shared=16 * size + 4 * edge, traffic=tile_traffic(edge), **budgets
    )(convolve)


def _kernel_gradient(wide, edge, **budgets):
    """The kernel of matrix' @ dy. Block (x, y, z) makes tile x of slab y of group z.

    It writes sums (slabs, R * S * C / groups, F); a slab is `length` outputs.
    """
    own_rows, own_columns, steps = _SHAPES[edge]
    zero, infinite = np.float32(0), np.float32(np.inf)
    depth, stride = 8 * steps, edge + PADDING
    size = depth * stride
    shared, owned, fetched = 2 * size, own_rows * own_columns, 4 * steps
    quarter, shift = edge // 4, (edge // 4).bit_length() - 1
    multiply = multiplier(own_rows, own_columns, depth, stride)
    store = _storer(own_rows, own_columns)
    always = wide and edge == 128  # whether the second operand is read in fours
    digits = 1 if wide else 4

    def gradient(
        x, dy, sums, m, filters, k, length, flags, images, height, width, channels, rows, columns,
        all_filters, window_rows, window_columns, step, across, top, left, apart, beside, groups,
        first, image, line, place,
    ):  # fmt: skip
        sa = cuda.shared.array(shared, types.float32, alignment=16)
        sb = cuda.shared.array(shared, types.float32, alignment=16)
        acc = cuda.local.array(owned, types.float32, alignment=16)
        ga = cuda.local.array(fetched, types.float32, alignment=16)
        gb = cuda.local.array(fetched, types.float32, alignment=16)
        tap_h = cuda.local.array(digits, types.int32)
        tap_v = cuda.local.array(digits, types.int32)
        tap_at = cuda.local.array(digits, types.int32)
        places = cuda.shared.array(edge, types.int32)  # of the tile's rows in sums
        thread = cuda.threadIdx.x
        wide_tiles = quotient(add32(filters, edge - 1), edge)
        m0 = mul32(quotient(cuda.blockIdx.x, wide_tiles), edge)
        n0 = mul32(remainder(cuda.blockIdx.x, wide_tiles), edge)
        k0 = mul32(cuda.blockIdx.y, length)
        k1 = min(k, add32(k0, length))
        group_channels = quotient(channels, groups)
        group_first = mul32(cuda.blockIdx.z, filters)

        if thread < edge:
            at = add32(mul32(cuda.blockIdx.y, m), add32(m0, thread))
            places[thread] = add32(mul32(at, all_filters), group_first)
        # The taps that the thread reads, and the digits of its first output.
        a_k = thread >> shift
        a_row = mul32(thread & (quarter - 1), 4)
        for u in range(digits):
            number = add32(m0, a_row + u)
            tap = quotient(number, group_channels)
            c = remainder(number, group_channels)
            r, s = quotient(tap, window_columns), remainder(tap, window_columns)
            tap_h[u] = add32(mul32(r, apart), -top) if number < m else int32(_OUTSIDE)
            tap_v[u] = add32(mul32(s, beside), -left)
            tap_at[u] = add32(mul32(cuda.blockIdx.z, group_channels), c)
        output = add32(k0, a_k)
        q, rest = remainder(output, columns), quotient(output, columns)
        p, number = remainder(rest, rows), quotient(rest, rows)
        more_q, rest = remainder(8, columns), quotient(8, columns)
        more_p, more_number = remainder(rest, rows), quotient(rest, rows)

        b_column = mul32(thread & (quarter - 1), 4)
        b_left = int32(filters - n0 - b_column)
        b_at = add32(mul32(output, all_filters), add32(group_first, add32(n0, b_column)))
        row = first_row(thread, edge, own_rows, own_columns)
        column = first_column(thread, edge, own_columns)
        to_a, to_b = int32(a_k * stride + a_row), int32(a_k * stride + b_column)
        fill(acc, 0, owned, zero)

        kk = output
        end = k0
        buffer = int32(0)
        started = False
        while True:
            more = end < k1
            if more:
                for t in range(steps):
                    here = kk < k1
                    for u in range(digits):
                        h = add32(mul32(p, step), tap_h[u])
                        v = add32(mul32(q, across), tap_v[u])
                        inside = _is_inside(h, height) and _is_inside(v, width) and here
                        at = add32(mul32(add32(mul32(number, height), h), width), v)
                        at = add32(mul32(at, channels), tap_at[u])
                        if wide:
                            if inside:
                                copy4(ga, 4 * t, x, at)
                            else:
                                fill(ga, 4 * t, 4, zero)
                        else:
                            ga[4 * t + u] = x[at] if inside else zero
                    left_here = b_left if here else int32(0)
                    fetch(gb, 4 * t, dy, b_at, left_here, always or flags & ALIGNED, zero)
                    b_at = add32(b_at, mul32(8, all_filters))
                    kk = add32(kk, 8)
                    q = add32(q, more_q)
                    carry = q >= columns
                    q = add32(q, -columns) if carry else q
                    p = add32(p, add32(more_p, 1) if carry else more_p)
                    carry = p >= rows
                    p = add32(p, -rows) if carry else p
                    number = add32(number, add32(more_number, 1) if carry else more_number)
                end = add32(end, depth)
            if started:
                multiply(acc, sa, add32(buffer, row), sb, add32(buffer, column))
                buffer = add32(size, -buffer)
            if not more:
                break
            for t in range(steps):
                copy4(sa, add32(buffer, to_a + 8 * t * stride), ga, 4 * t)
                copy4(sb, add32(buffer, to_b + 8 * t * stride), gb, 4 * t)
            cuda.syncthreads()
            started = True

        store(
            sums, sums, places, acc, row, add32(n0, column), add32(m, -m0), filters, group_first,
            always or flags & ALIGNED, 0, -infinite,
        )  # fmt: skip

    gradient.__name__ = f"_gradient_{'wide' if wide else 'any'}_{edge}"
    words = "f4* f4* f4* i4 i4 i4 i4 i4 " + PASS
    return kernel(
        words,
        block=2 * edge,
        shared=16 * size + 4 * edge,
        traffic=tile_traffic(edge, "-"),
        **budgets,
    )(gradient)


# The largest tiles need 4 channels and 4 filters side by side: `conv_gemm.edges` sees to it.
FORWARD = {
    (True, 128): _forward(True, 128, min_blocks=2, registers=128, ffma=0.75),
    (True, 64): _forward(True, 64, min_blocks=3, registers=128),
    (True, 32): _forward(True, 32, min_blocks=4, registers=128),
    (False, 128): _forward(False, 128, min_blocks=2, registers=128),
    (False, 64): _forward(False, 64, min_blocks=3, registers=128),
    (False, 32): _forward(False, 32, min_blocks=4, registers=128),
}
KERNEL = {
    (True, 128): _kernel_gradient(True, 128, min_blocks=2, registers=128, ffma=0.75),
    (True, 64): _kernel_gradient(True, 64, min_blocks=3, registers=128),
    (True, 32): _kernel_gradient(True, 32, min_blocks=4, registers=128),
    (False, 64): _kernel_gradient(False, 64, min_blocks=3, registers=128),
    (False, 32): _kernel_gradient(False, 32, min_blocks=4, registers=128),
}
