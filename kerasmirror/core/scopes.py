"""What holds inside a `with`: the path that variables get, the dtype they are read in, and more."""

from __future__ import annotations

import contextlib
import threading

from kerasmirror._export import export


class _State(threading.local):
    def __init__(self):
        self.names = []
        self.autocast = None
        self.symbolic = None


_STATE = _State()


def nothing():
    """What a weak reference to nothing gives."""
    return None


class _Writes(threading.local):
    """Who is told before a variable is written to; the open StatelessScope; who waits for values.

    `uninitialized` holds weak references to variables that were made in a StatelessScope. `losses`
    is a list that takes each (layer, loss) of `Layer.add_loss`, where somebody wants to know.
    `called` is a weak reference to the layer that this thread has called last (not from within
    another's call), `added` has one to each layer that has added losses since, by its id, and them.
    """

    def __init__(self):
        self.observer = None
        self.stateless = None
        self.uninitialized = []
        self.losses = None
        self.called = nothing
        self.added = {}


WRITES = _Writes()


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
                "keras.name_scope: Argument `name` must be a string and cannot contain character "
                "`/`. "
                f"Received: name={name!r}"
            )
        self.name = name
        self.caller = caller

    def __enter__(self):
        names = _STATE.names
        again = bool(names) and self.caller is not None and names[-1][1] is self.caller
        names.append((None if again else self.name, self.caller))
        return self

    def __exit__(self, *error):
        _STATE.names.pop()


def current_path():
    """The names of the open scopes, joined by slashes."""
    return "/".join([name for name, _ in _STATE.names if name is not None])


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


@export("SymbolicScope")
class SymbolicScope:
    """Context manager that says: what runs in here only looks for shapes and dtypes.

    Nothing in it changes by itself; code asks `in_symbolic_scope()` where it has to behave
    otherwise. Source: Keras 3.15 `keras.SymbolicScope`.
    """

    def __enter__(self):
        self.original_scope = _STATE.symbolic
        _STATE.symbolic = self
        return self

    def __exit__(self, *args, **kwargs):
        _STATE.symbolic = self.original_scope


def get_symbolic_scope():
    """The innermost open SymbolicScope, or None."""
    return _STATE.symbolic


def in_symbolic_scope():
    """Whether a SymbolicScope is open."""
    return _STATE.symbolic is not None


def get_stateless_scope():
    """The open StatelessScope, or None."""
    return WRITES.stateless


def in_stateless_scope():
    """Whether a StatelessScope is open."""
    return WRITES.stateless is not None
