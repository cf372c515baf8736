"""Dense: the fully connected layer."""

from __future__ import annotations

from kerasmirror import activations
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.layers.core.quantized_dense import QuantizedDense
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import float_inputs
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options
from kerasmirror.ops.nn.dense import affine


@export("layers.Dense")
class Dense(QuantizedDense):
    """Affine map of the last axis: `activation(inputs @ kernel + bias)`.

    With `lora_rank` the kernel is fixed and `lora_alpha / lora_rank * A @ B` is learned on top of
    it (`enable_lora` does so for a layer that is there).
    Shapes: inputs (..., in), kernel (in, units), bias (units,), result (..., units); A (in,
    lora_rank), B (lora_rank, units).
    Raises: ValueError for `units` below 1 or inputs of fewer than two axes.
    Source: Keras 3.15 `keras.layers.Dense`.
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
        self.units = checks.positive_int(units, "units", owner="Dense")
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        keep_weight_options(
            self,
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self._keep_lora(lora_rank, lora_alpha)
        self.quantization_config = quantization_config
        self.input_spec = InputSpec(min_ndim=2)
        self.supports_masking = True

    def build(self, input_shape):
        if input_shape[-1] is None:
            raise ValueError(
                "Dense: `inputs` must have a last axis of known size. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )
        shape = (input_shape[-1], self.units)
        mode = self.quantization_mode
        if mode is not None:
            self.quantized_build(shape, mode=mode, config=self.quantization_config)
        if mode not in ("int8", "int4", "gptq", "awq"):  # those have a kernel of their own
            self._kernel = add_weight_with_options(self, "kernel", shape)
        self.bias = add_weight_with_options(self, "bias", (self.units,)) if self.use_bias else None
        self.input_spec = InputSpec(min_ndim=2, axes={-1: input_shape[-1]})
        self._enable_lora_if_asked()

    @property
    def kernel(self):
        return self._adapted_weight()

    def call(self, inputs, training=None):
        inputs = float_inputs(self, inputs)
        fused = activations.fusable(self.activation)
        if self.lora_enabled:
            outputs = self._add_low_rank(affine(inputs, self._kernel, self.bias), inputs)
        elif fused is not None:
            return affine(inputs, self._kernel, self.bias, activation=fused)
        else:
            outputs = affine(inputs, self._kernel, self.bias)
        return outputs if self.activation is None else self.activation(outputs)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)
