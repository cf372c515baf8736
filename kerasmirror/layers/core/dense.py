"""Dense: the fully connected layer."""

from __future__ import annotations

from kerasmirror import activations
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer, float_inputs
from kerasmirror.layers.weight_options import (
    add_weight_with_options,
    keep_weight_options,
    refuse,
)
from kerasmirror.ops.nn.dense import affine


@export("layers.Dense")
class Dense(Layer):
    """Affine map of the last axis: `activation(inputs @ kernel + bias)`.

    Shapes: inputs (..., in), kernel (in, units), bias (units,), result (..., units).
    Raises: ValueError for `units` below 1 or inputs of fewer than two axes.
    Source: Keras 3.15 `keras.layers.Dense`, without LoRA and quantization.
    """

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        lora_rank=None,
        lora_alpha=None,
        quantization_config=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        refuse(
            self,
            lora_rank=lora_rank,
            lora_alpha=lora_alpha,
            quantization_config=quantization_config,
        )
        self.units = checks.positive_int(units, "units", owner="Dense")
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        keep_weight_options(
            self,
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self.quantization_config = None
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                "Dense: `inputs` must have a last axis of known size. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )
        self.kernel = add_weight_with_options(self, "kernel", (input_shape[-1], self.units))
        self.bias = add_weight_with_options(self, "bias", (self.units,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

    def call(self, inputs, training=None):
        inputs = float_inputs(self, inputs)
        fused = activations.fusable(self.activation)
        if fused is not None:
            return affine(inputs, self.kernel, self.bias, activation=fused)
        return self.activation(affine(inputs, self.kernel, self.bias))

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)
