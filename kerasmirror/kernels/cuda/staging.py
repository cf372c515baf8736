"""Copies of batches to the GPU that overlap computation.

A batch is copied by the CPU into page-locked memory, from there on a stream of its own into a slot
on the card, and by the card into the array that the computation reads. The slot is free again as
soon as that last, short copy is done, so the next batch comes in while this one is computed with.
"""

from __future__ import annotations

import ctypes
import weakref

import numpy as np

from ..cpu.memory import size_class
from . import memory

SMALLEST = 1 << 14  # bytes: a smaller array goes in the ordinary way
_SLOTS = 2


class _Slot:
    """Memory of one size on both sides, and the events that say when it can be used again."""

    def __init__(self, on, n_bytes):
        self.device = on
        self.host = on.allocate_host(n_bytes)
        self.block = memory.pool_of(on).lend(n_bytes, "a slot for batches", memory.pool_of(on))
        self.arrived, self.taken = on.event(), on.event()
        # What used the block before has to be done with it.
        on.record(self.taken, on.stream)
        self.used = False
        weakref.finalize(self, on.free_host, self.host).atexit = False

    def copy(self, array, values):
        """Copy the values of a NumPy array into a device array of the same size and dtype."""
        on, n_bytes = self.device, values.nbytes
        if self.used:
            on.wait_for(self.arrived)  # the host's side is read
        ctypes.memmove(self.host, values.ctypes.data, n_bytes)
        on.wait(on.copies, self.taken)
        on.copy_in(self.block.address, self.host, n_bytes, on.copies)
        on.record(self.arrived, on.copies)
        on.wait(on.stream, self.arrived)
        on.copy(array.address, self.block.address, n_bytes)
        on.record(self.taken, on.stream)
        self.used = True


_slots = {}  # (device, size): slots in the order of their next use


def overwrite(array, values):
    """Write the values of a NumPy array of the same shape and dtype into a device array."""
    values = np.asarray(values, array.dtype, order="C")
    if values.nbytes < SMALLEST:
        memory.overwrite_from_host(array, values)
        return
    on = array.owner.device
    size = size_class(values.nbytes)
    with on.lock:  # a slot is one thread's from the host's copy to the last of its events
        slots = _slots.setdefault((on, size), [])
        if len(slots) < _SLOTS:
            slots.append(_Slot(on, size))
        else:
            slots.append(slots.pop(0))
        slots[-1].copy(array, values)


def upload(values):
    """A NumPy array's values as a new device array."""
    array = memory.empty(values.shape, values.dtype)
    overwrite(array, values)
    return array
