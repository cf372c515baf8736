"""Name scopes: the path that variables and layers get ("sequential/dense/kernel")."""

from __future__ import annotations

import contextlib
import threading

from kerasmirror._export import export


class _State(threading.local):
    def __init__(self):
        self.names = []
        self.autocast = None


_STATE = _State()


@export("name_scope")
class name_scope:  # noqa: N801 - Keras's name
    """Context manager: variables created inside get `name` in front of theirs in their path.

    With a `caller`, entering a scope of the same caller twice in a row adds the name once.
    Raises: ValueError for a name that is no string or has a slash.
    """

    def __init__(self, name, **kwargs):
        caller = kwargs.pop("caller", None)
        if kwargs:
            raise TypeError(f"keras.name_scope: unknown arguments. Received: {sorted(kwargs)}")
        if not isinstance(name, str) or "/" in name:
            raise ValueError(
                f"keras.name_scope: `name` must be a string without `/`. Received: name={name!r}"
            )
        self.name = name
        self.caller = caller
        self._entered = []

    def __enter__(self):
        names = _STATE.names
        again = bool(names) and self.caller is not None and names[-1][1] is self.caller
        if not again:
            names.append((self.name, self.caller))
        self._entered.append(not again)
        return self

    def __exit__(self, *error):
        if self._entered.pop():
            _STATE.names.pop()


def current_path():
    """The names of the open scopes, joined by slashes."""
    return "/".join(name for name, _ in _STATE.names)


def autocast_dtype():
    """The float dtype that variables are read in inside a mixed-precision layer, or None."""
    return _STATE.autocast


@contextlib.contextmanager
def autocast(dtype):
    """Within it, float variables that allow it are read as `dtype` (None: as they are)."""
    before, _STATE.autocast = _STATE.autocast, dtype
    try:
        yield
    finally:
        _STATE.autocast = before
