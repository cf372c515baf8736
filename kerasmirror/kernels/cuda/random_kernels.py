"""The kernels of random.py for words, whole numbers, uniform values and dropout."""

# ruff: noqa: D103 - what each computes stands in random.py

from __future__ import annotations

from llvmlite import ir
from numba import float32, float64, types
from numba.cuda.extending import intrinsic

from .indices import grid_index, quotient, remainder
from .kernel import inlined, kernel
from .philox import (
    bits_in,
    fraction,
    scaled32,
    scaled64,
    unit,
    unit_double,
    word_in,
    words_of,
)
from .vectors import load4, store4

# --- words and whole numbers ----------------------------------------------------------------


@kernel("u4* u4* i4", traffic="w - 0f")
def words(y, key, n):
    block = grid_index()
    i = 4 * block
    if i < n:
        words = words_of(block, key)
        if i + 4 <= n:
            store4(y, block, words[0], words[1], words[2], words[3])
        else:
            while i < n:
                y[i] = word_in(words, i & 3)
                i += 1


@kernel("u4* u4* i4 u4 u4", traffic="w - 0f")
def integers(y, key, n, span, low):
    block = grid_index()
    i = 4 * block
    if i < n:
        words = words_of(block, key)
        while i < min(4 * block + 4, n):
            y[i] = remainder(word_in(words, i & 3), span) + low
            i += 1


@kernel("u8* u4* i4 u8 u8", traffic="w - 0f")
def wide_integers(y, key, n, span, low):
    block = grid_index()
    i = 2 * block
    if i < n:
        words = words_of(block, key)
        y[i] = _remainder64(words[0], words[1], span) + low
        if i + 1 < n:
            y[i + 1] = _remainder64(words[2], words[3], span) + low


@intrinsic
def _remainder64(typing_context, first, second, span):
    """(first + 2^32 second) % span of two words, without signs."""

    def generate(context, builder, signature, arguments):
        wide = ir.IntType(64)
        low, high = (builder.zext(word, wide) for word in arguments[:2])
        return builder.urem(builder.or_(builder.shl(high, wide(32)), low), arguments[2])

    word = types.uint32
    return types.uint64(word, word, types.uint64), generate


# --- uniform --------------------------------------------------------------------------------


@kernel("f4* u4* i4 f4 f4", traffic="w - 3f")
def uniform(y, key, n, scale, shift):
    block = grid_index()
    i = 4 * block
    if i < n:
        words = words_of(block, key)
        a = scaled32(unit(words[0]), scale, shift)
        b = scaled32(unit(words[1]), scale, shift)
        c = scaled32(unit(words[2]), scale, shift)
        d = scaled32(unit(words[3]), scale, shift)
        write4(y, block, n, a, b, c, d)


@inlined
def write4(y, group, n, a, b, c, d):
    """The four values of a group into y, of which the last group may have fewer."""
    i = 4 * group
    if i + 4 <= n:
        store4(y, group, a, b, c, d)
    else:
        y[i] = a
        if i + 1 < n:
            y[i + 1] = b
        if i + 2 < n:
            y[i + 2] = c


@kernel("f8* u4* i4 f8 f8", traffic="w - 3f")
def uniform_double(y, key, n, scale, shift):
    block = grid_index()
    i = 2 * block
    if i < n:
        words = words_of(block, key)
        y[i] = scaled64(unit_double(words[0], words[1]), scale, shift)
        if i + 1 < n:
            y[i + 1] = scaled64(unit_double(words[2], words[3]), scale, shift)


@kernel("f4* u4* i4 i4 f4", traffic="w - 1f")
def few_bits(y, key, n, mask, step):
    i = grid_index()
    if i < n:
        y[i] = float32(bits_in(word_in(words_of(i >> 2, key), i & 3), mask)) * step


# --- dropout --------------------------------------------------------------------------------


@kernel("f4* f4* u4* i4 i4 i4 i4 f4", traffic="r w - 1f")
def dropout(x, y, key, n, groups, mask, lowest, scale):
    # One thread owns the four values of one block; `groups` of them may be loaded as one.
    group = grid_index()
    i = 4 * group
    if i < n:
        words = words_of(group, key)
        if group < groups:
            v = load4(x, group)
            zero = float32(0)
            a = v[0] * scale if bits_in(words[0], mask) >= lowest else zero
            b = v[1] * scale if bits_in(words[1], mask) >= lowest else zero
            c = v[2] * scale if bits_in(words[2], mask) >= lowest else zero
            d = v[3] * scale if bits_in(words[3], mask) >= lowest else zero
            store4(y, group, a, b, c, d)
        else:
            while i < min(4 * group + 4, n):
                kept = bits_in(word_in(words, i & 3), mask) >= lowest
                y[i] = x[i] * scale if kept else float32(0)
                i += 1


@kernel("f8* f8* u4* i4 i8 f8", traffic="r w - 1f")
def dropout_double(x, y, key, n, lowest, scale):
    block = grid_index()
    i = 2 * block
    if i < n:
        words = words_of(block, key)
        y[i] = x[i] * scale if fraction(words[0], words[1]) >= lowest else float64(0)
        if i + 1 < n:
            kept = fraction(words[2], words[3]) >= lowest
            y[i + 1] = x[i + 1] * scale if kept else float64(0)


@inlined
def _noise_place(i, s1, s2, s3, s4, t0, t1, t2, t3, t4):
    """Where the noise of the value i lies: sizes s of the axes, steps t in the noise."""
    rest = quotient(i, s4)
    place = remainder(i, s4) * t4
    i, rest = rest, quotient(rest, s3)
    place += remainder(i, s3) * t3
    i, rest = rest, quotient(rest, s2)
    place += remainder(i, s2) * t2
    return place + remainder(rest, s1) * t1 + quotient(rest, s1) * t0


@kernel("f4* f4* u4* i4 i4 i4 i4 i4 i4 i4 i4 i4 i4 i4 i4 f4", traffic="r w - 1f")
def dropout_shared(
    x, y, key, n, s1, s2, s3, s4, t0, t1, t2, t3, t4, mask, lowest, scale
):  # fmt: skip
    i = grid_index()
    if i < n:
        place = _noise_place(i, s1, s2, s3, s4, t0, t1, t2, t3, t4)
        word = word_in(words_of(place >> 2, key), place & 3)
        y[i] = x[i] * scale if bits_in(word, mask) >= lowest else float32(0)


@kernel("f8* f8* u4* i4 i4 i4 i4 i4 i4 i4 i4 i4 i4 i8 f8", traffic="r w - 1f")
def dropout_shared_double(
    x, y, key, n, s1, s2, s3, s4, t0, t1, t2, t3, t4, lowest, scale
):  # fmt: skip
    i = grid_index()
    if i < n:
        place = _noise_place(i, s1, s2, s3, s4, t0, t1, t2, t3, t4)
        words, first = words_of(place >> 1, key), 2 * (place & 1)
        bits = fraction(word_in(words, first), word_in(words, first + 1))
        y[i] = x[i] * scale if bits >= lowest else float64(0)
