"""`tf.random`: numbers from a generator of its own, whose seed `set_seed` sets.

As with TensorFlow, a draw here leaves Keras's draws, initial weights among them, as they are.
"""

from __future__ import annotations

import secrets

import numpy as np

from kerasmirror import ops
from kerasmirror import random as _random
from kerasmirror.core import seeds
from kerasmirror.standin.small_tensorflow.arrays import as_shape

_STATE = {"generator": None}


@seeds.on_new_seed
def _start_anew(seed=None):
    _STATE["generator"] = None if seed is None else _generator_of(seed)


def _generator_of(seed):
    return _random.SeedGenerator(seed, name="tensorflow_seed_generator")


def generator_for(seed):
    """`seed`, or for None the generator of draws without one."""
    if seed is not None:
        return seed
    if _STATE["generator"] is None:
        _STATE["generator"] = _generator_of(secrets.randbits(31))
    return _STATE["generator"]


def set_seed(seed):
    """Make what follows repeatable: initial weights, dropout, and what is drawn here."""
    seeds.set_global_seed(int(seed))


def normal(shape, mean=0.0, stddev=1.0, dtype="float32", seed=None, name=None):
    return _random.normal(as_shape(shape), mean, stddev, dtype, generator_for(seed))


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype="float32", seed=None, name=None):
    return _random.truncated_normal(as_shape(shape), mean, stddev, dtype, generator_for(seed))


def uniform(shape, minval=0, maxval=None, dtype="float32", seed=None, name=None):
    """From minval (included) to maxval (not included; 1 for floats when it is None)."""
    if "int" in dtype:
        if maxval is None:
            raise ValueError(
                "tf.random.uniform: `maxval` must be given for whole numbers. Received: maxval=None"
            )
        return _random.randint(as_shape(shape), minval, maxval, dtype, generator_for(seed))
    maxval = 1 if maxval is None else maxval
    return _random.uniform(as_shape(shape), minval, maxval, dtype, generator_for(seed))


def shuffle(value, seed=None, name=None):
    return _random.shuffle(value, seed=generator_for(seed))


def categorical(logits, num_samples, dtype=None, seed=None, name=None):
    return _random.categorical(logits, num_samples, dtype or "int64", generator_for(seed))


def gamma(shape, alpha, beta=1.0, dtype="float32", seed=None, name=None):
    alpha = ops.convert_to_tensor(alpha, dtype)
    drawn = _random.gamma((*as_shape(shape), *np.shape(alpha)), alpha, dtype, generator_for(seed))
    return ops.divide(drawn, beta)
