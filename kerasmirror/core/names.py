"""Automatic names ("dense", "dense_1", ...) and the session state that `clear_session` resets.

Each thread has a session of its own, as in Keras: a model built in a thread gets the names that it
would get alone, and none twice.
"""

from __future__ import annotations

import re
import threading
from collections import defaultdict

from kerasmirror._export import export


class _Session(threading.local):
    def __init__(self):
        self.counts = defaultdict(int)
        self.dtype_policy = None
        self.unsafe = False


_session = _Session()
_RESETS = []


def session():
    """What this thread has set since the last `clear_session` of any thread."""
    return _session


def auto_name(prefix):
    """The next free name of a kind: `prefix`, then `prefix_1`, `prefix_2`, ..."""
    prefix = to_snake_case(prefix)
    counts = _session.counts
    number = counts[prefix]
    counts[prefix] = number + 1
    return f"{prefix}_{number}" if number else prefix


def to_snake_case(name):
    """`MaxPooling2D` -> `max_pooling2d`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def on_clear_session(reset):
    """Register a function that `clear_session` calls."""
    _RESETS.append(reset)
    return reset


@export("backend.get_uid")
def get_uid(prefix=""):
    """A number that counts up from 1 for each `prefix`."""
    counts = _session.counts
    counts[prefix] += 1
    return counts[prefix]


@export("utils.clear_session", "backend.clear_session")
def clear_session(free_memory=True):
    """Reset automatic names, the dtype policy and the global random state, for all threads.

    `free_memory` also collects garbage now.
    """
    global _session
    _session = _Session()
    for reset in _RESETS:
        reset()
    if free_memory:
        import gc

        gc.collect()
