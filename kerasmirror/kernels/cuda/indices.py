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
        return _quotient(builder, number, arguments[1])

    return types.int32(n, by), generate


def _quotient(builder, number, by):
    factor, shift = (builder.zext(builder.extract_value(by, i), _i64) for i in range(2))
    product = builder.mul(builder.zext(number, _i64), factor)
    return builder.trunc(builder.lshr(product, shift), _i32)


@intrinsic
def wrapped(typing_context, at, n, by):
    """Place `at` on an axis of n, whose divisor is `by`: at % n as Python has it."""

    def generate(context, builder, signature, arguments):
        at_, n_, by_ = arguments
        length = context.cast(builder, n_, n, types.int32)
        zero = ir.Constant(at_.type, 0)
        negative = builder.icmp_signed("<", at_, zero)
        # From the end, -1 is 0: what is divided is never negative.
        number = builder.select(negative, builder.not_(at_), at_)
        if at.bitwidth == 64:
            rest = _rest_of_wide(builder, number, length, by_)
        else:
            rest = _rest(builder, number, length, by_)
        from_end = builder.sub(builder.sub(length, _i32(1)), rest)
        return builder.select(negative, from_end, rest)

    return types.int32(at, n, by), generate


def _rest(builder, number, length, by):
    return builder.sub(number, builder.mul(length, _quotient(builder, number, by)))


def _rest_of_wide(builder, number, length, by):
    """A remainder of 64 bits is long code, which only numbers of more than 31 bits take."""
    far = builder.icmp_unsigned(">", number, _i64(2**31 - 1))
    found = builder.alloca(_i32)
    with builder.if_else(far) as (slow, fast):
        with slow:
            rest = builder.urem(number, builder.zext(length, _i64))
            builder.store(builder.trunc(rest, _i32), found)
        with fast:
            builder.store(_rest(builder, builder.trunc(number, _i32), length, by), found)
    return builder.load(found)


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
