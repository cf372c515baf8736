"""Whether what a config or file holds may run code of its own: only where the user said so."""

from __future__ import annotations

import threading

from kerasmirror._export import export
from kerasmirror.core.names import session


class _State(threading.local):
    def __init__(self):
        self.scopes = []


_STATE = _State()


class SafeModeScope:
    """Context manager: inside it, loading is in safe mode or (`safe_mode=False`) is not."""

    def __init__(self, safe_mode=True):
        self.safe_mode = safe_mode

    def __enter__(self):
        _STATE.scopes.append(self.safe_mode)
        return self

    def __exit__(self, *error):
        _STATE.scopes.pop()


def in_safe_mode():
    """What the innermost scope says, else what was set for good; None where nothing is said."""
    if _STATE.scopes:
        return _STATE.scopes[-1]
    return False if session().unsafe else None


@export("config.enable_unsafe_deserialization")
def enable_unsafe_deserialization():
    """Let configs run the Python code they hold (that of a Lambda layer's lambda) from now on.

    In this thread, until `clear_session`, as in Keras.
    """
    session().unsafe = True
