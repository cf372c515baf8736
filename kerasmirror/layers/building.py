"""Building by one thread at a time: a layer that two threads call first is built once."""

from __future__ import annotations

import contextlib
import threading

from kerasmirror.core.locks import lock_of

_lock = lock_of(globals(), "_lock")
_at_work = {}  # by a layer's id: its lock, and how many threads hold it or wait for it


@contextlib.contextmanager
def alone_at(layer):
    """Within it, no other thread builds the layer."""
    with _lock:
        entry = _at_work.setdefault(id(layer), [threading.RLock(), 0])
        entry[1] += 1
    try:
        with entry[0]:
            yield
    finally:
        with _lock:
            entry[1] -= 1
            if not entry[1]:
                _at_work.pop(id(layer), None)
