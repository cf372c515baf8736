"""Masking: steps of a sequence that stand for nothing."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.core.tensor import set_keras_mask
from kerasmirror.layers.layer import Layer


@export("layers.Masking")
class Masking(Layer):
    """Masks the steps whose values all equal `mask_value`, and makes them 0.

    Shapes: inputs and result (N, steps, ..., values), mask (N, steps, ...).
    Source: Keras 3.15 `keras.layers.Masking`.
    """

    def __init__(self, mask_value=0.0, **kwargs):
        super().__init__(**kwargs)
        if isinstance(mask_value, dict) and mask_value.get("config"):
            mask_value = serialization.deserialize_keras_object(mask_value)
        self.mask_value = mask_value
        self.supports_masking = True
        self._build_at_init()

    def compute_mask(self, inputs, mask=None):
        return ops.any(ops.not_equal(inputs, self.mask_value), axis=-1)

    def call(self, inputs):
        mask = self.compute_mask(inputs)
        outputs = ops.where(ops.expand_dims(mask, -1), inputs, 0)
        set_keras_mask(outputs, mask)
        return outputs

    def compute_output_shape(self, input_shape):
        return input_shape
