"""Layers to configs and back: `keras.layers.serialize`, `keras.layers.deserialize`."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.layers.layer import Layer


@export("layers.serialize")
def serialize(layer):
    """The layer's config, with its class and module, as plain data."""
    return serialization.serialize_keras_object(layer)


@export("layers.deserialize")
def deserialize(config, custom_objects=None):
    """The layer (or model) that `serialize` described.

    Raises: ValueError when the config describes something else, TypeError for an unknown class.
    """
    layer = serialization.deserialize_keras_object(config, custom_objects=custom_objects)
    if not isinstance(layer, Layer):
        raise ValueError(
            "keras.layers.deserialize: `config` must describe a layer. "
            f"Received: config={config!r}, which gives an object of type {type(layer)}"
        )
    return layer
