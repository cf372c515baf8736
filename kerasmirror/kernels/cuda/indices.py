"""What kernels compute places with: thread numbers and 32-bit arithmetic.

Numba makes int64 of int32 + int32 and guards `//` and `%` against zero and negative numbers, tens
of instructions each on a GPU. These are few: for numbers from 0 to 2**31 - 1. A division by a
number that the host knows is a product and a shift (`divided`), by another one about twenty.
"""

# ruff: noqa: D103 - name and body say the same

from typing import NamedTuple

from llvmlite import ir
from numba import cuda, types
from numba.cuda.extending import intrinsic

from .kernel import Unsigned, inlined

_i32, _i64 = ir.IntType(32), ir.IntType(64)


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


class Divisor(NamedTuple):
    """What `divided` takes for a division by a number, see `divisor`."""

    factor: Unsigned
    shift: int


def divisor(d):
    """The Divisor of a number from 1 to 2**31 - 1.

    With l = ceil(log2 d) and m = floor(2**(31 + l) / d) + 1, n // d is n m >> 31 + l for n < 2**31:
    m d exceeds 2**(31 + l) by at most 2**l. Source: Granlund and Montgomery 1994, theorem 4.2,
    https://doi.org/10.1145/178243.178249.
    """
    d = max(1, d)  # an axis of size 0: nothing is launched
    shift = 31 + (d - 1).bit_length()
    return Divisor((1 << shift) // d + 1, shift)


@intrinsic
def divided(typing_context, n, by):
    """n // d of a number that is not negative, int32, where `by` is divisor(d)."""

    def generate(context, builder, signature, arguments):
        number = context.cast(builder, arguments[0], n, types.int32)
        factor, shift = (builder.extract_value(arguments[1], i) for i in range(2))
        product = builder.mul(builder.zext(number, _i64), builder.zext(factor, _i64))
        return builder.trunc(builder.lshr(product, builder.zext(shift, _i64)), _i32)

    return types.int32(n, by), generate


@intrinsic
def add32(typing_context, a, b):
    """A + b, int32."""
    return _of_two(lambda builder, a, b: builder.add(a, b, flags=["nsw"]))(typing_context, a, b)


@intrinsic
def mul32(typing_context, a, b):
    """A * b, int32."""
    return _of_two(lambda builder, a, b: builder.mul(a, b, flags=["nsw"]))(typing_context, a, b)


@inlined
def split32(n, d, by):
    """(n // d, n % d), int32, where `by` is divisor(d)."""
    found = divided(n, by)
    return found, add32(n, -mul32(found, d))


@inlined
def grid_index():
    """The number of this thread in a grid of one dimension, int32."""
    return add32(mul32(cuda.blockIdx.x, cuda.blockDim.x), cuda.threadIdx.x)


@inlined
def grid_size():
    """How many threads the grid of one dimension has, int32."""
    return mul32(cuda.gridDim.x, cuda.blockDim.x)
