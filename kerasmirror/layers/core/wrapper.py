"""Wrapper: the base of layers that do something with another layer."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.layers.layer import Layer


@export("layers.Wrapper")
class Wrapper(Layer):
    """Base of layers that hold one `layer` and call it in a way of their own.

    Raises: ValueError when `layer` is no Layer.
    Source: Keras 3.15 `keras.layers.Wrapper`.
    """

    def __init__(self, layer, **kwargs):
        if not isinstance(layer, Layer):
            raise ValueError(
                f"{type(self).__name__}: Layer {layer!r} supplied to Wrapper isn't a supported "
                "layer type. Please ensure wrapped layer is a valid Keras layer. "
                f"Received: layer={layer!r} of type {type(layer)}"
            )
        super().__init__(**kwargs)
        self.layer = layer

    def build(self, input_shape=None):
        if not self.layer.built:
            self.layer.build(input_shape)
            self.layer.built = True

    def get_config(self):
        return {
            **super().get_config(),
            "layer": serialization.serialize_keras_object(self.layer),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        layer = serialization.deserialize_keras_object(
            config.pop("layer"), custom_objects=custom_objects
        )
        return cls(layer, **config)
