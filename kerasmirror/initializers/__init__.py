"""Initial values of weights: `keras.initializers`."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import dtypes
from kerasmirror.core.serialization import (
    resolve,
    serialize_keras_object,
)
from kerasmirror.core.symbolic import standardize_shape
from kerasmirror.core.tensor import Tensor
from kerasmirror.initializers.constant import STFT, Constant, Identity, Ones, Zeros
from kerasmirror.initializers.initializer import Initializer
from kerasmirror.initializers.random import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Orthogonal,
    RandomInitializer,
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    VarianceScaling,
    compute_fans,
)
from kerasmirror.ops.tensor import to_tensor

__all__ = [
    "STFT",
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomInitializer",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "deserialize",
    "get",
    "serialize",
]

# Names that Keras's `get` knows besides the public ones.
_OLD_NAMES = {"normal": RandomNormal, "uniform": RandomUniform, "one": Ones, "zero": Zeros}


@export("initializers.serialize")
def serialize(initializer):
    """The initializer's config, as Keras writes it."""
    return serialize_keras_object(initializer)


@export("initializers.deserialize")
def deserialize(config, custom_objects=None):
    """The initializer of a config or a name. Raises: ValueError for an unknown one."""
    return resolve(config, "initializers", "initializer", Initializer, custom_objects)


@export("initializers.get")
def get(identifier):
    """The initializer for a name, a config, a class, an object, a callable, or an array (itself).

    None stays None. Raises: ValueError for anything else.
    """
    if isinstance(identifier, (Tensor, np.ndarray, np.generic)):
        return _from_array(identifier)
    if isinstance(identifier, str) and identifier in _OLD_NAMES:
        return _OLD_NAMES[identifier]()
    return resolve(identifier, "initializers", "initializer", Initializer)


def _from_array(values):
    def initialize_fn(shape, dtype=None):
        """The values of an array, for a weight of its shape."""
        if standardize_shape(shape) != tuple(values.shape):
            raise ValueError(
                f"initializers.get: Expected `shape` to be {tuple(values.shape)}, the given "
                f"array's. Received: shape={shape}"
            )
        dtype = dtypes.numpy_dtype(dtypes.standardize_dtype(dtype))
        return Tensor(np.array(to_tensor(values).data, dtype))

    return initialize_fn
