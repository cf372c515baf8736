"""Philox 4x32-10 inside kernels: the words of TensorFlow's generator, and what is made of them.

A key is four uint32 in device memory, `key` below: the generator's two key words and the upper half
of its counter (random.py makes it of a seed). One block is four words and depends on its number
alone: the float32 value i of a draw is made of word i, the float64 value i of the words 2 i and
2 i + 1. Source: Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405.
"""

from __future__ import annotations

from llvmlite import ir
from numba import float32, float64, types
from numba.cuda import libdevice
from numba.cuda.extending import intrinsic

from .kernel import inlined

_i32, _i64 = ir.IntType(32), ir.IntType(64)
_MULTIPLIERS = 0xD2511F53, 0xCD9E8D57
_STEPS = 0x9E3779B9, 0xBB67AE85

# Bits of a word that make a float32.
UNIT_MASK = 0x7FFFFF


@intrinsic
def block_of(typing_context, number, k0, k1, c2, c3):
    """The four words of block `number` (64 bits) under a key of four words."""

    def generate(context, builder, signature, arguments):
        wide = context.cast(builder, arguments[0], signature.args[0], types.int64)
        k0, k1, c2, c3 = arguments[1:]
        c = [builder.trunc(wide, _i32), builder.trunc(builder.lshr(wide, _i64(32)), _i32), c2, c3]
        for _ in range(10):
            (high_0, low_0), (high_1, low_1) = (
                _product(builder, word, factor)
                for word, factor in zip((c[0], c[2]), _MULTIPLIERS, strict=True)
            )
            first = builder.xor(builder.xor(high_1, c[1]), k0)
            third = builder.xor(builder.xor(high_0, c[3]), k1)
            c = [first, low_1, third, low_0]
            k0, k1 = builder.add(k0, _i32(_STEPS[0])), builder.add(k1, _i32(_STEPS[1]))
        return context.make_tuple(builder, signature.return_type, c)

    word = types.uint32
    return types.UniTuple(word, 4)(number, word, word, word, word), generate


def _product(builder, word, factor):
    """(upper, lower) half of the product of two words of 32 bits: one instruction on the GPU."""
    wide = builder.mul(builder.zext(word, _i64), _i64(factor))
    return builder.trunc(builder.lshr(wide, _i64(32)), _i32), builder.trunc(wide, _i32)


@inlined
def words_of(number, key):
    """The four words of block `number`."""
    return block_of(number, key[0], key[1], key[2], key[3])


@intrinsic
def word_in(typing_context, words, place):
    """words[place], the place from 0 to 3 known when the kernel runs, without memory for it."""

    def generate(context, builder, signature, arguments):
        words_, place_ = arguments
        place_ = context.cast(builder, place_, signature.args[1], types.int32)
        a, b, c, d = (builder.extract_value(words_, i) for i in range(4))
        odd = builder.trunc(place_, ir.IntType(1))
        late = builder.trunc(builder.lshr(place_, _i32(1)), ir.IntType(1))
        return builder.select(late, builder.select(odd, d, c), builder.select(odd, b, a))

    return types.uint32(words, place), generate


@intrinsic
def bits_in(typing_context, word, mask):
    """The bits of a word under a mask as an int32."""

    def generate(context, builder, signature, arguments):
        word_, mask_ = arguments
        mask_ = context.cast(builder, mask_, signature.args[1], types.int32)
        return builder.and_(word_, mask_)

    return types.int32(types.uint32, mask), generate


@intrinsic
def fraction(typing_context, high, low):
    """52 bits of two words as an int64, the upper 20 from the first."""

    def generate(context, builder, signature, arguments):
        return _fraction(builder, *arguments)

    return types.int64(types.uint32, types.uint32), generate


def _fraction(builder, high, low):
    upper = builder.shl(builder.and_(builder.zext(high, _i64), _i64(0xFFFFF)), _i64(32))
    return builder.or_(upper, builder.zext(low, _i64))


@intrinsic
def _with_exponent(typing_context, bits):
    """The float in [1, 2) with the fraction `bits`: float32 of an int32, float64 of an int64."""
    wide = bits == types.int64

    def generate(context, builder, signature, arguments):
        integer = _i64 if wide else _i32
        one = integer(1023 << 52 if wide else 127 << 23)
        kind = ir.DoubleType() if wide else ir.FloatType()
        return builder.bitcast(builder.or_(arguments[0], one), kind)

    return (types.float64 if wide else types.float32)(bits), generate


@inlined
def unit(word):
    """A word's low 23 bits as a float32 in [0, 1)."""
    return _with_exponent(bits_in(word, UNIT_MASK)) - float32(1)


@inlined
def unit_double(high, low):
    """52 bits of two words as a float64 in [0, 1)."""
    return _with_exponent(fraction(high, low)) - float64(1)


@intrinsic
def _block_for(typing_context, value, i):
    """The number of the block with the words of value i of an array of `value`'s type."""
    shift = _i32(2 if value == types.float32 else 1)

    def generate(context, builder, signature, arguments):
        place = context.cast(builder, arguments[1], signature.args[1], types.int32)
        return builder.lshr(place, shift)

    return types.int32(value, i), generate


@intrinsic
def kept_by(typing_context, value, words, i, lowest):
    """Whether dropout keeps the value i of an array of `value`'s type, by the words of its block.

    `lowest` as `dropout_numbers` of the CPU's random.py gives it.
    """
    wide = value == types.float64

    def generate(context, builder, signature, arguments):
        a, b, c, d = (builder.extract_value(arguments[1], n) for n in range(4))
        place = context.cast(builder, arguments[2], signature.args[2], types.int32)
        least = context.cast(builder, arguments[3], signature.args[3], types.int64)
        odd = builder.trunc(place, ir.IntType(1))
        if wide:
            high, low = builder.select(odd, c, a), builder.select(odd, d, b)
            return builder.icmp_signed(">=", _fraction(builder, high, low), least)
        late = builder.trunc(builder.lshr(place, _i32(1)), ir.IntType(1))
        word = builder.select(late, builder.select(odd, d, c), builder.select(odd, b, a))
        bits = builder.and_(word, _i32(UNIT_MASK))
        return builder.icmp_signed(">=", bits, builder.trunc(least, _i32))

    return types.boolean(value, words, i, lowest), generate


@inlined
def kept(value, i, key, lowest):
    """Whether dropout keeps the value i of an array of `value`'s type, float32 or float64.

    Makes a whole block: where a thread owns neighbours, `words_of` once and `kept_by` for each.
    """
    return kept_by(value, words_of(_block_for(value, i), key), i, lowest)


@inlined
def scaled32(value, scale, shift):
    """Value * scale + shift, rounded twice as on the CPU: never one multiply-add."""
    return libdevice.fadd_rn(libdevice.fmul_rn(value, scale), shift)


@inlined
def scaled64(value, scale, shift):
    """The same of float64."""
    return libdevice.dadd_rn(libdevice.dmul_rn(value, scale), shift)
