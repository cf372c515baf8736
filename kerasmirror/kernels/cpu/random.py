"""Random numbers: those of TensorFlow's stateless functions, bit for bit, from one Philox 4x32-10.

A seed is a pair of ints (s0, s1), as `tf.random.stateless_uniform(seed=[s0, s1])` takes it; Keras
first reduces both modulo 2^31 - 2. One block of the generator is 4 words of 32 bits and depends on
its number alone, so neither the number of threads nor the chunks change a value.
Source: Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405; TensorFlow 2.21,
core/lib/random/random_distributions.h and core/kernels/stateless_random_ops.cc.
"""

from __future__ import annotations

import math

import numpy as np
from llvmlite import ir

from . import memory
from .deferred import intrinsic, types
from .launch import inlined, kernel, launch
from .simd import (
    lanes_of,
    pointer,
    splat,
    tile_fill,
    tile_load,
    tile_mul,
    tile_store,
    tile_zero,
)
from .vectormath import double_of, float_of, select

__all__ = [
    "dropout",
    "dropout_in_place",
    "normal",
    "random_bits",
    "random_integers",
    "shuffle_order",
    "truncated_normal",
    "uniform",
]

_TWO_PI = 2.0 * math.pi

# One step of vector code makes 8 blocks, 32 words; 8 steps make a buffer that stays in the cache.
_STEP, _BUFFER = 32, 256
_CHUNK = 4096 // _STEP  # steps, for a few instructions a word
_CHUNK_LIBRARY = 1024 // _STEP  # steps, where a word costs calls of the C library


def random_bits(shape, seed_pair, dtype=np.uint32) -> np.ndarray:
    """Words of 32 or 64 random bits as uint32, int32, uint64 or int64."""
    y = memory.empty(tuple(shape), dtype)
    words = y.reshape(-1).view(np.uint32)
    launch(_words, _steps(words), _CHUNK, words, key_and_counter(seed_pair))
    return y


def random_integers(shape, seed_pair, low: int, high: int, dtype=np.int32) -> np.ndarray:
    """Whole numbers in [low, high): low + word % (high - low), int32 or int64."""
    dtype = np.dtype(dtype)
    unsigned = np.dtype(f"u{dtype.itemsize}")
    y = random_bits(shape, seed_pair, unsigned)
    np.remainder(y, unsigned.type(high - low), out=y)
    np.add(y, unsigned.type(low % 2 ** (8 * dtype.itemsize)), out=y)
    return y.view(dtype)


def uniform(shape, seed_pair, dtype=np.float32, low=0.0, high=1.0) -> np.ndarray:
    """Uniform on [low, high): 23 random bits in float32, 52 in float64, 10 and 7 in the halves."""
    dtype = np.dtype(dtype)
    if dtype.itemsize == 2:
        unit = _uniform_half(shape, seed_pair, dtype)
        return unit * (dtype.type(high) - dtype.type(low)) + dtype.type(low)
    y = memory.empty(tuple(shape), dtype)
    body = _uniform if dtype == np.float32 else _uniform_double
    scale, shift = dtype.type(high) - dtype.type(low), dtype.type(low)
    flat = y.reshape(-1)
    key = key_and_counter(seed_pair)
    launch(body, _steps(flat), _CHUNK, flat, key, float(scale), float(shift))
    return y


def normal(shape, seed_pair, dtype=np.float32, mean=0.0, stddev=1.0) -> np.ndarray:
    """Normally distributed: sin(v) r and cos(v) r with r = sqrt(-2 log u), v = 2 pi u'.

    Source: Box and Muller 1958, https://doi.org/10.1214/aoms/1177706645.
    """
    return _scaled(_normal, shape, seed_pair, dtype, mean, stddev)


def truncated_normal(shape, seed_pair, dtype=np.float32, mean=0.0, stddev=1.0) -> np.ndarray:
    """Normally distributed, without values of two deviations or more.

    Each group of 4 values (2 in float64) takes the first that fit from its own stretch of blocks.
    """
    return _scaled(_truncated, shape, seed_pair, dtype, mean, stddev)


def dropout(x: np.ndarray, seed_pair, rate: float, noise_shape=None) -> np.ndarray:
    """x / (1 - rate) where uniform >= rate, else 0. On dy the same call is the gradient.

    One pass. `noise_shape` draws one value for each place of that shape, broadcast to x's.
    """
    if rate >= 1:
        return memory.zeros(x.shape, x.dtype)
    if x.dtype.itemsize == 2 or noise_shape not in (None, x.shape):
        kept = uniform(noise_shape or x.shape, seed_pair, x.dtype) >= x.dtype.type(rate)
        return np.where(kept, x * x.dtype.type(1.0 / (1.0 - rate)), x.dtype.type(0))
    x = np.ascontiguousarray(x)
    y = memory.empty(x.shape, x.dtype)
    lowest, scale = dropout_numbers(x.dtype, rate)
    key = key_and_counter(seed_pair)
    flat = y.reshape(-1)
    launch(_dropout, _steps(flat), _CHUNK, x.reshape(-1), flat, key, lowest, scale)
    return y


def dropout_in_place(y: np.ndarray, seed_pair, rate: float) -> np.ndarray:
    """y itself, C-contiguous, with what `dropout` gives of it for a rate below 1."""
    lowest, scale = dropout_numbers(y.dtype, rate)
    flat = y.reshape(-1)
    key = key_and_counter(seed_pair)
    launch(_dropout, _steps(flat), _CHUNK, flat, flat, key, lowest, scale)
    return y


def dropout_numbers(dtype, rate: float) -> tuple[int, float]:
    """What `is_kept` compares random bits with, and the factor of what is kept."""
    # uniform is a whole number of 2^-23 (2^-52): compared as whole numbers, exactly.
    bits = 23 if dtype == np.float32 else 52
    return math.ceil(float(dtype.type(rate)) * 2.0**bits), 1.0 / (1.0 - rate)


def shuffle_order(n: int, seed: int) -> np.ndarray:
    """The order (int64) in which Keras on TensorFlow visits n samples after set_random_seed(seed).

    Fisher-Yates: i = 0, 1, ... changes places with i + word[i] % (n - i). TensorFlow repeats it in
    every epoch.
    """
    order = np.arange(n, dtype=np.int64)
    # Here the seed, reduced, is the key itself; seeds (0, 0) mean (0, 2^31 - 1) to TensorFlow.
    seed %= 0x7FFFFFFF
    key = (seed, 0, 0x7FFFFFFF if seed == 0 else 0, 0)
    words = np.empty(n, np.uint32)
    launch(_words, _steps(words), _CHUNK, words, key)
    launch(_shuffle, 1, 1, order, words)
    return order


def key_and_counter(seed_pair) -> tuple[int, int, int, int]:
    """The generator's key (2 words) and the upper half of its counter for a seed.

    They are the words of one block whose counter is the seed, under a key that TensorFlow fixed.
    """
    s0, s1 = (int(s) & 0xFFFFFFFFFFFFFFFF for s in seed_pair)
    c = [s0 & 0xFFFFFFFF, s0 >> 32, s1 & 0xFFFFFFFF, s1 >> 32]
    k0, k1 = 0x3EC8F720, 0x02461E29
    for _ in range(10):
        p0, p1 = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [p1 >> 32 ^ c[1] ^ k0, p1 & 0xFFFFFFFF, p0 >> 32 ^ c[3] ^ k1, p0 & 0xFFFFFFFF]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return tuple(c)


def _steps(flat):
    """Steps of the generator that fill `flat` with one word (float64: two words) a value."""
    return -(-flat.size * (flat.itemsize // 4) // _STEP)


def _uniform_half(shape, seed_pair, dtype):
    bits = 10 if dtype == np.float16 else 7
    words = random_bits(shape, seed_pair) & np.uint32(2**bits - 1)
    return (words.astype(np.float32) * np.float32(2.0**-bits)).astype(dtype)


def _scaled(body, shape, seed_pair, dtype, mean, stddev):
    dtype = np.dtype(dtype)
    if dtype.itemsize == 2:
        unit = _scaled(body, shape, seed_pair, np.float32, 0.0, 1.0).astype(dtype)
        return unit * dtype.type(stddev) + dtype.type(mean)
    y = memory.empty(tuple(shape), dtype)
    flat = y.reshape(-1)
    key = key_and_counter(seed_pair)
    scale, shift = float(dtype.type(stddev)), float(dtype.type(mean))
    launch(body, _steps(flat), _CHUNK_LIBRARY, flat, key, scale, shift)
    return y


def _vector_rounds(builder, c, k):
    """Ten rounds on four vectors of uint64 with the low halves in use: a product each is one
    instruction, which reads low halves alone, so that nothing needs clearing on the way."""
    vector = c[0].type

    def splat(value):
        return ir.Constant(vector, [value] * vector.count)

    low, half = splat(0xFFFFFFFF), splat(32)
    for _ in range(10):
        p0 = builder.mul(builder.and_(c[0], low), splat(0xD2511F53))
        p1 = builder.mul(builder.and_(c[2], low), splat(0xCD9E8D57))
        c0 = builder.xor(builder.xor(builder.lshr(p1, half), c[1]), k[0])
        c2 = builder.xor(builder.xor(builder.lshr(p0, half), c[3]), k[1])
        c = [c0, p1, c2, p0]
        k = [builder.add(k[0], splat(0x9E3779B9)), builder.add(k[1], splat(0xBB67AE85))]
    return [builder.and_(word, low) for word in c]


@intrinsic
def _eight_blocks(typing_context, words, offset, first, key):
    """words[offset : offset + 32] = blocks first, first + 1, ... of the generator, in order."""

    def generate(context, builder, signature, arguments):
        words_, offset_, first_, key_ = arguments
        vector = ir.VectorType(ir.IntType(64), 8)
        k0, k1, c2, c3 = (splat(builder, builder.extract_value(key_, i), vector) for i in range(4))
        number = builder.add(splat(builder, first_, vector), ir.Constant(vector, list(range(8))))
        half = ir.Constant(vector, [32] * 8)
        w = _vector_rounds(builder, [number, builder.lshr(number, half), c2, c3], [k0, k1])
        # Words 0 and 1 of a block side by side in one lane, then words 2 and 3 in the next lane.
        front = builder.or_(w[0], builder.shl(w[1], half))
        back = builder.or_(w[2], builder.shl(w[3], half))
        order = [lane + 8 * which for lane in range(8) for which in (0, 1)]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), 16), order)
        value = builder.shuffle_vector(front, back, mask)
        address = pointer(context, builder, words, words_, offset_)
        builder.store(value, builder.bitcast(address, value.type.as_pointer()), align=4)
        return context.get_dummy_value()

    whole = types.int64
    return types.void(words, whole, whole, types.UniTuple(whole, 4)), generate


@inlined
def fill(words, step, key):
    """All of `words`, a multiple of 32, from step `step` of the generator on."""
    for i in range(words.size // 32):
        _eight_blocks(words, 32 * i, 8 * (step + i), key)


@inlined
def _unit(word):
    """A word's low 23 bits as a float32 in [0, 1)."""
    bits = np.uint32(np.uint32(word & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000))
    return float_of(bits) - np.float32(1)


@inlined
def _fraction(high, low):
    """52 bits of two words, the upper 20 from the first."""
    return (np.uint64(high) & np.uint64(0xFFFFF)) << np.uint64(32) | np.uint64(low)


@inlined
def _unit_double(high, low):
    """52 bits of two words as a float64 in [0, 1)."""
    return double_of(_fraction(high, low) | np.uint64(1023 << 52)) - 1.0


@kernel
def _words(lo, hi, thread, y, key):
    words = np.empty(_BUFFER, np.uint32)
    for step in range(lo, hi, _BUFFER // _STEP):  # one item owns 32 words
        fill(words, step, key)
        out = y[_STEP * step : min(_STEP * step + _BUFFER, _STEP * hi, y.size)]
        for i in range(out.size):
            out[i] = words[i]


@kernel
def _uniform(lo, hi, thread, y, key, scale, shift):
    scale, shift = np.float32(scale), np.float32(shift)
    words = np.empty(_BUFFER, np.uint32)
    for step in range(lo, hi, _BUFFER // _STEP):
        fill(words, step, key)
        out = y[_STEP * step : min(_STEP * step + _BUFFER, _STEP * hi, y.size)]
        for i in range(out.size):
            out[i] = _unit(words[i]) * scale + shift


@kernel
def _uniform_double(lo, hi, thread, y, key, scale, shift):
    words = np.empty(_BUFFER, np.uint32)
    for step in range(lo, hi, _BUFFER // _STEP):
        fill(words, step, key)
        out = y[_STEP // 2 * step : min((_STEP * step + _BUFFER) // 2, _STEP // 2 * hi, y.size)]
        for i in range(out.size):
            out[i] = _unit_double(words[2 * i], words[2 * i + 1]) * scale + shift


@inlined
def is_kept(words, first, i, lowest, values):
    """Whether dropout keeps the i-th of `values` (only its dtype counts), from words[first :]."""
    if values.itemsize == 4:
        return np.int32(words[first + i] & np.uint32(0x7FFFFF)) >= np.int32(lowest)
    return np.int64(_fraction(words[first + 2 * i], words[first + 2 * i + 1])) >= lowest


@intrinsic
def tile_where_kept(typing_context, t, words, offset, lowest):
    """t, one vector, where dropout keeps the values whose random bits are words[offset :], else 0.

    What `is_kept` says of one value.
    """
    bits = t.element.bitwidth

    def generate(context, builder, signature, arguments):
        value, words_, offset_, lowest_ = arguments
        number = ir.IntType(bits)
        vector = ir.VectorType(number, t.lanes)

        def everywhere(constant):
            return ir.Constant(vector, [constant] * t.lanes)

        address = pointer(context, builder, words, words_, offset_)
        found = builder.load(builder.bitcast(address, vector.as_pointer()), align=4)
        if bits == 32:
            fraction = builder.and_(found, everywhere(0x7FFFFF))
            lowest_ = builder.trunc(lowest_, number)
        else:  # the upper bits are the first word's
            high = builder.shl(builder.and_(found, everywhere(0xFFFFF)), everywhere(32))
            fraction = builder.or_(high, builder.lshr(found, everywhere(32)))
        kept = builder.icmp_signed(">=", fraction, splat(builder, lowest_, vector))
        zero = ir.Constant(t.llvm_vector, None)
        chosen = builder.select(kept, builder.extract_value(value, 0), zero)
        return builder.insert_value(value, chosen, 0)

    return t(t, words, types.intp, types.int64), generate


@inlined
def _drop(x, y, first, count, words, lowest, scale):
    """y[first :] = dropout of `count` values x[first :], whose random bits are `words`."""
    whole = count // lanes_of(y) * lanes_of(y)
    factor = tile_fill(tile_zero(y, 1, 1), scale)
    for i in range(0, whole, lanes_of(y)):
        t = tile_mul(tile_load(factor, x, first + i, 0), factor)
        t = tile_where_kept(t, words, i * (y.itemsize // 4), lowest)
        tile_store(t, y, first + i, 0)
    for i in range(whole, count):
        kept = is_kept(words, 0, i, lowest, y)
        y[first + i] = select(kept, x[first + i] * scale, y.dtype.type(0))


@kernel
def _dropout(lo, hi, thread, x, y, key, lowest, scale):
    words = np.empty(_BUFFER, np.uint32)
    per_step = _STEP * 4 // y.itemsize
    for step in range(lo, hi, _BUFFER // _STEP):
        fill(words, step, key)
        first, last = per_step * step, min(step + _BUFFER // _STEP, hi) * per_step
        _drop(x, y, first, min(last, y.size) - first, words, lowest, y.dtype.type(scale))


@inlined
def _pair(words, i, unit, tiniest):
    """Two normal values from the words i, i + 1 (float64: to i + 3), rounded as TensorFlow's."""
    # Its 2 pi v is a product of doubles; log, sin and cos are the C library's, as there.
    width = unit.itemsize // 4
    if width == 1:
        u, v = _unit(words[i]), _unit(words[i + 1])
    else:
        u, v = _unit_double(words[i], words[i + 1]), _unit_double(words[i + 2], words[i + 3])
    angle = unit.dtype.type(_TWO_PI * v)
    u = max(unit.dtype.type(u), tiniest)
    r = math.sqrt(unit.dtype.type(-2) * math.log(u))
    return math.sin(angle) * r, math.cos(angle) * r


@kernel
def _normal(lo, hi, thread, y, key, scale, shift):
    scale, shift, tiniest = y.dtype.type(scale), y.dtype.type(shift), y.dtype.type(1e-7)
    words = np.empty(_STEP, np.uint32)
    width = y.itemsize // 4  # words a value
    for step in range(lo, hi):
        fill(words, step, key)
        out = y[_STEP // width * step : min(_STEP // width * (step + 1), y.size)]
        for i in range(0, out.size, 2):
            first, second = _pair(words, i * width, y, tiniest)
            out[i] = first * scale + shift
            if i + 1 < out.size:
                out[i + 1] = second * scale + shift


@kernel
def _truncated(lo, hi, thread, y, key, scale, shift):
    scale, shift, tiniest = y.dtype.type(scale), y.dtype.type(shift), y.dtype.type(1e-7)
    two = y.dtype.type(2)
    words = np.empty(_STEP, np.uint32)
    width = y.itemsize // 4
    per_group = 4 // width
    for group in range(lo * _STEP // 4, min(hi * _STEP // 4, -(-y.size // per_group))):
        i, last = per_group * group, min(per_group * (group + 1), y.size)
        # A group's stretch is 256 words for each of its values, in steps of 32.
        step = group * per_group * 8
        while i < last:
            fill(words, step, key)
            step += 1
            for start in range(0, _STEP, 2 * width):
                first, second = _pair(words, start, y, tiniest)
                if abs(first) < two and i < last:
                    y[i] = first * scale + shift
                    i += 1
                if abs(second) < two and i < last:
                    y[i] = second * scale + shift
                    i += 1
                if i == last:
                    break


@kernel
def _shuffle(lo, hi, thread, order, words):
    for i in range(order.size - 1):
        j = i + np.int64(words[i]) % (order.size - i)
        order[i], order[j] = order[j], order[i]
