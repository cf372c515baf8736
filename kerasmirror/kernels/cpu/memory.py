"""Pooled arrays: fresh large arrays cost more (page faults) than the arithmetic on them.

A block belongs to the array handed out, and to its views; when the last of them dies, a weak
reference's callback gives the block back to the free list of its size class.
"""

import contextlib
import mmap
import os
import threading
import weakref

import numpy as np

__all__ = ["clear_pool", "empty", "pool_statistics", "zeros"]

SMALLEST = 4096  # bytes; below, the C allocator is as fast
CLASS_LIMIT = 1 << 28  # bytes kept free in one size class, or one block if that is larger
LIMIT = 1 << 30  # bytes kept free in all classes when the pool must grow
_ALIGNMENT = 64
_MAPPED = 1 << 18  # bytes from which a block is pages of its own
_HUGE = 1 << 22  # bytes from which huge pages are asked for

# Lists and dictionaries change by single atomic operations, so taking and giving back need no lock,
# which also keeps a garbage collection that gives blocks back in the middle of anything harmless.
_free = {}
_leases = {}  # by identity: a weak reference hashes as its array, which has no hash
_counts = {"allocations": 0}
_lock = threading.RLock()  # a finalizer may run, and allocate, while it is held

_array = np.ndarray
_dtypes = {}

# The recorders of programs that are being noted (program.py), by thread: they hand out memory.
# Most of the time there is none, and none of another thread concerns this one.
recorders = {}


class Lease(weakref.ref):
    """Watches the array that owns a block at present."""

    __slots__ = ("block",)


def size_class(n_bytes):
    """`n_bytes` rounded up so that at most an eighth is wasted: 8 classes for each doubling."""
    shift = n_bytes.bit_length() - 4
    return ((n_bytes - 1 >> shift) + 1) << shift


def recorder_here():
    """The recorder that is open in this thread, or None."""
    return recorders.get(threading.get_ident())


def set_recorder(recorder):
    """Open a recorder in this thread, or none; gives the one before."""
    thread = threading.get_ident()
    before = recorders.pop(thread, None)
    if recorder is not None:
        recorders[thread] = recorder
    return before


def empty(shape, dtype=np.float32):
    """An array of `shape` with arbitrary contents, 64-byte aligned when it comes from the pool."""
    size = 1
    for n in shape:
        size *= n
    kind = _dtypes.get(dtype) or _known(dtype)
    n_bytes = size * kind.itemsize
    if recorders and (recorder := recorder_here()) is not None:
        return recorder.empty(shape, kind, n_bytes)
    if n_bytes < SMALLEST:
        return np.empty(shape, kind)
    block = take(size_class(n_bytes))
    array = _array(shape, kind, block)
    lease = Lease(array, _give_back)
    lease.block = block
    _leases[id(lease)] = lease
    return array


def zeros(shape, dtype=np.float32):
    """An array of `shape` full of zeros."""
    array = empty(shape, dtype)
    if recorders and (recorder := recorder_here()) is not None:
        recorder.zeros(array)
    else:
        array.fill(0)
    return array


def take(n_bytes):
    """A block of `n_bytes`, one of `size_class`'s sizes, from the pool."""
    try:
        return _free[n_bytes].pop()  # atomic: no two threads pop one block
    except (KeyError, IndexError):
        return _allocate(n_bytes)


def give(block, free=_free):
    """Put a block that nobody uses into the pool."""
    n_bytes = block.nbytes
    blocks = free.setdefault(n_bytes, [])
    if not blocks or (len(blocks) + 1) * n_bytes <= CLASS_LIMIT:
        blocks.append(block)


def _known(dtype):
    kind = _dtypes[dtype] = np.dtype(dtype)
    return kind


def _allocate(n_bytes):
    if _free_bytes() > LIMIT:
        clear_pool()
    with _lock:
        _counts["allocations"] += 1
    _free.setdefault(n_bytes, [])
    # No array: NumPy makes a view's base the first owner that is one, and the lease watches it.
    if n_bytes < _MAPPED:
        raw = bytearray(n_bytes + _ALIGNMENT)
        start = -np.frombuffer(raw, np.uint8).ctypes.data % _ALIGNMENT
        return memoryview(raw)[start : start + n_bytes]
    raw = mmap.mmap(-1, n_bytes)  # starts on a page
    if n_bytes >= _HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them works with small pages
            raw.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(raw)


def _give_back(lease, leases=_leases, free=_free):
    # The defaults keep the tables alive while the interpreter takes this module down.
    del leases[id(lease)]
    block = lease.block
    n_bytes = block.nbytes
    blocks = free[n_bytes]
    if not blocks or (len(blocks) + 1) * n_bytes <= CLASS_LIMIT:
        blocks.append(block)


def _free_bytes():
    return sum(n_bytes * len(blocks) for n_bytes, blocks in _free.copy().items())


def pool_statistics():
    """Bytes free, blocks and bytes in use, and how often a block had to be allocated."""
    used = [lease.block.nbytes for lease in list(_leases.values())]
    return {
        "free_bytes": _free_bytes(),
        "blocks_in_use": len(used),
        "used_bytes": sum(used),
        **_counts,
    }


def clear_pool():
    """Give every free block back to the system."""
    for blocks in list(_free.values()):
        blocks.clear()


def _new_lock_after_fork():
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock_after_fork)
