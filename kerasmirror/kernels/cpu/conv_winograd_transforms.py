"""Winograd's transforms as intrinsics: products of a constant matrix and vectors of channels.

`places` of vectors are elements of an array apart by strides; the sums of a product stay in
registers, and its factors are constants of the compiled code.
"""

from llvmlite import ir

from .deferred import cgutils, intrinsic, types
from .simd import Tile, constant, fused_multiply_add, load_vector, pointer, splat, store_vector


@intrinsic
def prefetch_to_write(typing_context, array, offset):
    """Ask for the cache line of an element that will be written soon."""

    def generate(context, builder, signature, arguments):
        place = pointer(context, builder, array, *arguments)
        address = builder.bitcast(place, ir.IntType(8).as_pointer())
        word = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, word, word, word])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [address, *(ir.Constant(word, value) for value in (1, 2, 1))])
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def _combination(builder, factors, vectors):
    """The sum of constant factors times vectors."""
    total = None
    # Factors of 1 first: they need no multiplication to start from.
    for factor, x in sorted(zip(factors, vectors, strict=True), key=lambda pair: pair[0] != 1):
        if factor == 0:
            continue
        times = ir.Constant(x.type, [float(factor)] * x.type.count)
        if total is None:
            total = x if factor == 1 else builder.fmul(x, times)
        elif factor == 1:
            total = builder.fadd(total, x)
        elif factor == -1:
            total = builder.fsub(total, x)
        else:
            total = fused_multiply_add(builder, x, times, total)
    return total


def _mirrored(x, y):
    """Whether two rows differ in signs alone, and not in all or none of them."""
    equal = [a == b for a, b in zip(x, y, strict=True)]
    opposite = [a == -b for a, b in zip(x, y, strict=True)]
    return not all(equal) and not all(opposite) and all(map(max, equal, opposite))


def _pairs(rows):
    """Pairs of the indices of mirrored rows; no row is in two of them."""
    pairs, taken = [], set()
    for i in range(len(rows)):
        for j in range(i + 1, len(rows)):
            if not {i, j} & taken and _mirrored(rows[i], rows[j]):
                pairs.append((i, j))
                taken |= {i, j}
    return pairs


def _matrix_times(builder, matrix, vectors):
    """matrix @ vectors for a constant matrix.

    Two rows that differ in signs alone are the sum and the difference of what they share; two such
    columns need the sum and the difference of their vectors only.
    """
    columns = list(zip(*matrix, strict=True))
    rows, vectors = [list(row) for row in matrix], list(vectors)
    for i, j in _pairs(columns):
        x, y = vectors[i], vectors[j]
        vectors[i], vectors[j] = builder.fadd(x, y), builder.fsub(x, y)
        for row in rows:
            row[i], row[j] = (row[i], 0) if row[i] == row[j] else (0, row[i])
    results = [None] * len(rows)
    for i, j in _pairs(rows):
        same = [a if a == b else 0 for a, b in zip(rows[i], rows[j], strict=True)]
        other = [a if a != b else 0 for a, b in zip(rows[i], rows[j], strict=True)]
        other, scale = _without_factor(other)
        x, y = _combination(builder, same, vectors), _combination(builder, other, vectors)
        results[i] = _scaled_sum(builder, y, scale, x)
        results[j] = _scaled_sum(builder, y, -scale, x)
    for i, row in enumerate(rows):
        if results[i] is None:
            results[i] = _combination(builder, row, vectors)
    return results


def _without_factor(row):
    """The row divided by its first factor that is not 0, and this factor."""
    scale = next((factor for factor in row if factor), 1)
    return [factor / scale for factor in row], scale


def _scaled_sum(builder, x, scale, y):
    """scale * x + y."""
    if scale == 1:
        return builder.fadd(y, x)
    if scale == -1:
        return builder.fsub(y, x)
    times = ir.Constant(x.type, [float(scale)] * x.type.count)
    return fused_multiply_add(builder, x, times, y)


def _by_shape(matrices):
    return {(len(matrix), len(matrix[0])): matrix for matrix in matrices}


def _line(builder, base, stride, count, vector=None, values=None):
    """Loads vectors from, or stores `values` to, `count` places that are `stride` apart."""
    places = [builder.gep(base, [builder.mul(stride, constant(i))]) for i in range(count)]
    if values is None:
        return [load_vector(builder, place, vector) for place in places]
    for value, place in zip(values, places, strict=True):
        store_vector(builder, value, place)


def combination(name, matrices):
    """An intrinsic for target = matrix @ source, a vector of channels at each place of a line.

    The matrix is the one of `matrices` whose shape the lengths of the first two arguments, tuples,
    tell: so a kernel is compiled for one matrix, chosen by its arguments. Called with (tuple,
    tuple, source, offset, stride, target, offset, stride).
    """
    matrices = _by_shape(matrices)

    def emit(context, builder, signature, arguments):
        matrix = matrices[signature.args[0].count, signature.args[1].count]
        kinds, arguments = signature.args[2:], arguments[2:]
        vector = Tile(kinds[0].dtype, 1, 1).llvm_vector
        start = pointer(context, builder, kinds[0], arguments[0], arguments[1])
        vectors = _line(builder, start, arguments[2], len(matrix[0]), vector)
        base = pointer(context, builder, kinds[3], arguments[3], arguments[4])
        results = _matrix_times(builder, matrix, vectors)
        _line(builder, base, arguments[5], len(matrix), values=results)
        return context.get_dummy_value()

    def typing(context, rows, columns, source, s0, s1, target, t0, t1):
        whole = types.intp
        return types.void(rows, columns, source, whole, whole, target, whole, whole), emit

    typing.__name__ = typing.__qualname__ = name
    return intrinsic(typing)


def sandwich(name, matrices, finish=False):
    """An intrinsic for target = matrix @ source @ matrix.T, a vector of channels at each place.

    The matrix is chosen as in `combination`. Called with (tuple, tuple, source, offset, row stride,
    column stride, target, offset, row stride, column stride) and, with `finish`, (bias, offset,
    floor): max(target + bias, floor) is stored.
    """
    matrices = _by_shape(matrices)

    def emit(context, builder, signature, arguments):
        matrix = matrices[signature.args[0].count, signature.args[1].count]
        if finish:
            # What a row has in common is multiplied in with the bias, at no cost.
            matrix, scales = zip(*map(_without_factor, matrix), strict=True)
        kinds, arguments = signature.args[2:], arguments[2:]
        vector = Tile(kinds[0].dtype, 1, 1).llvm_vector
        start = pointer(context, builder, kinds[0], arguments[0], arguments[1])
        half = []
        for x in range(len(matrix[0])):
            column = builder.gep(start, [builder.mul(arguments[3], constant(x))])
            vectors = _line(builder, column, arguments[2], len(matrix[0]), vector)
            half.append(_matrix_times(builder, matrix, vectors))
        base = pointer(context, builder, kinds[4], arguments[4], arguments[5])
        if finish:
            bias_at = pointer(context, builder, kinds[8], arguments[8], arguments[9])
            bias = load_vector(builder, bias_at, vector)
            floor = splat(builder, arguments[10], vector)
        for i in range(len(matrix)):
            values = _matrix_times(builder, matrix, [column[i] for column in half])
            if finish:
                values = [
                    _scaled_sum(builder, value, scales[i] * scale, bias)
                    for value, scale in zip(values, scales, strict=True)
                ]
                values = [
                    builder.select(builder.fcmp_ordered("<", value, floor), floor, value)
                    for value in values
                ]
            line = builder.gep(base, [builder.mul(arguments[6], constant(i))])
            _line(builder, line, arguments[7], len(matrix), values=values)
        return context.get_dummy_value()

    if finish:

        def typing(context, rows, columns, source, s0, s1, s2, target, t0, t1, t2, bias, b0, floor):
            places = (types.intp,) * 3
            kinds = (rows, columns, source, *places, target, *places, bias, types.intp)
            return types.void(*kinds, source.dtype), emit

    else:

        def typing(context, rows, columns, source, s0, s1, s2, target, t0, t1, t2):
            places = (types.intp,) * 3
            return types.void(rows, columns, source, *places, target, *places), emit

    typing.__name__ = typing.__qualname__ = name
    return intrinsic(typing)
