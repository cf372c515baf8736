"""Launches: a kernel on a grid of blocks, with its arguments, on the device's stream.

A launch has to be cheap for the CPU, which prepares thousands of them a second: the arguments are
packed at once into a table that the driver reads, of eight bytes each.
"""

from __future__ import annotations

import ctypes
import struct

from . import compiler, device
from .array import DeviceArray
from .kernel import CODES

_LARGEST = 2**31 - 1


def blocks_for(count, per_block=256):
    """How many blocks of `per_block` items make up `count` of them."""
    return -(-count // per_block)


def launch(kernel, blocks, *args):
    """Run `kernel` on `blocks` blocks: a number, or (x, y) or (x, y, z) of them.

    Args: arrays on the device and numbers, in the order of the kernel's signature.
    Raises: NotImplementedError for types of arrays that the kernel was not written for.
    """
    key = []
    values = []
    for argument in args:
        if type(argument) is DeviceArray:
            key.append(argument.code)
            values.append(argument.address)
        else:
            values.append(argument)
    loaded = kernel.loaded.get(tuple(key))
    if loaded is None or loaded.device is not device.current():
        loaded = kernel.loaded[tuple(key)] = _load(kernel, tuple(key))
    x, y, z = blocks if type(blocks) is tuple and len(blocks) == 3 else _three(blocks)
    if x and y and z:
        loaded.run(x, y, z, values)


def _three(blocks):
    if type(blocks) is int:
        return blocks, 1, 1
    return (*blocks, 1, 1)[:3]


class Loaded:
    """One compiled form of a kernel on a device."""

    def __init__(self, on, kernel, signature, function):
        self.device = on
        self.name = kernel.name
        self.block = kernel.block
        self.function = function
        self.pack = struct.Struct(signature.format).pack_into
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
            except struct.error as error:
                raise ValueError(_too_large(self.name, values, error)) from None
            on.launch(self.name, self.function, x, y, z, self.block, self.address)


def _too_large(name, values, error):
    numbers = [v for v in values if isinstance(v, int) and abs(v) > _LARGEST]
    return (
        "kerasmirror: arrays on a GPU must have fewer than 2**31 elements. "
        f"Received: {numbers} for the kernel {name} ({error})"
    )


def _load(kernel_, key):
    signature = kernel_.signatures.get(key)
    if signature is None:
        raise NotImplementedError(unsupported(kernel_.name, key))
    on = device.current()
    image, symbol = compiler.image_of(kernel_, signature, on)
    return Loaded(on, kernel_, signature, on.function(image, symbol, kernel_.name))


def unsupported(name, key):
    """What to say where there is no kernel for these types."""
    names = {code: str(dtype) for dtype, code in CODES.items() if dtype.kind not in "b"}
    kinds = ", ".join(names.get(code, code) for code in key)
    return (
        f"kerasmirror: {name.strip('_')} has no CUDA kernel for arrays of {kinds}. Run it on the "
        'CPU: with keras.device("cpu:0"): ..., on tensors made there '
        "(`keras.ops.convert_to_numpy` brings them)."
    )
