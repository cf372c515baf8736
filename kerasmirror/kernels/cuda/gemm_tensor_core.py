"""c = relu(a b + bias) on tensor cores, in TF32: float32's range with 10 bits after the point.

Operands are rounded to TF32 when they enter shared memory, products are summed in float32: results
are off by up to about 1e-3 of the largest terms, 1e-4 of a long sum. Needs compute capability 8.0.
A warp multiplies 16 x 8 by 8 x 8 values at once (PTX `mma.sync.m16n8k8`). Lane 4 g + t brings a's
rows g and g + 8 and b's column g, for the k that are called t and t + 4. The order of k is free, so
these are k 2 t and 2 t + 1 of a tile: then the lanes of a warp meet no bank twice, with rows padded
as for gemm_kernels.
"""

from llvmlite import ir
from numba import cuda, types
from numba.cuda.extending import intrinsic

from .gemm_kernels import ALIGNED_C, BIAS, RELU, Part, tile_kernel
from .gemm_tiles import PADDING, address_of, loaded, storer
from .kernel import inlined

_EDGE, _STEPS = 128, 2
_DEPTH, _STRIDE = 8 * _STEPS, _EDGE + PADDING
_FETCHED = 4 * _STEPS
_ROWS, _COLUMNS = 2, 8  # products side by side of a warp: 32 rows, 64 columns
_OWNED = _ROWS * _COLUMNS * 4

_i32, _float = ir.IntType(32), ir.FloatType()
_MULTIPLY = (
    "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
    "{$0, $1, $2, $3}, {$4, $5, $6, $7}, {$8, $9}, {$10, $11, $12, $13};"
)


@intrinsic
def rounded(typing_context, x):
    """A float32 as the nearest TF32 number."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(_i32, [_float])
        code = ir.InlineAsm(kind, "cvt.rna.tf32.f32 $0, $1;", "=r,f")
        return builder.bitcast(builder.call(code, args), _float)

    return types.float32(types.float32), generate


@intrinsic
def multiply_step(typing_context, acc, sa, at_a, sb, at_b):
    """acc += a b over a step, from the lane's places in both tiles; all lanes of a warp together.

    acc has the 4 values of a lane for each of _ROWS x _COLUMNS products.
    """

    def generate(context, builder, signature, args):
        kinds = signature.args
        zero = ir.Constant(ir.IntType(64), 0)
        owned = address_of(context, builder, kinds[0], args[0], zero, types.int64)
        a = address_of(context, builder, kinds[1], args[1], args[2], kinds[2])
        b = address_of(context, builder, kinds[3], args[3], args[4], kinds[4])
        kind = ir.FunctionType(ir.LiteralStructType([_float] * 4), [_i32] * 6 + [_float] * 4)
        code = ir.InlineAsm(kind, _MULTIPLY, "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f", side_effect=True)
        sums = [loaded(builder, owned, i) for i in range(_OWNED)]
        for k in range(0, _DEPTH, 8):
            first = k * _STRIDE
            of_a = [
                _words(builder, a, [first + 16 * i + d for d in (0, 8, _STRIDE, _STRIDE + 8)])
                for i in range(_ROWS)
            ]
            of_b = [
                _words(builder, b, [first + 8 * j, first + 8 * j + _STRIDE])
                for j in range(_COLUMNS)
            ]
            for product in range(_ROWS * _COLUMNS):
                i, j = divmod(product, _COLUMNS)
                own = slice(4 * product, 4 * product + 4)
                result = builder.call(code, of_a[i] + of_b[j] + sums[own])
                sums[own] = [builder.extract_value(result, u) for u in range(4)]
        for i, value in enumerate(sums):
            builder.store(value, builder.gep(owned, [ir.Constant(ir.IntType(64), i)]))
        return context.get_dummy_value()

    return types.void(acc, sa, at_a, sb, at_b), generate


def _words(builder, pointer, places):
    return [builder.bitcast(loaded(builder, pointer, i), _i32) for i in places]


@inlined
def _read_row(thread):
    # k 2 t of row g of the warp: what a lane reads is not what it owns.
    return (thread >> 6) * (16 * _ROWS) + ((thread & 31) >> 2) + (thread & 3) * (2 * _STRIDE)


@inlined
def _read_column(thread):
    lane = thread & 31
    return ((thread >> 5) & 1) * (8 * _COLUMNS) + (lane >> 2) + (lane & 3) * (2 * _STRIDE)


@inlined
def _round(registers):
    for i in range(_FETCHED):
        registers[i] = rounded(registers[i])


_put_all = storer(
    [16 * i + 8 * h for i in range(_ROWS) for h in range(2)],
    [8 * j for j in range(_COLUMNS)],
    2,
    lambda i, j, u: (i // 2 * _COLUMNS + j) * 4 + 2 * (i % 2) + u,
)


@inlined
def _store(c, bias, m, n, at, m0, n0, acc, flags, zero, infinite):
    """relu(acc + bias) of what a lane owns into the matrix of n columns at c + at."""
    thread = cuda.threadIdx.x
    row = m0 + (thread >> 6) * (16 * _ROWS) + ((thread & 31) >> 2)
    column = n0 + ((thread >> 5) & 1) * (8 * _COLUMNS) + (thread & 3) * 2
    _put_all(
        c, at + row * n + column, n, bias, column, m - row, n - column, acc,
        flags & BIAS, flags & ALIGNED_C, zero if flags & RELU else -infinite,
    )  # fmt: skip


_ON_TENSOR_CORES = Part(_OWNED, _read_row, _read_column, multiply_step, _round, _store)
TENSOR_CORE_KERNELS = {
    layout: tile_kernel(
        "f4", _EDGE, _STEPS, layout, True, _ON_TENSOR_CORES, "_tf32",
        min_blocks=2, registers=128, capability=(8, 0),
    )
    for layout in ("nn", "tn", "nt")
}  # fmt: skip
