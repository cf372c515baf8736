"""float16 and bfloat16 to float32 and back, by whole-number arithmetic: right on every GPU.

Back means to the nearest, of two equally near ones to the even one; what is too large is infinite.
"""

from __future__ import annotations

from llvmlite import ir
from numba import float32, float64, int32, types, uint16, uint32, uint64
from numba.cuda.extending import intrinsic

from .indices import grid_index
from .kernel import inlined, kernel

__all__ = []


def _reinterpreted(source, target, kind):
    def typed(typing_context, value):
        def generate(context, builder, signature, args):
            return builder.bitcast(args[0], kind)

        return target(source), generate

    return typed


@intrinsic
def bits_of_float(typing_context, value):
    """The bits of a float32, uint32."""
    return _reinterpreted(types.float32, types.uint32, ir.IntType(32))(typing_context, value)


@intrinsic
def float_of_bits(typing_context, value):
    """The float32 of the bits in a uint32."""
    return _reinterpreted(types.uint32, types.float32, ir.FloatType())(typing_context, value)


@inlined
def widened(word):
    """The float32 of a float16's bits."""
    sign = uint32((word & 0x8000) << 16)
    size = uint32(word & 0x7FFF)
    if size >= uint32(0x7C00):  # infinite, or no number: the exponent stays the largest
        bits = uint32(0x7F800000 | ((size & 0x3FF) << 13))
    elif size >= uint32(0x400):
        bits = uint32((size << 13) + (112 << 23))
    else:  # below 2^-14, multiples of 2^-24: exact as a product
        bits = bits_of_float(float32(size) * float32(5.960464477539063e-08))
    return float_of_bits(uint32(bits | sign))


@inlined
def narrowed(value):
    """The bits of the float16 nearest to a float32."""
    bits = bits_of_float(value)
    sign = uint32((bits >> 16) & 0x8000)
    size = uint32(bits & 0x7FFFFFFF)
    if size > uint32(0x7F800000):
        half = uint32(0x7E00 | ((size >> 13) & 0x3FF))
    elif size >= uint32(0x47800000):  # 2^16
        half = uint32(0x7C00)
    elif size < uint32(0x38800000):  # 2^-14; added to 1/2, multiples of 2^-24 remain
        magic = float_of_bits(size) + float32(0.5)
        half = uint32(bits_of_float(magic) - uint32(0x3F000000))
    else:
        odd = (size >> 13) & 1
        half = uint32((size + 0xFFF + odd - (112 << 23)) >> 13)
    return uint16(half | sign)


@inlined
def brain_narrowed(value):
    """The bits of the bfloat16 nearest to a float32."""
    bits = bits_of_float(value)
    if uint32(bits & 0x7FFFFFFF) > uint32(0x7F800000):
        return uint16((bits >> 16) | 0x40)
    return uint16((uint64(bits) + 0x7FFF + ((bits >> 16) & 1)) >> 16)


@inlined
def _odd(value):
    """A float64 as float32, rounded such that rounding it once more is as if rounded once.

    An inexact one gets a last bit of 1, on whichever side that is: never a tie afterwards.
    """
    near = float32(value)
    bits = bits_of_float(near)
    if float64(near) == value or value != value or (bits & 1) != 0:
        return near
    beyond = abs(float64(near)) > abs(value)
    return float_of_bits(uint32(bits - 1) if beyond else uint32(bits + 1))


@kernel("u2* f4* i4", traffic="r w 0f")
def _from_half(x, y, n):
    i = grid_index()
    if i < n:
        y[i] = widened(x[i])


@kernel("f4* u2* i4", traffic="r w 0f")
def _to_half(x, y, n):
    i = grid_index()
    if i < n:
        y[i] = narrowed(x[i])


@kernel("f8* u2* i4", traffic="r w 0f")
def _to_half_from_double(x, y, n):
    i = grid_index()
    if i < n:
        y[i] = narrowed(_odd(x[i]))


@kernel("u2* f4* i4", traffic="r w 0f")
def _from_brain(x, y, n):
    i = grid_index()
    if i < n:
        y[i] = float_of_bits(uint32(x[i]) << int32(16))


@kernel("f4* u2* i4", traffic="r w 0f")
def _to_brain(x, y, n):
    i = grid_index()
    if i < n:
        y[i] = brain_narrowed(x[i])


# By the name of the dtype: (from its bits to float32, from float32 to its bits).
CONVERSIONS = {"float16": (_from_half, _to_half), "bfloat16": (_from_brain, _to_brain)}
FROM_DOUBLE = _to_half_from_double
