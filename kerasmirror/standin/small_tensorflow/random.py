"""`tf.random`: numbers from this package's generators, whose seed `set_seed` sets."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror import random as _random
from kerasmirror.core import seeds
from kerasmirror.standin.small_tensorflow.arrays import as_shape


def set_seed(seed):
    """Make what follows repeatable: initial weights, dropout, and what is drawn here."""
    seeds.set_global_seed(int(seed))


def normal(shape, mean=0.0, stddev=1.0, dtype="float32", seed=None, name=None):
    return _random.normal(as_shape(shape), mean, stddev, dtype, seed)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype="float32", seed=None, name=None):
    return _random.truncated_normal(as_shape(shape), mean, stddev, dtype, seed)


def uniform(shape, minval=0, maxval=None, dtype="float32", seed=None, name=None):
    """From minval (included) to maxval (not included; 1 for floats when it is None)."""
    if "int" in dtype:
        if maxval is None:
            raise ValueError(
                "tf.random.uniform: `maxval` must be given for whole numbers. Received: maxval=None"
            )
        return _random.randint(as_shape(shape), minval, maxval, dtype, seed)
    return _random.uniform(as_shape(shape), minval, 1 if maxval is None else maxval, dtype, seed)


def shuffle(value, seed=None, name=None):
    return _random.shuffle(value, seed=seed)


def categorical(logits, num_samples, dtype=None, seed=None, name=None):
    return _random.categorical(logits, num_samples, dtype or "int64", seed)


def gamma(shape, alpha, beta=1.0, dtype="float32", seed=None, name=None):
    alpha = ops.convert_to_tensor(alpha, dtype)
    drawn = _random.gamma((*as_shape(shape), *np.shape(alpha)), alpha, dtype, seed)
    return ops.divide(drawn, beta)
