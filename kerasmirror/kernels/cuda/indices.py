"""What kernels compute places with: thread numbers and 32-bit arithmetic.

Numba makes int64 of int32 + int32 and guards `//` and `%` against zero and negative numbers, tens
of instructions each on a GPU. These are one to a few: for numbers from 0 to 2**31 - 1.
"""

# ruff: noqa: D103 - name and body say the same

from llvmlite import ir
from numba import cuda, types
from numba.cuda.extending import intrinsic

from .kernel import inlined

_i32 = ir.IntType(32)


def _of_two(operation):
    def typed(typing_context, a, b):
        def generate(context, builder, signature, args):
            narrow = [
                context.cast(builder, value, kind, types.int32)
                for value, kind in zip(args, signature.args, strict=True)
            ]
            return operation(builder, *narrow)

        return types.int32(a, b), generate

    return typed


@intrinsic
def quotient(typing_context, a, b):
    """A // b of two numbers that are not negative, int32."""
    return _of_two(lambda builder, a, b: builder.udiv(a, b))(typing_context, a, b)


@intrinsic
def remainder(typing_context, a, b):
    """A % b of two numbers that are not negative, int32."""
    return _of_two(lambda builder, a, b: builder.urem(a, b))(typing_context, a, b)


@intrinsic
def add32(typing_context, a, b):
    """A + b, int32."""
    return _of_two(lambda builder, a, b: builder.add(a, b, flags=["nsw"]))(typing_context, a, b)


@intrinsic
def mul32(typing_context, a, b):
    """A * b, int32."""
    return _of_two(lambda builder, a, b: builder.mul(a, b, flags=["nsw"]))(typing_context, a, b)


@inlined
def grid_index():
    """The number of this thread in a grid of one dimension, int32."""
    return add32(mul32(cuda.blockIdx.x, cuda.blockDim.x), cuda.threadIdx.x)


@inlined
def grid_size():
    """How many threads the grid of one dimension has, int32."""
    return mul32(cuda.gridDim.x, cuda.blockDim.x)
