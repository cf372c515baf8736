"""Launches: a kernel on a grid of blocks, with its arguments, on the device's stream.

A launch has to be cheap for the CPU, which prepares thousands of them a second: the arguments are
packed at once into a table that the driver reads, of eight bytes each.
"""

from __future__ import annotations

import ctypes
import math
import struct

import numpy as np

from . import compiler, device, memory
from .array import DeviceArray
from .kernel import CODES

_LARGEST = 2**31 - 1
_LARGEST_FLOAT32 = 3.4028235677973366e38  # from here on a number is rounded to infinity


def blocks_for(count, per_block=256):
    """How many blocks of `per_block` items make up `count` of them."""
    return -(-count // per_block)


def launch(kernel, blocks, *args):
    """Run `kernel` on `blocks` blocks: a number, or (x, y) or (x, y, z) of them.

    Args: arrays on the device and numbers, in the order of the kernel's signature.
    Raises: NotImplementedError for types of arrays that the kernel was not written for,
    RuntimeError for arrays on another GPU than this thread's.
    """
    on = device.current()
    key = []
    values = []
    own = []
    for argument in args:
        if type(argument) is DeviceArray:
            key.append(argument.code)
            values.append(argument.address)
            if argument.owner.device is not on:
                raise RuntimeError(
                    f"kerasmirror: {kernel.name.strip('_')} was given an array on "
                    f"{argument.device} while this thread computes on {on.name}. Compute with it "
                    f'in `with keras.device("{argument.device}"): ...`'
                )
        elif type(argument) is np.ndarray:  # a constant of the rule that launches
            own.append(memory.to_device(argument))
            key.append(own[-1].code)
            values.append(own[-1].address)
        else:
            values.append(argument)
    loaded = kernel.loaded.get(tuple(key))
    if loaded is None or loaded.device is not on:
        loaded = kernel.loaded[tuple(key)] = _load(kernel, tuple(key))
    x, y, z = blocks if type(blocks) is tuple and len(blocks) == 3 else _three(blocks)
    if x and y and z:
        loaded.run(x, y, z, values)


def _three(blocks):
    if type(blocks) is tuple:
        return (*blocks, 1, 1)[:3]
    return blocks, 1, 1


class Loaded:
    """One compiled form of a kernel on a device."""

    def __init__(self, on, kernel, signature, function):
        self.device = on
        self.name = kernel.name
        self.block = kernel.block
        self.function = function
        self.pack = struct.Struct(signature.format).pack_into
        self.words = signature.words
        n = len(signature.words)
        # The table's memory belongs to the launch: the driver copies it before it returns.
        self.table = ctypes.create_string_buffer(8 * n)
        start = ctypes.addressof(self.table)
        self.places = (ctypes.c_void_p * n)(*(start + 8 * i for i in range(n)))
        self.address = ctypes.addressof(self.places)

    def run(self, x, y, z, values):
        on = self.device
        with on.lock:
            try:
                self.pack(self.table, 0, *values)
            except OverflowError:
                self.pack(self.table, 0, *map(_fitting, values, self.words))
            except struct.error:
                self._refuse_large(values)
                raise
            on.launch(self.name, self.function, x, y, z, self.block, self.address)

    def _refuse_large(self, values):
        pairs = zip(values, self.words, strict=True)
        large = [value for value, word in pairs if word == "i4" and value > _LARGEST]
        if large:
            raise ValueError(
                "kerasmirror: arrays on a GPU must have fewer than 2**31 elements. "
                f"Received: {large} for the kernel {self.name.strip('_')}"
            ) from None


def _fitting(value, word):
    """An infinity for what float32 has no number for, as on the CPU."""
    too_large = word == "f4" and _LARGEST_FLOAT32 <= abs(value) < math.inf
    return math.copysign(math.inf, value) if too_large else value


def _load(kernel_, key):
    signature = kernel_.signatures.get(key)
    if signature is None:
        raise NotImplementedError(unsupported(kernel_.name, key))
    on = device.current()
    with on.lock:
        # A kernel's own table is of the device that it ran on last; others keep theirs here.
        found = on.loaded.get((kernel_, key))
        if found is None:
            image, symbol = compiler.image_of(kernel_, signature, on)
            function = on.function(image, symbol, kernel_.name)
            found = on.loaded[kernel_, key] = Loaded(on, kernel_, signature, function)
    return found


def unsupported(name, key):
    """What to say where there is no kernel for these types."""
    names = {code: str(dtype) for dtype, code in CODES.items() if dtype.kind not in "b"}
    kinds = ", ".join(names.get(code, code) for code in key)
    return (
        f"kerasmirror: {name.strip('_')} has no CUDA kernel for arrays of {kinds}. Run it on the "
        'CPU: with keras.device("cpu:0"): ..., on tensors made there '
        "(`keras.ops.convert_to_numpy` brings them)."
    )
