"""Winograd's transforms: a thread turns one tile of one channel, its values in registers.

A tile of m x m outputs has n = m + r - 1 rows and columns of inputs, and n^2 points. Neighbouring
threads have neighbouring channels, so that all accesses are coalesced: v (points, tiles, C).
The matrices are constants of the code, made as LLVM code so that no loop is left to unroll.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.cuda.extending import intrinsic

from ..cpu.conv_winograd_points import matrices, transposed
from .gemm_kernels import BIAS, RELU
from .indices import add32, grid_index, mul32, quotient, remainder
from .kernel import kernel

_SIZES = ((4, 3), (2, 3))  # (m, r)
_i64 = ir.IntType(64)


# --- pieces of LLVM code ------------------------------------------------------------------------


def _combined(builder, coefficients, values):
    """The sum of coefficient * value, or None where all coefficients are 0."""
    total = None
    for a, v in zip(coefficients, values, strict=True):
        if not a or v is None:
            continue
        if total is None:
            total = v if a == 1 else builder.fmul(ir.Constant(v.type, float(a)), v)
        elif a == 1:
            total = builder.fadd(total, v)
        elif a == -1:
            total = builder.fsub(total, v)
        else:
            total = builder.fadd(total, builder.fmul(ir.Constant(v.type, float(a)), v))
    return total


def _sandwich(builder, matrix, values):
    """M d M^T of d given as a list of its rows, one after the other."""
    size = len(matrix[0])
    rows = [values[i * size : i * size + size] for i in range(size)]
    half = [[_combined(builder, m, column) for column in zip(*rows, strict=True)] for m in matrix]
    zero = ir.Constant(ir.FloatType(), 0.0)
    return [_combined(builder, m, row) or zero for row in half for m in matrix]


def _wide(context, builder, signature, args):
    """The arguments, whole numbers among them as int64."""
    return [
        context.cast(builder, a, k, types.int64) if isinstance(k, types.Integer) else a
        for a, k in zip(args, signature.args, strict=True)
    ]


def _loaded(builder, pointer, at, apart, count):
    places = [builder.add(at, builder.mul(apart, _i64(k))) for k in range(count)]
    return [builder.load(builder.gep(pointer, [place])) for place in places]


def _stored(builder, values, pointer, at, apart):
    for k, value in enumerate(values):
        place = builder.add(at, builder.mul(apart, _i64(k)))
        builder.store(value, builder.gep(pointer, [place]))


def _inside(builder, i, n):
    """0 <= i < n."""
    return builder.icmp_unsigned("<", i, n)


def _loader(matrix, size):
    """transform(x, row, height, column, width, at, line, place, out, to, plane).

    M d M^T of the size x size values of x whose first is at x[at], row `row` and column `column` of
    an image: rows are `line` apart, columns `place`; what lies outside the image is 0. The results
    go to out[to], out[to + plane] and so on.
    """

    @intrinsic
    def transform(typing_context, x, row, height, column, width, at, line, place, out, to, plane):
        def generate(context, builder, signature, args):
            numbers = _wide(context, builder, signature, args)
            x, row, height, column, width, at, line, place, out, to, plane = numbers
            zero = ir.Constant(ir.FloatType(), 0.0)
            values = []
            columns = [builder.add(column, _i64(j)) for j in range(size)]
            beside = [_inside(builder, c, width) for c in columns]
            for i in range(size):
                there = _inside(builder, builder.add(row, _i64(i)), height)
                first = builder.add(at, builder.mul(line, _i64(i)))
                for j in range(size):
                    inside = builder.and_(there, beside[j])
                    index = builder.add(first, builder.mul(place, _i64(j)))
                    # Loaded in any case, so that no load waits for another's branch.
                    index = builder.select(inside, index, _i64(0))
                    value = builder.load(builder.gep(x, [index]))
                    values.append(builder.select(inside, value, zero))
            _stored(builder, _sandwich(builder, matrix, values), out, to, plane)
            return context.get_dummy_value()

        kinds = (x, row, height, column, width, at, line, place, out, to, plane)
        return types.void(*kinds), generate

    return transform


def _changer(matrix):
    """transform(x, at, apart, out, to, plane): M d M^T of values `apart` from each other."""

    @intrinsic
    def transform(typing_context, x, at, apart, out, to, plane):
        def generate(context, builder, signature, args):
            numbers = _wide(context, builder, signature, args)
            x, at, apart, out, to, plane = numbers
            values = _loaded(builder, x, at, apart, len(matrix[0]) ** 2)
            _stored(builder, _sandwich(builder, matrix, values), out, to, plane)
            return context.get_dummy_value()

        return types.void(x, at, apart, out, to, plane), generate

    return transform


def _finisher(matrix):
    """transform(x, at, apart, y, row, height, column, width, to, line, place, bias, floor).

    M d M^T of values `apart` from each other, plus bias and at least `floor`, into those places of
    y that are inside an image.
    """
    size = len(matrix)

    @intrinsic
    def transform(
        typing_context, x, at, apart, y, row, height, column, width, to, line, place, bias, floor
    ):
        kinds = (x, at, apart, y, row, height, column, width, to, line, place, bias, floor)

        def generate(context, builder, signature, args):
            numbers = _wide(context, builder, signature, args)
            x, at, apart, y, row, height, column, width, to, line, place, bias, floor = numbers
            values = _loaded(builder, x, at, apart, len(matrix[0]) ** 2)
            found = _sandwich(builder, matrix, values)
            for i in range(size):
                there = _inside(builder, builder.add(row, _i64(i)), height)
                first = builder.add(to, builder.mul(line, _i64(i)))
                for j in range(size):
                    beside = _inside(builder, builder.add(column, _i64(j)), width)
                    value = builder.fadd(found[i * size + j], bias)
                    low = builder.fcmp_ordered("<", value, floor)
                    value = builder.select(low, floor, value)
                    index = builder.add(first, builder.mul(place, _i64(j)))
                    with cgutils.if_likely(builder, builder.and_(there, beside)):
                        builder.store(value, builder.gep(y, [index]))
            return context.get_dummy_value()

        return types.void(*kinds), generate

    return transform


# --- kernels --------------------------------------------------------------------------------


def _made(function, name, size, words, traffic, matrix):
    """The kernel of a function; `traffic` is that of a thread, one tile of one channel."""
    m, r = size
    function.__name__ = f"_{name}_{m}_{r}"
    traffic = f"{traffic} {_operations(matrix)}f"
    return kernel(words, min_blocks=2, registers=128, traffic=traffic)(function)


def _operations(matrix):
    """Sums and products in M d M^T."""
    of_line = sum(sum(a != 0 for a in m) - 1 + sum(abs(a) not in (0, 1) for a in m) for m in matrix)
    return of_line * (len(matrix) + len(matrix[0]))


def _input_kernel(m, r):
    points, matrix = m + r - 1, matrices(m, r)[0]
    transform = _loader(matrix, points)

    def of_input(x, out, n, height, width, channels, top, left, tall, wide):
        i = grid_index()
        if i < n:
            c, tile = remainder(i, channels), quotient(i, channels)
            k, rest = remainder(tile, wide), quotient(tile, wide)
            row, number = remainder(rest, tall), quotient(rest, tall)
            row, column = add32(mul32(row, m), -top), add32(mul32(k, m), -left)
            at = ((number * height + row) * width + column) * channels + c
            line = mul32(width, channels)
            transform(x, row, height, column, width, at, line, channels, out, i, n)

    words = "f4* f4* i4 i4 i4 i4 i4 i4 i4 i4"
    traffic = f"{m**2}r{points**2}/{m**2} {points**2}w"
    return _made(of_input, "winograd_input", (m, r), words, traffic, matrix)


def _spread_kernel(m, r):
    points, matrix = m + r - 1, transposed(matrices(m, r)[2])
    transform = _loader(matrix, m)

    def of_output(dy, out, n, filters, rows, columns, tall, wide):
        i = grid_index()
        if i < n:
            f, tile = remainder(i, filters), quotient(i, filters)
            k, rest = remainder(tile, wide), quotient(tile, wide)
            row, number = remainder(rest, tall), quotient(rest, tall)
            row, column = mul32(row, m), mul32(k, m)
            at = ((number * rows + row) * columns + column) * filters + f
            line = mul32(columns, filters)
            transform(dy, row, rows, column, columns, at, line, filters, out, i, n)

    words = "f4* f4* i4 i4 i4 i4 i4 i4"
    traffic = f"{m**2}r {points**2}w"
    return _made(of_output, "winograd_spread", (m, r), words, traffic, matrix)


def _window_kernel(m, r):
    points, matrix = m + r - 1, matrices(m, r)[1]
    transform = _changer(matrix)

    def of_window(w, out, n):
        i = grid_index()
        if i < n:
            transform(w, i, n, out, i, n)

    words = "f4* f4* i4"
    traffic = f"{r**2}r {points**2}w"
    return _made(of_window, "winograd_window", (m, r), words, traffic, matrix)


def _narrow_kernel(m, r):
    points, matrix = m + r - 1, transposed(matrices(m, r)[1])
    transform = _changer(matrix)

    def to_window(sums, dw, n):
        i = grid_index()
        if i < n:
            transform(sums, i, n, dw, i, n)

    words = "f4* f4* i4"
    traffic = f"{points**2}r {r**2}w"
    return _made(to_window, "winograd_narrow", (m, r), words, traffic, matrix)


def _output_kernel(m, r):
    points, matrix = m + r - 1, matrices(m, r)[2]
    transform = _finisher(matrix)

    def to_output(products, bias, y, n, filters, rows, columns, tall, wide, flags):
        i = grid_index()
        if i < n:
            f, tile = remainder(i, filters), quotient(i, filters)
            k, rest = remainder(tile, wide), quotient(tile, wide)
            row, number = remainder(rest, tall), quotient(rest, tall)
            row, column = mul32(row, m), mul32(k, m)
            zero = type(products[0])(0)
            plus = bias[f] if flags & BIAS else zero
            floor = zero if flags & RELU else type(zero)(-float("inf"))
            to = ((number * rows + row) * columns + column) * filters + f
            line = mul32(columns, filters)
            transform(products, i, n, y, row, rows, column, columns, to, line, filters, plus, floor)

    words = "f4* f4* f4* i4 i4 i4 i4 i4 i4 i4"
    traffic = f"{points**2}r - {m**2}w"
    return _made(to_output, "winograd_output", (m, r), words, traffic, matrix)


INPUT = {size: _input_kernel(*size) for size in _SIZES}
SPREAD = {size: _spread_kernel(*size) for size in _SIZES}
WINDOW = {size: _window_kernel(*size) for size in _SIZES}
NARROW = {size: _narrow_kernel(*size) for size in _SIZES}
OUTPUT = {size: _output_kernel(*size) for size in _SIZES}
