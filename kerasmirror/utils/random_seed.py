"""set_random_seed: one call that makes a program repeatable."""

from __future__ import annotations

import random

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import seeds


@export("utils.set_random_seed")
def set_random_seed(seed):
    """Seed Python's `random`, `numpy.random`, the order of `fit`'s samples and all unseeded draws.

    The initial weights, dropout masks and sample order that follow are those of Keras on
    TensorFlow after the same call.
    Raises: ValueError unless `seed` is an int.
    Source: Keras 3.15 `keras.utils.set_random_seed`.
    """
    if not isinstance(seed, int):
        raise ValueError(
            f"set_random_seed: `seed` must be an int. Received: seed={seed!r} "
            f"(of type {type(seed)})"
        )
    random.seed(seed)
    np.random.seed(seed)
    seeds.set_global_seed(seed)
