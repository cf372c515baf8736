"""Identity: what goes in comes out."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import tree
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.layers.layer import Layer


@export("layers.Identity")
class Identity(Layer):
    """The inputs as they are, a nest of tensors too.

    Source: Keras 3.15 `keras.layers.Identity`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def compute_output_spec(self, inputs):
        return tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype), inputs)
