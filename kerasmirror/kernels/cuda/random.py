"""Random numbers: those of TensorFlow's stateless functions, the words bit for bit as on the CPU.

A `seed_pair` is two ints as on the CPU, or the key that `key_of` makes of them: four uint32 on the
device, which a captured graph reads anew at each replay (`overwrite_key` puts another there). One
thread makes one block of the generator, four words. uniform, dropout and whole numbers are the
CPU's to the bit, normal values to the last bits of log, sin and cos. See philox.py.
"""

from __future__ import annotations

import math

import numpy as np

from .. import scalar
from ..cpu.random import dropout_numbers, key_and_counter, shuffle_order
from . import graph, memory, normal_kernels, random_kernels
from .array import DeviceArray
from .casting import cast
from .elementwise import map_scalar
from .launch import blocks_for, launch
from .philox import UNIT_MASK
from .vectors import groups_in

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

_AXES = 5  # of random_kernels.dropout_shared

# Kernels for float32 and for float64, one thread for each block of the generator.
_UNIFORM = random_kernels.uniform, random_kernels.uniform_double
_NORMAL = normal_kernels.normal, normal_kernels.normal_double
_TRUNCATED = normal_kernels.truncated, normal_kernels.truncated_double


def key_of(seed_pair) -> DeviceArray:
    """The generator's key on the device: four words made of two ints; a key stays what it is."""
    if isinstance(seed_pair, DeviceArray):
        return seed_pair
    recorder = graph.recorded()
    if recorder is not None:
        return recorder.key(seed_pair)
    return memory.to_device(np.array(key_and_counter(seed_pair), np.uint32))


def overwrite_key(key: DeviceArray, seed_pair) -> None:
    """Make `key`, from `key_of`, that of another seed, for what is launched from now on."""
    memory.overwrite_from_host(key, np.array(key_and_counter(seed_pair), np.uint32))


# --- words and whole numbers ----------------------------------------------------------------


def random_bits(shape, seed_pair, dtype=np.uint32) -> DeviceArray:
    """Words of 32 or 64 random bits as uint32, int32, uint64 or int64."""
    y = memory.empty(tuple(shape), dtype)
    words = _viewed(y, np.uint32)
    blocks = blocks_for(words.size, 4 * 256)
    launch(random_kernels.words, blocks, words, key_of(seed_pair), words.size)
    return y


def random_integers(shape, seed_pair, low: int, high: int, dtype=np.int32) -> DeviceArray:
    """Whole numbers in [low, high): low + word % (high - low), int32 or int64."""
    dtype = np.dtype(dtype)
    y = memory.empty(tuple(shape), dtype)
    body = random_kernels.integers if dtype.itemsize == 4 else random_kernels.wide_integers
    flat = _viewed(y, f"u{dtype.itemsize}")
    numbers = y.size, high - low, low % 2 ** (8 * dtype.itemsize)
    launch(body, _blocks(y), flat, key_of(seed_pair), *numbers)
    return y


def _blocks(y):
    """Blocks of threads of which each fills 16 bytes of y, a block of the generator."""
    return blocks_for(y.nbytes, 16 * 256)


def _viewed(y, dtype):
    """The flat bytes of y as values of another type."""
    dtype = np.dtype(dtype)
    return DeviceArray(y.address, (y.nbytes // dtype.itemsize,), dtype, y.owner)


# --- uniform --------------------------------------------------------------------------------


def uniform(shape, seed_pair, dtype=np.float32, low=0.0, high=1.0) -> DeviceArray:
    """Uniform on [low, high): 23 random bits in float32, 52 in float64, 10 and 7 in the halves."""
    dtype = np.dtype(dtype)
    if dtype.itemsize == 2:
        unit = _uniform_half(shape, seed_pair, dtype)
        return _affine(unit, dtype.type(high) - dtype.type(low), dtype.type(low))
    y = memory.empty(tuple(shape), dtype)
    scale, shift = dtype.type(high) - dtype.type(low), dtype.type(low)
    _fill(y, seed_pair, _UNIFORM, float(scale), float(shift))
    return y


def _fill(y, seed_pair, bodies, *numbers):
    body = bodies[y.dtype == np.float64]
    launch(body, _blocks(y), y, key_of(seed_pair), y.size, *numbers)


def _uniform_half(shape, seed_pair, dtype):
    y = memory.empty(tuple(shape), np.float32)
    bits = _half_bits(dtype)
    numbers = y.size, 2**bits - 1, 2.0**-bits
    launch(random_kernels.few_bits, blocks_for(y.size), y, key_of(seed_pair), *numbers)
    return cast(y, dtype)


def _affine(unit, scale, shift):
    """Unit * scale + shift of halves, rounded after each operation."""
    return map_scalar(scalar.add, map_scalar(scalar.multiply, unit, scale), shift)


def _half_bits(dtype):
    """How many bits make a half's uniform value: its fraction's."""
    return 10 if dtype == np.float16 else 7


# --- dropout --------------------------------------------------------------------------------


def dropout(x: DeviceArray, seed_pair, rate: float, noise_shape=None) -> DeviceArray:
    """x / (1 - rate) where uniform >= rate, else 0. On dy the same call is the gradient.

    One pass. `noise_shape` draws one value for each place of that shape, broadcast to x's.
    """
    if rate >= 1:
        return memory.zeros(x.shape, x.dtype)
    if x.dtype.itemsize == 2:
        wide = cast(x, np.float32)
        return cast(_dropped(wide, x.dtype, seed_pair, rate, noise_shape), x.dtype)
    return _dropped(x, x.dtype, seed_pair, rate, noise_shape)


def dropout_in_place(y: DeviceArray, seed_pair, rate: float) -> DeviceArray:
    """y itself with what `dropout` gives of it for a rate below 1; float32 or float64."""
    _drop(y, y, y.dtype, seed_pair, rate)
    return y


def _dropped(x, dtype, seed_pair, rate, noise_shape):
    """Dropout of x as an array of `dtype` has it: x itself, or float32 for a half."""
    y = memory.empty(x.shape, x.dtype)
    if noise_shape is None or tuple(noise_shape) == x.shape:
        _drop(x, y, dtype, seed_pair, rate)
    else:
        sizes, strides = _noise_places(x.shape, noise_shape)
        mask, lowest, scale = _numbers(dtype, rate)
        if x.dtype == np.float32:
            numbers = x, y, key_of(seed_pair), x.size, *sizes, *strides, mask, lowest, scale
            launch(random_kernels.dropout_shared, blocks_for(x.size), *numbers)
        else:
            numbers = x, y, key_of(seed_pair), x.size, *sizes, *strides, lowest, scale
            launch(random_kernels.dropout_shared_double, blocks_for(x.size), *numbers)
    return y


def _drop(x, y, dtype, seed_pair, rate):
    mask, lowest, scale = _numbers(dtype, rate)
    n, key = x.size, key_of(seed_pair)
    if x.dtype == np.float32:
        numbers = n, groups_in(x, y) if n else 0, mask, lowest, scale
        launch(random_kernels.dropout, _blocks(x), x, y, key, *numbers)
    else:
        launch(random_kernels.dropout_double, _blocks(x), x, y, key, n, lowest, scale)


def _numbers(dtype, rate):
    """(mask of the random bits, the least of them that is kept, factor of what is kept)."""
    if dtype.itemsize > 2:
        return UNIT_MASK, *dropout_numbers(dtype, rate)
    bits = _half_bits(dtype)
    lowest = math.ceil(float(dtype.type(rate)) * 2.0**bits)
    return 2**bits - 1, lowest, float(dtype.type(1.0 / (1.0 - rate)))


def _noise_places(shape, noise_shape):
    """(sizes of axes 1 to 4, steps in the noise of axes 0 to 4) after neighbours are merged.

    Raises: NotImplementedError where axes with and without noise alternate more often.
    """
    merged = []
    for size, noise in zip(shape, noise_shape, strict=True):
        if size == 1:
            continue
        if merged and merged[-1][1] == (noise != 1):
            merged[-1][0] *= size
        else:
            merged.append([size, noise != 1])
    if len(merged) > _AXES:
        raise NotImplementedError(
            f"kerasmirror: dropout on a GPU takes a `noise_shape` whose axes of 1 and of full size "
            f"alternate at most {_AXES - 1} times. Received: noise_shape={noise_shape}. Run it on "
            'the CPU: with keras.device("cpu:0"): ...'
        )
    merged = [[1, False]] * (_AXES - len(merged)) + merged
    strides, step = [], 1
    for size, own in reversed(merged):
        strides.insert(0, step if own else 0)
        step *= size if own else 1
    return [size for size, _ in merged[1:]], strides


# --- normal ---------------------------------------------------------------------------------


def normal(shape, seed_pair, dtype=np.float32, mean=0.0, stddev=1.0) -> DeviceArray:
    """Normally distributed: sin(v) r and cos(v) r with r = sqrt(-2 log u), v = 2 pi u'.

    Source: Box and Muller 1958, https://doi.org/10.1214/aoms/1177706645.
    """
    return _scaled(_NORMAL, shape, seed_pair, dtype, mean, stddev)


def truncated_normal(shape, seed_pair, dtype=np.float32, mean=0.0, stddev=1.0) -> DeviceArray:
    """Normally distributed, without values of two deviations or more.

    Each group of 4 values (2 in float64) takes the first that fit from its own stretch of blocks.
    """
    return _scaled(_TRUNCATED, shape, seed_pair, dtype, mean, stddev)


def _scaled(bodies, shape, seed_pair, dtype, mean, stddev):
    dtype = np.dtype(dtype)
    if dtype.itemsize == 2:
        wide = _scaled(bodies, shape, seed_pair, np.float32, 0.0, 1.0)
        return _affine(cast(wide, dtype), dtype.type(stddev), dtype.type(mean))
    y = memory.empty(tuple(shape), dtype)
    _fill(y, seed_pair, bodies, float(dtype.type(stddev)), float(dtype.type(mean)))
    return y
