"""The kernels of random.py for normally distributed values."""

# ruff: noqa: D103 - what each computes stands in random.py

from __future__ import annotations

import math

from numba import float32, float64, int64
from numba.cuda.extending import intrinsic

from .indices import grid_index
from .kernel import inlined, kernel
from .philox import block_of, unit, unit_double, words_of
from .random_kernels import write4


@intrinsic
def _fused(typing_context, a, b, c):
    """A b + c with one rounding."""

    def generate(context, builder, signature, arguments):
        return builder.fma(*arguments)

    return a(a, a, a), generate


@inlined
def _sine_and_cosine(angle):
    """(sin, cos) of an angle from 0 to 2 pi.

    Without the way that libdevice has for large angles, which needs memory. Source: the
    coefficients of the Cephes library, sin.c, https://www.netlib.org/cephes.
    """
    kind = type(angle)
    quarter = math.floor(angle * kind(0.63661977236758134308) + kind(0.5))
    half_pi = kind(1.57079632679489661923)
    # What float32 leaves of pi / 2; float64's is below what counts here.
    rest = kind(1.57079632679489661923 - float64(half_pi))
    x = _fused(-kind(quarter), rest, _fused(-kind(quarter), half_pi, angle))
    z = x * x
    p = kind(1.58962301576546568060e-10)
    p = p * z + kind(-2.50507477628578072866e-8)
    p = p * z + kind(2.75573136213857245213e-6)
    p = p * z + kind(-1.98412698295895385996e-4)
    p = p * z + kind(8.33333333332211858878e-3)
    p = p * z + kind(-1.66666666666666307295e-1)
    sine = p * z * x + x
    q = kind(-1.13585365213876817300e-11)
    q = q * z + kind(2.08757008419747316778e-9)
    q = q * z + kind(-2.75573141792967388112e-7)
    q = q * z + kind(2.48015872888517045348e-5)
    q = q * z + kind(-1.38888888888730564116e-3)
    q = q * z + kind(4.16666666666665929218e-2)
    cosine = q * z * z - kind(0.5) * z + kind(1)
    turned = int64(quarter) & 3
    first, second = (cosine, sine) if turned & 1 else (sine, cosine)
    return (
        -first if turned >= 2 else first,
        -second if turned == 1 or turned == 2 else second,
    )


@inlined
def _box_muller(u, angle):
    kind = type(u)
    least = kind(1e-7)
    r = math.sqrt(kind(-2) * math.log(u if u > least else least))
    sine, cosine = _sine_and_cosine(angle)
    return sine * r, cosine * r


@inlined
def _pair(first, second):
    """Two normal values from two words."""
    v = unit(second)
    # 2 pi v as a product of doubles has it: 2 pi in two parts.
    angle = _fused(float32(6.2831854820251465), v, float32(-1.7484556000744883e-07) * v)
    return _box_muller(unit(first), angle)


@inlined
def _pair_double(words):
    angle = float64(6.283185307179586) * unit_double(words[2], words[3])
    return _box_muller(unit_double(words[0], words[1]), angle)


@kernel("f4* u4* i4 f4 f4", traffic="w - 20f")
def normal(y, key, n, scale, shift):
    block = grid_index()
    if 4 * block < n:
        words = words_of(block, key)
        a, b = _pair(words[0], words[1])
        c, d = _pair(words[2], words[3])
        a, b, c, d = a * scale + shift, b * scale + shift, c * scale + shift, d * scale + shift
        write4(y, block, n, a, b, c, d)


@kernel("f8* u4* i4 f8 f8", traffic="w - 20f")
def normal_double(y, key, n, scale, shift):
    block = grid_index()
    i = 2 * block
    if i < n:
        a, b = _pair_double(words_of(block, key))
        y[i] = a * scale + shift
        if i + 1 < n:
            y[i + 1] = b * scale + shift


@kernel("f4* u4* i4 f4 f4", traffic="w - 22f")
def truncated(y, key, n, scale, shift):
    group = grid_index()
    i, last = 4 * group, min(4 * group + 4, n)
    block, two = int64(group) * 256, float32(2)
    k0, k1, c2, c3 = key[0], key[1], key[2], key[3]
    while i < last:
        words = block_of(block, k0, k1, c2, c3)
        block += 1
        a, b = _pair(words[0], words[1])
        c, d = _pair(words[2], words[3])
        i = _taken(y, i, last, a, two, scale, shift)
        i = _taken(y, i, last, b, two, scale, shift)
        i = _taken(y, i, last, c, two, scale, shift)
        i = _taken(y, i, last, d, two, scale, shift)


@kernel("f8* u4* i4 f8 f8", traffic="w - 22f")
def truncated_double(y, key, n, scale, shift):
    group = grid_index()
    i, last = 2 * group, min(2 * group + 2, n)
    block, two = int64(group) * 128, float64(2)
    k0, k1, c2, c3 = key[0], key[1], key[2], key[3]
    while i < last:
        a, b = _pair_double(block_of(block, k0, k1, c2, c3))
        block += 1
        i = _taken(y, i, last, a, two, scale, shift)
        i = _taken(y, i, last, b, two, scale, shift)


@inlined
def _taken(y, i, last, value, limit, scale, shift):
    """The next free place, after `value` where it fits went into y[i]."""
    if i < last and abs(value) < limit:
        y[i] = value * scale + shift
        i += 1
    return i
