"""How many threads share the work of a kernel, and scratch memory for each of them."""

import functools
import os
import threading

from . import memory

__all__ = ["set_threads", "thread_count"]

# About 10 microseconds of streaming arithmetic: less is not worth waking another thread for.
GRAIN = 32768

_lock = threading.Lock()
_count = None


@functools.cache
def most():
    """The most threads there may be: every core of this process, or NUMBA_NUM_THREADS."""
    asked = os.environ.get("NUMBA_NUM_THREADS")
    if asked and asked.isdigit() and int(asked) > 0:
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return max(1, len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def thread_count():
    """How many threads kernels use: set_threads, KERASMIRROR_NUM_THREADS, or every core."""
    if _count is None:
        asked = os.environ.get("KERASMIRROR_NUM_THREADS")
        set_threads(int(asked) if asked else most())
    return _count


def set_threads(count):
    """Use `count` threads from now on; between 1 and the number of cores of this process."""
    global _count
    limit = most()
    if not 1 <= count <= limit:
        raise ValueError(
            f"set_threads: `count` must be between 1 and {limit}. Received: count={count}"
        )
    with _lock:
        _count = int(count)


def scratch(size, dtype):
    """One row of `size` elements for each thread, from the pool: `scratch[thread]` inside a kernel.

    A fresh lease for each launch, so that launches from several Python threads never share a row;
    and rows for as many threads as there may ever be, so that set_threads may come before the
    launch. Rows that nobody uses take no memory.
    """
    return memory.empty((most(), size), dtype)


def chunk_of(work_per_item):
    """How many items of `work_per_item` operations each are worth handing to a thread."""
    return max(1, GRAIN // max(1, work_per_item))


def _new_lock_after_fork():
    global _lock
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock_after_fork)
