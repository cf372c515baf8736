"""`keras.losses.get`, `serialize`, `deserialize`."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import serialization

# The short names, as Keras has them in both cases.
SHORT = {
    "bce": "binary_crossentropy",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}


def long_name(name, short=SHORT):
    """The full name for "mse" or "MSE"; other names as they are."""
    if isinstance(name, str) and name in (name.lower(), name.upper()):
        return short.get(name.lower(), name)
    return name


@export("losses.serialize")
def serialize(loss):
    """The config of a loss or a loss function, as Keras writes it."""
    return serialization.serialize_keras_object(loss)


@export("losses.deserialize")
def deserialize(name, custom_objects=None):
    """The loss or loss function of a config or a name."""
    return serialization.resolve(long_name(name), "losses", "loss", custom_objects=custom_objects)


@export("losses.get")
def get(identifier):
    """The loss for a name ("mse", "Huber"), a config, a class, or a callable; None for None.

    Raises: ValueError for anything else.
    """
    return serialization.resolve(long_name(identifier), "losses", "loss")
