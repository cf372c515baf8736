"""Automatic names ("dense", "dense_1", ...) and the session state that `clear_session` resets."""

from __future__ import annotations

import re
from collections import defaultdict

from kerasmirror._export import export

_COUNTS: defaultdict[str, int] = defaultdict(int)
_RESETS = []


def auto_name(prefix):
    """The next free name of a kind: `prefix`, then `prefix_1`, `prefix_2`, ..."""
    prefix = to_snake_case(prefix)
    number = _COUNTS[prefix]
    _COUNTS[prefix] += 1
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
    _COUNTS[prefix] += 1
    return _COUNTS[prefix]


@export("utils.clear_session", "backend.clear_session")
def clear_session(free_memory=True):
    """Reset automatic names and the global random state.

    `free_memory` also collects garbage now.
    """
    _COUNTS.clear()
    for reset in _RESETS:
        reset()
    if free_memory:
        import gc

        gc.collect()
