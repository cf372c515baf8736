"""Parts of kernels that multiply square tiles of two matrices in a thread block's shared memory.

A block of 2 * edge threads owns edge x edge values of c = a b and walks along k in steps of a few
times 8. A step's parts of a and b lie in shared memory k by k: value (k, row) of a at k * (edge +
PADDING) + row, and (k, column) of b likewise. While a step is multiplied, each thread has 4 values
of a and of b for every 8 k of the next one under way from global memory, in registers.

A warp is 4 x 8 threads. A thread owns rows `first, .. first + 3`, and with 8 rows also 16 further
on; columns likewise, 32 further on: so the 128-bit loads of a warp meet no bank twice.
"""

import functools

from llvmlite import ir
from numba import int32, types
from numba.core import cgutils
from numba.cuda.extending import intrinsic

from .indices import add32
from .kernel import inlined

PADDING = 4  # so that threads which store one row's 4 k meet other banks than the next rows'


def _copied(context, builder, signature, args, count):
    """The `count` values at args' (y, i), of those at (x, j)."""
    kinds = signature.args
    to = address_of(context, builder, kinds[0], args[0], args[1], kinds[1])
    source = address_of(context, builder, kinds[2], args[2], args[3], kinds[3])
    if count == 1:
        builder.store(builder.load(source), to)
    else:
        vector = ir.VectorType(source.type.pointee, count).as_pointer()
        values = builder.load(builder.bitcast(source, vector), align=16)
        builder.store(values, builder.bitcast(to, vector), align=16)
    return context.get_dummy_value()


@intrinsic
def copy1(typing_context, y, i, x, j):
    """y[i] = x[j] without the wrap-around that numba gives an array's index."""
    return types.void(y, i, x, j), functools.partial(_copied, count=1)


@intrinsic
def copy4(typing_context, y, i, x, j):
    """y[i : i + 4] = x[j : j + 4], at addresses that are multiples of 16: 128-bit accesses."""
    return types.void(y, i, x, j), functools.partial(_copied, count=4)


def address_of(context, builder, kind, value, index, index_kind):
    """In intrinsics: the address of element `index` of a pointer or an array, of these types."""
    index = context.cast(builder, index, index_kind, types.int64)
    if isinstance(kind, types.Array):
        value = context.make_array(kind)(context, builder, value).data
    return builder.gep(value, [index])


@inlined
def first_row(thread, edge, rows, columns):
    """The first row in the tile of a thread that owns `rows` x `columns` values."""
    warp = thread >> 5
    across = edge // (8 * columns)
    return add32((warp // across) * 4 * rows, ((thread & 31) >> 3) * 4)


@inlined
def first_column(thread, edge, columns):
    """The first column in the tile of a thread that owns `columns` columns."""
    return add32(((thread >> 5) % (edge // (8 * columns))) * 8 * columns, (thread & 7) * 4)


@inlined
def fill(registers, first, count, value):
    """One value in `count` registers."""
    for i in range(count):
        registers[first + i] = value


@inlined
def fetch(registers, first, x, at, left, aligned, zero):
    """4 registers = x[at : at + 4], with zeros from x[at + left] on.

    `aligned` says that `at` is a multiple of 4, all 4 values are there or none, and x is at an
    address that is a multiple of 16.
    """
    if aligned:
        if left > 0:
            copy4(registers, first, x, at)
        else:
            fill(registers, first, 4, zero)
    else:
        for u in range(4):
            registers[first + u] = x[at + u] if u < left else zero


@inlined
def put_across(tile, at, registers, first, stride):
    """4 values of one row and following k into a tile, at (first k, row)."""
    for u in range(4):
        copy1(tile, at + u * stride, registers, first + u)


@inlined
def put(x, at, registers, first, left, aligned):
    """x[at : at + 4] = 4 registers, but nothing from x[at + left] on; `aligned` as for fetch."""
    if aligned:
        if left > 0:
            copy4(x, at, registers, first)
    else:
        for u in range(4):
            if u < left:
                copy1(x, at + u, registers, first + u)


@inlined
def bring(registers, x, at, apart, left, inside, steps, along, aligned, zero):
    """A thread's values of a step from x, whose k are `apart` from each other: 4 for every 8 k.

    `along`: the 4 are of one k and following rows, of which `inside` are there; else of one row
    (there or not: `inside` > 0) and following k. `left` k are left from the thread's first one on.
    `aligned`: as for fetch, and what is not inside may be anything at all.
    """
    for s in range(steps):
        here = at + 8 * s * apart
        if aligned:
            if left > 8 * s:
                copy4(registers, 4 * s, x, here)
            else:
                fill(registers, 4 * s, 4, zero)
        elif along:
            fetch(registers, 4 * s, x, here, inside if left > 8 * s else int32(0), False, zero)
        else:
            fetch(
                registers, 4 * s, x, here,
                int32(left - 8 * s) if inside > 0 else int32(0), False, zero,
            )  # fmt: skip


@inlined
def hand_over(tile, at, registers, steps, along, stride):
    """A thread's values of a step into the tile, the first at `at`."""
    for s in range(steps):
        if along:
            copy4(tile, at + 8 * s * stride, registers, 4 * s)
        else:
            put_across(tile, at + 8 * s * stride, registers, 4 * s, stride)


def multiplier(rows, columns, depth, stride):
    """The function multiply(acc, sa, at_a, sb, at_b): acc (rows, columns) += a step's products.

    at_a and at_b are the places of the thread's first row and column in the tiles sa and sb. Made
    as LLVM code, for numba's loops would not be unrolled over all of the step.
    """

    @intrinsic
    def multiply(typing_context, acc, sa, at_a, sb, at_b):
        def generate(context, builder, signature, args):
            kinds = signature.args
            zero = ir.Constant(ir.IntType(64), 0)
            owned = address_of(context, builder, kinds[0], args[0], zero, types.int64)
            a = address_of(context, builder, kinds[1], args[1], args[2], kinds[2])
            b = address_of(context, builder, kinds[3], args[3], args[4], kinds[4])
            places = [_at(builder, owned, i) for i in range(rows * columns)]
            sums = [builder.load(place) for place in places]
            for k in range(depth):
                of_a = _loaded_fours(builder, a, k * stride, 16, rows)
                of_b = _loaded_fours(builder, b, k * stride, 32, columns)
                products = [builder.fmul(x, y) for x in of_a for y in of_b]
                sums = [builder.fadd(x, y) for x, y in zip(sums, products, strict=True)]
            for value, place in zip(sums, places, strict=True):
                builder.store(value, place)
            return context.get_dummy_value()

        return types.void(acc, sa, at_a, sb, at_b), generate

    return multiply


def _at(builder, pointer, i):
    return builder.gep(pointer, [ir.Constant(ir.IntType(64), i)])


def loaded(builder, pointer, i):
    """In intrinsics: the value at a pointer + i."""
    return builder.load(_at(builder, pointer, i))


def _loaded_fours(builder, pointer, first, apart, count):
    """`count` values in groups of 4, `apart` from each other, by 128-bit loads."""
    kind = ir.VectorType(pointer.type.pointee, 4).as_pointer()
    values = []
    for g in range(count // 4):
        four = builder.load(
            builder.bitcast(_at(builder, pointer, first + apart * g), kind), align=16
        )
        values += [builder.extract_element(four, ir.Constant(ir.IntType(32), u)) for u in range(4)]
    return values


def storer(rows, groups, width, index):
    """The function store(c, at, n, bias, column, rows_left, columns_left, acc, has_bias, aligned,
    lowest): max(acc + bias, lowest) of what a thread owns into a matrix of n columns.

    `rows` are the rows it owns and `groups` the first columns of `width` side by side, all from its
    first ones on, which are at c + at and `column`; index(i, g, u) is a value's place in acc. Made
    as LLVM code, for registers have no index: numba's loops may not be unrolled.
    """

    @intrinsic
    def store(
        typing_context, c, at, n, bias, column, rows_left, columns_left, acc, has_bias, aligned,
        lowest,
    ):  # fmt: skip
        def generate(context, builder, signature, args):
            kinds = signature.args
            wide = [context.cast(builder, args[i], kinds[i], types.int64) for i in (1, 2, 4, 5, 6)]
            first, n, column, rows_left, columns_left = wide
            has_bias, aligned = (context.is_true(builder, kinds[i], args[i]) for i in (8, 9))
            zero, lowest = ir.Constant(ir.IntType(64), 0), args[10]
            owned = address_of(context, builder, kinds[7], args[7], zero, types.int64)
            c, bias = builder.gep(args[0], [first]), builder.gep(args[3], [column])
            added = []
            for q in [q + u for q in groups for u in range(width)]:
                value = cgutils.alloca_once_value(builder, ir.Constant(lowest.type, 0))
                with builder.if_then(builder.and_(has_bias, _more(builder, columns_left, q))):
                    builder.store(loaded(builder, bias, q), value)
                added.append(builder.load(value))
            for i, p in enumerate(rows):
                with builder.if_then(_more(builder, rows_left, p)):
                    row = builder.gep(c, [builder.mul(n, ir.Constant(n.type, p))])
                    for g, q in enumerate(groups):
                        values = [
                            builder.fadd(
                                loaded(builder, owned, index(i, g, u)), added[g * width + u]
                            )
                            for u in range(width)
                        ]
                        values = [
                            builder.select(builder.fcmp_ordered("<", v, lowest), lowest, v)
                            for v in values
                        ]
                        _store_side_by_side(builder, row, q, values, columns_left, aligned)
            return context.get_dummy_value()

        kinds = (c, at, n, bias, column, rows_left, columns_left, acc, has_bias, aligned, lowest)
        return types.void(*kinds), generate

    return store


def _more(builder, left, i):
    return builder.icmp_signed(">", left, ir.Constant(left.type, i))


def _store_side_by_side(builder, row, first, values, left, aligned):
    """Values at row + first and on: at once where they are aligned, else those inside."""
    with builder.if_else(aligned) as (together, apart):
        with together, builder.if_then(_more(builder, left, first)):
            vector = ir.VectorType(values[0].type, len(values))
            all_of_them = ir.Constant(vector, ir.Undefined)
            for u, value in enumerate(values):
                place = ir.Constant(ir.IntType(32), u)
                all_of_them = builder.insert_element(all_of_them, value, place)
            to = builder.bitcast(_at(builder, row, first), vector.as_pointer())
            builder.store(all_of_them, to, align=min(16, 4 * len(values)))
        with apart:
            for u, value in enumerate(values):
                with builder.if_then(_more(builder, left, first + u)):
                    builder.store(value, _at(builder, row, first + u))
