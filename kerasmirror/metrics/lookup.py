"""`keras.metrics.get`, `serialize`, `deserialize`."""

from __future__ import annotations

import inspect

from kerasmirror import _export
from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.core.names import to_snake_case

# Short names give the classes here, where those of the losses give functions.
SHORT = {
    "bce": "BinaryCrossentropy",
    "mae": "MeanAbsoluteError",
    "mape": "MeanAbsolutePercentageError",
    "mse": "MeanSquaredError",
    "msle": "MeanSquaredLogarithmicError",
}


def _class_name(name):
    """A metric class's name for "mse", "MSE" or its snake case; other names as they are."""
    if not isinstance(name, str) or serialization.get_registered_object(name) is not None:
        return name
    if name in (name.lower(), name.upper()) and name.lower() in SHORT:
        return SHORT[name.lower()]
    for public, symbol in _export.family("metrics").items():
        if inspect.isclass(symbol) and name == to_snake_case(public):
            return public
    return name


@export("metrics.serialize")
def serialize(metric):
    """The config of a metric or a metric function, as Keras writes it."""
    return serialization.serialize_keras_object(metric)


@export("metrics.deserialize")
def deserialize(config, custom_objects=None):
    """The metric or metric function of a config or a name."""
    return serialization.resolve(
        _class_name(config), "metrics", "metric", custom_objects=custom_objects
    )


@export("metrics.get")
def get(identifier):
    """The metric for a name ("mse", "AUC"), a config, a class, or a callable; None for None.

    Where a class and a function share a name in snake case, the class is meant.
    Raises: ValueError for anything else.
    """
    return serialization.resolve(_class_name(identifier), "metrics", "metric")
