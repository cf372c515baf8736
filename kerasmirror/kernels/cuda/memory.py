"""Device memory: arrays of it from a pool, and copies from and to the host.

Asking the driver for memory waits for the card, so blocks are kept by size class when their array
dies. That is safe without waiting: what reuses a block is launched behind what used it.
"""

from __future__ import annotations

import contextlib
import math

import numpy as np

from ..cpu.memory import size_class
from . import device, errors
from .array import DeviceArray

__all__ = ["clear_pool", "constant", "empty", "pool_statistics", "to_device", "to_host", "zeros"]

_STAGED = 64 << 10  # bytes that the driver puts among its commands before a copy returns
_SMALLEST = 256  # bytes; also what every address is a multiple of
# Kernels count in 32 bits, and threads of the last block may stand behind the last element.
_MOST_ELEMENTS = 2**31 - 2**16


class Block:
    """Memory of a device, which goes back to its pool when the last array in it dies."""

    __slots__ = ("address", "device", "n_bytes", "pool", "__weakref__")

    def __init__(self, device, address, n_bytes, pool):
        self.device = device
        self.address = address
        self.n_bytes = n_bytes
        self.pool = pool

    def __del__(self):
        self.pool.take_back(self.n_bytes, self.address)


class Pool:
    """The blocks of one device, free ones by size."""

    def __init__(self, on):
        self.device = on
        self.free = {}
        self.held = 0  # bytes that the driver gave
        self.allocations = 0

    def take(self, n_bytes, described):
        """A Block of at least `n_bytes`.

        Raises: DeviceMemoryError, after free blocks were given back in vain.
        """
        size = size_class(max(_SMALLEST, n_bytes))
        recorder = self.device.recorder
        if recorder is not None and recorder.is_of_this_thread():
            return recorder.take(size, described)
        return self.lend(size, described, self)

    def lend(self, size, described, owner):
        """A Block of a size class, which goes to `owner` in the end."""
        try:
            address = self.free[size].pop()
        except (KeyError, IndexError):
            address = self.allocate(size, described)
        return Block(self.device, address, size, owner)

    def take_back(self, size, address):
        """Keep a block that nobody uses any more.

        Any thread may come by here, in the middle of anything: nothing is counted or locked.
        """
        self.free.setdefault(size, []).append(address)

    @property
    def used(self):
        """Bytes in blocks that are lent."""
        return self.held - self.free_bytes()

    def allocate(self, size, described):
        """The address of memory from the driver."""
        address = self.device.allocate(size)
        if address is None:
            self.clear()
            address = self.device.allocate(size)
        if address is None:
            free, total = self.device.memory()
            raise errors.DeviceMemoryError(
                f"kerasmirror: {self.device.name} ({self.device.title}) has not enough memory for "
                f"{described}, {_readable(size)}: {_readable(self.used)} are in use by arrays of "
                f"this process, {_readable(free)} of {_readable(total)} are free. A smaller batch "
                "needs less."
            )
        with self.device.lock:
            self.allocations += 1
            self.held += size
        return address

    def clear(self):
        """Give every free block back to the driver."""
        if self.device.recorder is not None:
            return  # nothing can be waited for, and the driver waits
        self.device.synchronize()
        with self.device.lock:
            for size, addresses in self.free.copy().items():
                with contextlib.suppress(IndexError):  # another thread may take one meanwhile
                    while True:
                        self.device.free(addresses.pop())
                        self.held -= size

    def free_bytes(self):
        """Bytes in free blocks."""
        return sum(size * len(addresses) for size, addresses in self.free.copy().items())


def _readable(n_bytes):
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if n_bytes < 1024 or unit == "GiB":
            return f"{n_bytes:.4g} {unit}"
        n_bytes /= 1024
    return None


_pools = {}


def pool_of(on):
    """The pool of a device."""
    return _pools.get(on) or _pools.setdefault(on, Pool(on))


def empty(shape, dtype=np.float32):
    """A device array of `shape` with arbitrary contents."""
    return _empty(device.current(), tuple(shape), np.dtype(dtype))


def _empty(on, shape, dtype):
    array = DeviceArray(0, shape, dtype, None)
    if array.size > _MOST_ELEMENTS:
        require_countable(shape)
    n_bytes = array.nbytes
    pool = pool_of(on)
    array.owner = pool.take(n_bytes, f"an array of shape {shape} and dtype {dtype}")
    array.address = array.owner.address
    return array


def require_countable(shape):
    """Raise ValueError for a shape with more elements than kernels can count in 32 bits."""
    if math.prod(shape) > _MOST_ELEMENTS:
        raise ValueError(
            f"kerasmirror: an array on a GPU must have at most {_MOST_ELEMENTS} elements: kernels "
            f"count in 32 bits. Received: shape={tuple(shape)}, {math.prod(shape)} elements"
        )


def zeros(shape, dtype=np.float32):
    """A device array of `shape` full of zeros."""
    array = empty(shape, dtype)
    if array.size:
        device.current().fill_bytes(array.address, 0, array.nbytes)
    return array


def to_device(values):
    """A copy of a NumPy array on the current device."""
    values = np.asarray(values, order="C")
    array = empty(values.shape, values.dtype)
    overwrite_from_host(array, values)
    return array


def constant(value):
    """A device array of one value, which is kept for all that ask: nobody may write to it."""
    on = device.current()
    key = on, value.dtype, value.tobytes()
    found = _constants.get(key)
    if found is None:
        if len(_constants) >= _MOST_CONSTANTS:
            _constants.clear()
        found = _constants[key] = _fresh(on, value)
    recorder = on.recorder
    if recorder is not None:
        recorder.kept.append(found)
    return found


def _fresh(on, value):
    """A device array in memory that nothing has used: it can be written to beside all else."""
    pool = pool_of(on)
    address = pool.allocate(size_class(_SMALLEST), "a constant")
    array = DeviceArray(0, value.shape, value.dtype, None)
    array.owner = Block(on, address, size_class(_SMALLEST), pool)
    array.address = address
    on.copy_in_now(array.address, value.ctypes.data, array.nbytes)
    return array


_constants = {}
_MOST_CONSTANTS = 4096


def overwrite_from_host(array, values):
    """Write the values of a contiguous NumPy array of the same shape and dtype into `array`."""
    array.owner.device.require_no_recording("an array is copied from the host")
    if array.size:
        on = array.owner.device
        on.copy_in(array.address, values.ctypes.data, array.nbytes)
        if array.nbytes > _STAGED:
            # The driver promises no more than that it "might" have read pageable memory by now.
            on.synchronize()


def copy_into(target, values):
    """Write the values of a device array into another of the same size and dtype."""
    if target.size:
        target.owner.device.copy(target.address, values.address, target.nbytes)


def to_host(array):
    """The values of a device array as a NumPy array."""
    return array.to_host()


def pool_statistics():
    """Bytes free and in use, and how often the driver was asked, on the current device."""
    pool = pool_of(device.current())
    return {
        "free_bytes": pool.free_bytes(),
        "used_bytes": pool.used,
        "allocations": pool.allocations,
    }


def clear_pool():
    """Give every free block of the current device back to the driver."""
    pool_of(device.current()).clear()
