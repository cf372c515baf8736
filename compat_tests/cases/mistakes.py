"""Users' mistakes as data: what is done, and the type and whole text of what it raises."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

import kerasmirror


class Mistake(NamedTuple):
    """User code whose `keras` is the real one or the mirror, and what it raises.

    `keras_does` says what real Keras does where it raises another type ("accept": nothing): it
    then fails by accident, in TensorFlow, later, or not at all.
    """

    make: object
    error: type
    message: str
    keras_does: str | None = None


def ones(*shape, dtype="float32"):
    return np.ones(shape, dtype)


def place(mistake):
    """The start of the message, as a test's name."""
    return mistake.message[:60]


def raised_by(mistake):
    """Type and text of what the mirror raises, in a session with fresh names."""
    kerasmirror.utils.clear_session(free_memory=False)
    try:
        mistake.make(kerasmirror)
    except Exception as error:
        return type(error), str(error)
    return None, "nothing was raised"


def other_types(mistakes, keras):
    """(message, type) of the mistakes for which real Keras does something else than noted."""
    different = []
    for mistake in mistakes:
        keras.utils.clear_session(free_memory=False)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                mistake.make(keras)
                found = "accept"
            except Exception as error:
                found = type(error).__name__
        if found != (mistake.keras_does or mistake.error.__name__):
            different.append((mistake.message, found))
    return different
