"""Shuffled and split as Keras does it, so that the same seed gives the same parts."""

from __future__ import annotations

import numpy as np


def check_test_split(test_split, owner):
    """Raise ValueError unless 0 <= test_split < 1."""
    if not 0 <= test_split < 1:
        raise ValueError(
            f"{owner}: `test_split` must be at least 0 and below 1. "
            f"Received: test_split={test_split!r}"
        )


def shuffled(generator, *arrays):
    """The arrays in one new order drawn from `generator`, a RandomState."""
    order = np.arange(len(arrays[0]))
    generator.shuffle(order)
    return tuple(array[order] for array in arrays)


def split(x, y, test_split):
    """`(x_train, y_train), (x_test, y_test)`, the latter the last part."""
    count = int(len(x) * (1 - test_split))
    return (x[:count], y[:count]), (x[count:], y[count:])
