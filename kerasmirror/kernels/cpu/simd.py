"""Register tiles as a numba type: `rows` x `vectors` SIMD vectors that LLVM keeps in registers.

The code around a tile stays a Python loop over arrays. Offsets and strides count elements of an
array of any rank, from its first element on; the caller answers for staying inside. A tile's
element type is that of the array that `tile_zero` is given, so one kernel serves float32 and
float64.

    t = tile_zero(y, ROWS, VECTORS)
    for k in range(depth):  # t[m, :] += a[k + m * a_stride] * w[k * width :]
        t = tile_fma(t, a, k, a_stride, w, k * width)
    tile_store(tile_relu(t), y, 0, y_stride)
"""

from llvmlite import ir

from .deferred import arrays, cgutils, intrinsic, tiles, types
from .machine_code import target


def _choose_tile(features):
    """(vector bits, rows, vectors, has a fused multiply-add) for a CPU with these features.

    8 sums hide the latency of two fused multiply-adds a cycle: 4 x 2 ran within 2 % of 6 x 2 and
    fits more sizes without remainder. With 32 registers 24 sums are the most, since LLVM keeps
    broadcasts in registers too.
    """
    if "avx512f" in features:
        return 512, 8, 2, True
    if "avx" in features:
        return 256, 4, 2, "fma" in features
    if "neon" in features or "fp-armv8" in features:
        return 128, 8, 2, True
    return 128, 4, 2, "fma" in features


FEATURES = target().features
BITS, ROWS, VECTORS, HAS_FMA = _choose_tile(FEATURES)
WIDTH = {4: VECTORS * BITS // 32, 8: VECTORS * BITS // 64}  # elements in a tile's row, by item size

_INT = ir.IntType(64)
_BIT32 = ir.IntType(32)


def Tile(element, rows, vectors):
    """The type of `rows` x `vectors` vectors of a numba type `element`."""
    return tiles.Tile(element, rows, vectors)


def constant(n):
    """An int64 constant."""
    return ir.Constant(_INT, n)


def pointer(context, builder, array_type, array, offset):
    """The address of the element `offset` of an array."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [offset])


def _align(vector):
    return 4 if isinstance(vector.element, ir.FloatType) else 8


def load_vector(builder, address, vector):
    """A vector from an address with its elements' alignment only."""
    return builder.load(builder.bitcast(address, vector.as_pointer()), align=_align(vector))


def store_vector(builder, value, address):
    """A vector to an address with its elements' alignment only."""
    builder.store(
        value, builder.bitcast(address, value.type.as_pointer()), align=_align(value.type)
    )


def splat(builder, scalar, vector):
    """A scalar in every lane."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_BIT32, 0))
    zeros = ir.Constant(ir.VectorType(_BIT32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, zeros)


def fused_multiply_add(builder, x, y, z):
    """x * y + z; unfused where the CPU cannot (LLVM would call the C library lane by lane)."""
    if not HAS_FMA:
        return builder.fadd(builder.fmul(x, y), z)
    vector = x.type
    bits = 32 if isinstance(vector.element, ir.FloatType) else 64
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(vector, [vector] * 3),
        f"llvm.fma.v{vector.count}f{bits}",
    )
    return builder.call(function, [x, y, z])


def vector_max(builder, x, y):
    """max(x, y) lane by lane; y where x is not a number."""
    return builder.select(builder.fcmp_ordered(">", x, y), x, y)


def _lane_mask(builder, vector, present):
    """Lanes below `present`, an int64, as a vector of bits."""
    lanes = vector.count
    indices = ir.Constant(ir.VectorType(_INT, lanes), list(range(lanes)))
    return builder.icmp_signed("<", indices, splat(builder, present, ir.VectorType(_INT, lanes)))


def _masked(builder, vector, kind):
    bits = 32 if isinstance(vector.element, ir.FloatType) else 64
    mask = ir.VectorType(ir.IntType(1), vector.count)
    address = vector.as_pointer()
    if kind == "load":
        signature = ir.FunctionType(vector, [address, _BIT32, mask, vector])
    else:
        signature = ir.FunctionType(ir.VoidType(), [vector, address, _BIT32, mask])
    name = f"llvm.masked.{kind}.v{vector.count}f{bits}.p0"
    return cgutils.get_or_insert_function(builder.module, signature, name)


def masked_load(builder, address, vector, mask):
    """A vector with zeros where the mask is off; nothing is read there."""
    address = builder.bitcast(address, vector.as_pointer())
    align = ir.Constant(_BIT32, _align(vector))
    return builder.call(
        _masked(builder, vector, "load"), [address, align, mask, ir.Constant(vector, None)]
    )


def masked_store(builder, value, address, mask):
    """A vector to memory where the mask is on."""
    vector = value.type
    address = builder.bitcast(address, vector.as_pointer())
    align = ir.Constant(_BIT32, _align(vector))
    builder.call(_masked(builder, vector, "store"), [value, address, align, mask])


def _rows_and_vectors(builder, tile, base, stride):
    """(index in the tile, row, vector, address) of each vector of a tile in memory."""
    for m in range(tile.rows):
        row = builder.gep(base, [builder.mul(stride, constant(m))])
        for v in range(tile.vectors):
            yield m * tile.vectors + v, m, v, builder.gep(row, [constant(v * tile.lanes)])


@intrinsic(prefer_literal=True)
def lanes_of(typing_context, array):
    """How many elements of `array` fill a vector: a constant to the compiler."""
    lanes = BITS // array.dtype.bitwidth

    def generate(context, builder, signature, arguments):
        return constant(lanes)

    return types.intp(array), generate


@intrinsic(prefer_literal=True)
def tile_zero(typing_context, array, rows, vectors):
    """A tile of zeros with the element type of `array`; `rows` and `vectors` are constants."""
    tile = Tile(array.dtype, rows.literal_value, vectors.literal_value)

    def generate(context, builder, signature, arguments):
        return ir.Constant(ir.ArrayType(tile.llvm_vector, tile.count), None)

    return tile(array, rows, vectors), generate


@intrinsic
def tile_fma(typing_context, t, a, a_offset, a_stride, w, w_offset):
    """t[m, :] + a[a_offset + m * a_stride] * w[w_offset :]."""

    def generate(context, builder, signature, arguments):
        value, a_, a_offset_, a_stride_, w_, w_offset_ = arguments
        w_at = pointer(context, builder, w, w_, w_offset_)
        a_at = pointer(context, builder, a, a_, a_offset_)
        vector = t.llvm_vector
        weights = [
            load_vector(builder, builder.gep(w_at, [constant(v * t.lanes)]), vector)
            for v in range(t.vectors)
        ]
        for m in range(t.rows):
            address = builder.gep(a_at, [builder.mul(a_stride_, constant(m))])
            factor = splat(builder, builder.load(address), vector)
            for v in range(t.vectors):
                i = m * t.vectors + v
                total = builder.extract_value(value, i)
                total = fused_multiply_add(builder, factor, weights[v], total)
                value = builder.insert_value(value, total, i)
        return value

    return t(t, a, types.intp, types.intp, w, types.intp), generate


@intrinsic
def tile_fma_row(typing_context, t, a, a_offset, a_stride, u):
    """t[m, :] + a[a_offset + m * a_stride] * u[0, :]; u is a tile of one row."""

    def generate(context, builder, signature, arguments):
        value, a_, a_offset_, a_stride_, row = arguments
        a_at = pointer(context, builder, a, a_, a_offset_)
        for m in range(t.rows):
            address = builder.gep(a_at, [builder.mul(a_stride_, constant(m))])
            factor = splat(builder, builder.load(address), t.llvm_vector)
            for v in range(t.vectors):
                i = m * t.vectors + v
                total = builder.extract_value(value, i)
                total = fused_multiply_add(builder, factor, builder.extract_value(row, v), total)
                value = builder.insert_value(value, total, i)
        return value

    return t(t, a, types.intp, types.intp, u), generate


@intrinsic
def prefetch(typing_context, a, offset):
    """Ask for the cache line of a[offset], which may lie outside of the array."""

    def generate(context, builder, signature, arguments):
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, _BIT32, _BIT32, _BIT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        address = builder.bitcast(pointer(context, builder, a, *arguments), byte)
        # To read, into the first cache, data.
        builder.call(function, [address, *(ir.Constant(_BIT32, item) for item in (0, 3, 1))])
        return context.get_dummy_value()

    return types.void(a, types.intp), generate


@intrinsic
def hidden(typing_context, number):
    """`number`, an int, in a way that the compiler cannot see through.

    A loop that steps a position by a runtime stride is unrolled by LLVM with a register for each
    row of each copy, which spill: 65 instead of 95 GFLOP/s. A hidden position stays one register.
    """

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(_INT, [_INT])
        return builder.asm(kind, "", "=r,0", arguments, side_effect=False)

    return types.intp(types.intp), generate


@intrinsic
def tile_fma_at(typing_context, t, a, a_offset, places, places_offset, w, w_offset):
    """t[m, :] + a[a_offset + places[places_offset + m]] * w[w_offset :]; places holds int64."""

    def generate(context, builder, signature, arguments):
        value, a_, a_offset_, places_, places_offset_, w_, w_offset_ = arguments
        w_at = pointer(context, builder, w, w_, w_offset_)
        a_at = pointer(context, builder, a, a_, a_offset_)
        places_at = pointer(context, builder, places, places_, places_offset_)
        vector = t.llvm_vector
        weights = [
            load_vector(builder, builder.gep(w_at, [constant(v * t.lanes)]), vector)
            for v in range(t.vectors)
        ]
        for m in range(t.rows):
            place = builder.load(builder.gep(places_at, [constant(m)]))
            factor = splat(builder, builder.load(builder.gep(a_at, [place])), vector)
            for v in range(t.vectors):
                i = m * t.vectors + v
                total = builder.extract_value(value, i)
                total = fused_multiply_add(builder, factor, weights[v], total)
                value = builder.insert_value(value, total, i)
        return value

    whole = types.intp
    return t(t, a, whole, places, whole, w, whole), generate


@intrinsic
def tile_load(typing_context, t, c, offset, stride):
    """A tile of t's shape from memory: row m starts at c[offset + m * stride]."""

    def generate(context, builder, signature, arguments):
        value, c_, offset_, stride_ = arguments
        base = pointer(context, builder, c, c_, offset_)
        for i, _, _, address in _rows_and_vectors(builder, t, base, stride_):
            value = builder.insert_value(value, load_vector(builder, address, t.llvm_vector), i)
        return value

    return t(t, c, types.intp, types.intp), generate


@intrinsic
def tile_load_part(typing_context, t, c, offset, stride, rows, columns):
    """Like tile_load; zeros, and nothing read, outside the first `rows` rows and `columns`."""

    def generate(context, builder, signature, arguments):
        value, c_, offset_, stride_, rows_, columns_ = arguments
        base = pointer(context, builder, c, c_, offset_)
        masks = _part_masks(builder, t, constant(0), rows_, columns_)
        for i, m, v, address in _rows_and_vectors(builder, t, base, stride_):
            part = masked_load(builder, address, t.llvm_vector, masks[m][v])
            value = builder.insert_value(value, part, i)
        return value

    return t(t, c, types.intp, types.intp, types.intp, types.intp), generate


def _part_masks(builder, t, first, last, columns):
    """Masks, by row and vector, of rows in [first, last) and columns below `columns`."""
    masks = []
    for m in range(t.rows):
        inside = builder.and_(
            builder.icmp_signed(">=", constant(m), first),
            builder.icmp_signed("<", constant(m), last),
        )
        present = builder.select(inside, columns, constant(0))
        masks.append(
            [
                _lane_mask(builder, t.llvm_vector, builder.sub(present, constant(v * t.lanes)))
                for v in range(t.vectors)
            ]
        )
    return masks


@intrinsic
def tile_store(typing_context, t, c, offset, stride):
    """c[offset + m * stride :] = t[m, :]."""

    def generate(context, builder, signature, arguments):
        value, c_, offset_, stride_ = arguments
        base = pointer(context, builder, c, c_, offset_)
        for i, _, _, address in _rows_and_vectors(builder, t, base, stride_):
            store_vector(builder, builder.extract_value(value, i), address)
        return context.get_dummy_value()

    return types.void(t, c, types.intp, types.intp), generate


@intrinsic
def tile_store_part(typing_context, t, c, offset, stride, first, last, columns):
    """Like tile_store, for rows in [first, last) and the first `columns` columns alone."""

    def generate(context, builder, signature, arguments):
        value, c_, offset_, stride_, first_, last_, columns_ = arguments
        base = pointer(context, builder, c, c_, offset_)
        masks = _part_masks(builder, t, first_, last_, columns_)
        for i, m, v, address in _rows_and_vectors(builder, t, base, stride_):
            masked_store(builder, builder.extract_value(value, i), address, masks[m][v])
        return context.get_dummy_value()

    whole = types.intp
    return types.void(t, c, whole, whole, whole, whole, whole), generate


@intrinsic
def tile_rows(typing_context, t, w, offset):
    """A tile of t's shape whose every row is w[offset :]; a bias to start from."""

    def generate(context, builder, signature, arguments):
        value, w_, offset_ = arguments
        base = pointer(context, builder, w, w_, offset_)
        for v in range(t.vectors):
            address = builder.gep(base, [constant(v * t.lanes)])
            row = load_vector(builder, address, t.llvm_vector)
            for m in range(t.rows):
                value = builder.insert_value(value, row, m * t.vectors + v)
        return value

    return t(t, w, types.intp), generate


@intrinsic
def tile_fill(typing_context, t, scalar):
    """A tile of t's shape with `scalar` everywhere."""

    def generate(context, builder, signature, arguments):
        value, scalar_ = arguments
        row = splat(builder, scalar_, t.llvm_vector)
        for i in range(t.count):
            value = builder.insert_value(value, row, i)
        return value

    return t(t, t.element), generate


def _lane_by_lane(name, doc, operate):
    """An intrinsic on two tiles of one shape."""

    def operation(typing_context, t, u):
        def generate(context, builder, signature, arguments):
            x, y = arguments
            value = x
            for i in range(t.count):
                lane = operate(builder, builder.extract_value(x, i), builder.extract_value(y, i))
                value = builder.insert_value(value, lane, i)
            return value

        return t(t, u), generate

    operation.__name__ = operation.__qualname__ = name
    operation.__doc__ = doc
    return intrinsic(operation)


def _where_positive(builder, x, y):
    zero = ir.Constant(x.type, None)
    return builder.select(builder.fcmp_ordered(">", y, zero), x, zero)


tile_add = _lane_by_lane("tile_add", "t + u", lambda b, x, y: b.fadd(x, y))
tile_sub = _lane_by_lane("tile_sub", "t - u", lambda b, x, y: b.fsub(x, y))
tile_mul = _lane_by_lane("tile_mul", "t * u", lambda b, x, y: b.fmul(x, y))
tile_max = _lane_by_lane("tile_max", "max(t, u); u where t is not a number", vector_max)
tile_where_positive = _lane_by_lane("tile_where_positive", "t where u > 0, else 0", _where_positive)


@intrinsic
def tile_relu(typing_context, t):
    """max(t, 0), keeping what is not a number."""

    def generate(context, builder, signature, arguments):
        (value,) = arguments
        zero = ir.Constant(t.llvm_vector, None)
        for i in range(t.count):
            x = builder.extract_value(value, i)
            x = builder.select(builder.fcmp_ordered("<", x, zero), zero, x)
            value = builder.insert_value(value, x, i)
        return value

    return t(t), generate


@intrinsic
def copy(typing_context, target, target_offset, source, source_offset, count):
    """target[target_offset : + count] = source[source_offset : + count] by memcpy."""

    def generate(context, builder, signature, arguments):
        target_, target_offset_, source_, source_offset_, count_ = arguments
        size = target.dtype.bitwidth // 8
        to = pointer(context, builder, target, target_, target_offset_)
        fro = pointer(context, builder, source, source_, source_offset_)
        cgutils.raw_memcpy(builder, to, fro, count_, size, align=1)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp, types.intp), generate


@intrinsic
def clear(typing_context, target, offset, count):
    """target[offset : + count] = 0 by memset."""

    def generate(context, builder, signature, arguments):
        target_, offset_, count_ = arguments
        size = target.dtype.bitwidth // 8
        to = pointer(context, builder, target, target_, offset_)
        cgutils.memset(builder, to, builder.mul(count_, constant(size)), 0)
        return context.get_dummy_value()

    return types.void(target, types.intp, types.intp), generate


@intrinsic
def flat_rows(typing_context, array, first, last):
    """array[first:last] as one row; reshape would call numba's runtime."""
    row = types.Array(array.dtype, 1, "C")

    def generate(context, builder, signature, arguments):
        array_, first_, last_ = arguments
        source = context.make_array(array)(context, builder, array_)
        width = constant(1)
        for extent in cgutils.unpack_tuple(builder, source.shape)[1:]:
            width = builder.mul(width, extent)
        result = context.make_array(row)(context, builder)
        arrays.populate_array(
            result,
            data=builder.gep(source.data, [builder.mul(first_, width)]),
            shape=[builder.mul(builder.sub(last_, first_), width)],
            strides=[source.itemsize],
            itemsize=source.itemsize,
            meminfo=None,
        )
        return result._getvalue()

    return row(array, types.intp, types.intp), generate


@intrinsic
def transpose_block(typing_context, target, target_offset, target_stride, source, offset, stride):
    """A square of lanes: target[t_offset + j * t_stride + i] = source[offset + i * stride + j]."""

    def generate(context, builder, signature, arguments):
        target_, target_offset_, target_stride_, source_, offset_, stride_ = arguments
        block = Tile(source.dtype, BITS // source.dtype.bitwidth, 1)
        base = pointer(context, builder, source, source_, offset_)
        rows = [
            load_vector(builder, address, block.llvm_vector)
            for _, _, _, address in _rows_and_vectors(builder, block, base, stride_)
        ]
        base = pointer(context, builder, target, target_, target_offset_)
        columns = _transposed(builder, rows)
        for i, _, _, address in _rows_and_vectors(builder, block, base, target_stride_):
            store_vector(builder, columns[i], address)
        return context.get_dummy_value()

    whole = types.intp
    return types.void(target, whole, whole, source, whole, whole), generate


def _transposed(builder, rows):
    """The columns of a square of vectors: blocks of 1, 2, 4, ... swapped across the diagonal."""
    lanes = len(rows)
    size = 1
    while size < lanes:
        low = [i if not i & size else i - size + lanes for i in range(lanes)]
        high = [i + size if not i & size else i + lanes for i in range(lanes)]
        swapped = list(rows)
        for i in range(lanes):
            if not i & size:
                swapped[i] = _shuffle(builder, rows[i], rows[i + size], low)
                swapped[i + size] = _shuffle(builder, rows[i], rows[i + size], high)
        rows = swapped
        size *= 2
    return rows


def _shuffle(builder, x, y, order):
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(_BIT32, len(order)), order))
