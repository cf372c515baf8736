"""The names of convolution algorithms, as both devices' `conv.py` take them."""

from __future__ import annotations

import os
from typing import NamedTuple

VARIABLE = "KERASMIRROR_CONV_ALGORITHM"


class ConvAlgorithms(NamedTuple):
    """An algorithm's name for each pass of a convolution."""

    forward: str
    grad_input: str
    grad_kernel: str


def checked(algorithm, known, owner, name):
    """The algorithm, one of `known`.

    Raises: ValueError for any other.
    """
    if algorithm not in known:
        raise ValueError(
            f"{owner}: `{name}` must be one of {', '.join(map(repr, known))}. "
            f"Received: {name}={algorithm!r}"
        )
    return algorithm


def from_environment(check):
    """What the environment variable says, checked by `check(algorithm, owner, name)`."""
    return check(os.environ.get(VARIABLE, "auto"), "conv2d", VARIABLE)
