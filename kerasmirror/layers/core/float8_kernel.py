"""Float8Kernel: training with inputs, kernel and gradients rounded to float8.

Source: Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433; Keras 3.15.
"""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror.autodiff.custom_gradient import custom_gradient
from kerasmirror.core.quantized_policy import QuantizedFloat8DTypePolicy
from kerasmirror.core.tensor import Tensor
from kerasmirror.layers.core.quantized import QuantizedLayer
from kerasmirror.layers.layer import float_inputs
from kerasmirror.quantizers.float8 import (
    compute_float8_amax_history,
    compute_float8_scale,
    largest,
    quantize_and_dequantize,
    rounded_array,
)

_FORWARD, _BACKWARD = "float8_e4m3fn", "float8_e5m2"


class Float8Kernel(QuantizedLayer):
    """The float8 half of a kernel layer.

    Each of inputs, kernel and the outputs' gradient has a scale and the largest values of its last
    steps. They are variables whose "gradient" is their next value.
    """

    def _float8_build(self, shape, config):
        policy = self._policy_of_layer()
        length = getattr(
            policy, "amax_history_length", QuantizedFloat8DTypePolicy.default_amax_history_length
        )
        options = {"dtype": "float32", "autocast": False, "overwrite_with_gradient": True}
        for name in ("inputs", "kernel", "outputs_grad"):
            scale = self._new_weight(f"{name}_scale", (), "ones", **options)
            history = self._new_weight(f"{name}_amax_history", (length,), "zeros", **options)
            setattr(self, f"{name}_scale", scale)
            setattr(self, f"{name}_amax_history", history)

    def _float8_call(self, inputs, training=None):
        if self.lora_enabled:
            raise NotImplementedError(
                f"{type(self).__name__}: float8 does not go with LoRA. "
                f"Received: layer '{self.name}' with lora_rank={self.lora_rank}"
            )
        inputs = self._rounded(float_inputs(self, inputs), "inputs", training)
        kernel = self._rounded(self._kernel.value, "kernel", training)
        outputs = self._with_rounded_gradient(self._contract(inputs, kernel))
        if self.bias is not None:
            bias = self.bias.value
            if self.compute_dtype == "float32":  # the precision that float8 outputs are kept in
                bias = ops.cast(ops.cast(bias, "bfloat16"), "float32")
            outputs = ops.add(outputs, bias)
        return outputs if self.activation is None else self.activation(outputs)

    def _state_of(self, name):
        return getattr(self, f"{name}_scale").value, getattr(self, f"{name}_amax_history").value

    def _rounded(self, x, name, training):
        """`x` in float8; its gradient passes, and in training the state moves on."""
        dtype = self.compute_dtype

        @custom_gradient
        def rounded(x, scale, history):
            moved = _moved(x, scale, history, _FORWARD) if training else (None, None)
            return _in_float8(x, scale, _FORWARD, dtype), lambda dy: (dy, *moved)

        return rounded(x, *self._state_of(name))

    def _with_rounded_gradient(self, y):
        """`y` as it is; its gradient is rounded on its way back."""
        dtype = self.compute_dtype

        @custom_gradient
        def same(y, scale, history):
            def gradient(dy):
                rounded = _in_float8(dy, scale, _BACKWARD, dtype)
                return rounded, *_moved(dy, scale, history, _BACKWARD)

            return y, gradient

        return same(y, *self._state_of("outputs_grad"))


def _in_float8(x, scale, dtype, compute_dtype):
    if x.dtype == compute_dtype == "float32":
        return Tensor(rounded_array(np.ascontiguousarray(x.data), scale.data, dtype))
    return quantize_and_dequantize(x, scale, dtype, compute_dtype)


def _moved(x, scale, history, dtype):
    """Scale and history for the next step: the scale fits the history up to now."""
    most = np.float32(largest(dtype))
    new_scale = compute_float8_scale(ops.max(history, axis=0), scale, most)
    return new_scale, compute_float8_amax_history(x, history)
