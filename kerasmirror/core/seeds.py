"""The global random seed: one number from which every unseeded draw starts."""

from __future__ import annotations

from kerasmirror.core.locks import lock_of

# Held during a draw: threads that share a generator never get one seed twice.
drawing = lock_of(globals(), "drawing")

_STATE = {"seed": None}
_LISTENERS = []


def global_seed():
    """The seed set last by `keras.utils.set_random_seed`, or None."""
    return _STATE["seed"]


def set_global_seed(seed):
    """Remember `seed` (an int, or None for none) and tell every listener."""
    _STATE["seed"] = seed
    for listener in _LISTENERS:
        listener(seed)


def on_new_seed(listener):
    """Decorator: call `listener(seed)` whenever the global seed is set anew."""
    _LISTENERS.append(listener)
    return listener
