"""QuantizedKernel: int8, int4 and float8 for layers that multiply inputs by a kernel."""

from __future__ import annotations

import math

import numpy as np

from kerasmirror import ops
from kerasmirror.autodiff.custom_gradient import custom_gradient
from kerasmirror.core import dtypes
from kerasmirror.core.tensor import Tensor
from kerasmirror.layers.core.calibrated_kernel import CalibratedKernel
from kerasmirror.layers.core.float8_kernel import Float8Kernel
from kerasmirror.layers.core.quantized import is_grouped
from kerasmirror.layers.layer import float_inputs
from kerasmirror.quantizers.abs_max import (
    AbsMaxQuantizer,
    abs_max_quantize_grouped_with_zero_point,
)
from kerasmirror.quantizers.config import QuantizationConfig
from kerasmirror.quantizers.int4 import pack_int4, unpacked_rows
from kerasmirror.quantizers.zero_point import values_of_rows

# Sums of so many products of two numbers up to 2**7 are below 2**24: float32 has them all.
MOST_TERMS = 1023
_SPEC = {
    None: ("kernel", "bias"),
    "int8": ("kernel", "bias", "kernel_scale"),
    "int4": ("kernel", "bias", "kernel_scale", "kernel_zero", "g_idx"),
    "float8": (
        "kernel",
        "bias",
        "inputs_scale",
        "inputs_amax_history",
        "kernel_scale",
        "kernel_amax_history",
        "outputs_grad_scale",
        "outputs_grad_amax_history",
    ),
    "gptq": ("bias", "quantized_kernel", "kernel_scale", "kernel_zero", "g_idx"),
    "awq": ("bias", "quantized_kernel", "kernel_scale", "kernel_zero", "awq_scales", "g_idx"),
}


class QuantizedKernel(Float8Kernel, CalibratedKernel):
    """A layer whose outputs are `activation(contract(inputs, kernel) + bias)`, quantizable.

    A subclass says how it contracts: `_contract(inputs, kernel)`, its adjoint `_contract_back(dy,
    kernel)`, the kernel's axes that are summed (`_summed_axes`), and where in the outputs the
    scales belong: `_to_outputs(scale, of)` with `of` "inputs" or "kernel", sizes of 1 on the summed
    axes, and `_from_outputs(scale)` back to the kernel's axes.
    """

    @property
    def variable_serialization_spec(self):
        """For each quantization mode the weights that a file holds, in order."""
        return {mode: list(names) for mode, names in _SPEC.items()}

    def _quantized_values(self, mode, config, kernel=None):
        """The values of the variables after `kernel` (default: the layer's) was quantized."""
        if mode not in ("int8", "int4"):
            return {}
        if kernel is None:
            kernel = self._kernel.data
        if mode == "int8":
            quantizer = self._weight_quantizer(config, self._summed_axes(), mode)
            values, scale = (np.asarray(x) for x in quantizer(Tensor(kernel), to_numpy=True))
            return {"kernel": values, "kernel_scale": self._to_outputs(scale, "kernel")}
        flat = Tensor(kernel.reshape(self._matrix_shape(kernel.shape)))
        block_size = self._block_size(config)
        if is_grouped(block_size):
            q, scale, zero = abs_max_quantize_grouped_with_zero_point(
                flat, block_size, to_numpy=True
            )
            more = {"kernel_scale": scale.data, "kernel_zero": zero.data}
        else:
            q, scale = self._weight_quantizer(config, 0, mode)(flat, to_numpy=True)
            more = {"kernel_scale": np.asarray(scale).reshape(-1)}
        return {"kernel": pack_int4(q, axis=-1)[0].data, **more}

    def _matrix_shape(self, shape):
        """(rows, columns) of the kernel as int4 has it: the summed axes are the rows."""
        rows = math.prod(shape[axis] for axis in self._summed_axes())
        return rows, math.prod(shape) // rows

    # int8: whole numbers times whole numbers

    def _int8_build(self, shape, config):
        self.inputs_quantizer = QuantizationConfig.activation_quantizer_or_default(
            config, AbsMaxQuantizer()
        )
        self.original_kernel_shape = shape
        self._kernel = self._fixed_weight("kernel", shape, dtype="int8")
        ones = [1 if axis in self._summed_axes() else size for axis, size in enumerate(shape)]
        scale = self._to_outputs(np.ones(ones, np.int8), "kernel")
        self.kernel_scale = self._fixed_weight("kernel_scale", scale.shape, "ones")

    def _int8_call(self, inputs, training=None):
        inputs = float_inputs(self, inputs)
        scale = self.kernel_scale.value
        if self.inputs_quantizer is None:
            kernel = ops.cast(Tensor(self._kernel.data), self.compute_dtype)
            outputs = ops.divide(self._contract(inputs, kernel), scale)
        else:

            @custom_gradient
            def product(x):
                q, inputs_scale = self._quantized_inputs(x)
                sums = ops.cast(self._whole_product(q, self._kernel.data), self.compute_dtype)
                y = ops.divide(sums, ops.multiply(scale, inputs_scale))
                return y, self._straight_through

            outputs = product(inputs)
        return self._finish(outputs, inputs)

    def _quantized_inputs(self, x):
        """Whole numbers, as an array, and their scale where it belongs in the outputs."""
        quantizer, axes = self.inputs_quantizer, self._summed_input_axes()
        if type(quantizer) is AbsMaxQuantizer:
            q, scale = quantizer(x, axis=axes, to_numpy=True)
        else:
            q, scale = quantizer(x, axis=axes)
        return q.data, Tensor(self._to_outputs(scale.data, "inputs"))

    def _straight_through(self, dy):
        """The gradient of the inputs as if rounding them did nothing."""
        return self._contract_back(dy, Tensor(self._float_weight()))

    def _whole_product(self, x, kernel):
        """The contraction of whole numbers below 2**7, exact: as sums of products in float32."""
        terms = math.prod(kernel.shape[axis] for axis in self._summed_axes())
        exact = np.float32 if terms <= MOST_TERMS else np.float64
        return self._contract(Tensor(x.astype(exact)), Tensor(kernel.astype(exact)))

    # int4: two numbers in a byte, multiplied as floats

    def _int4_build(self, shape, config):
        self.inputs_quantizer = QuantizationConfig.activation_quantizer_or_default(config, None)
        rows, columns = self._matrix_shape(shape)
        self.original_kernel_shape = shape
        self._int4_rows, self._int4_unpacked_column_size = rows, columns
        self._int4_block_size = block_size = self._block_size(config)
        self._kernel = self._fixed_weight("kernel", (rows, (columns + 1) // 2), dtype="int8")
        grouped = is_grouped(block_size)
        scale_shape = (-(-rows // block_size), columns) if grouped else (columns,)
        self.kernel_scale = self._fixed_weight("kernel_scale", scale_shape, "ones")
        if grouped:
            self.kernel_zero = self._fixed_weight("kernel_zero", scale_shape, dtype="int8")
            self.g_idx = self._group_weight(rows, block_size)

    def _int4_call(self, inputs, training=None):
        inputs = float_inputs(self, inputs)
        if self.inputs_quantizer is None:
            outputs = self._contract(inputs, Tensor(self._float_weight()))
        else:

            @custom_gradient
            def product(x):
                q, inputs_scale = self._quantized_inputs(x)
                kernel = Tensor(self._float_weight())
                sums = self._contract(Tensor(q.astype(kernel.data.dtype)), kernel)
                return ops.divide(sums, inputs_scale), self._straight_through

            outputs = product(inputs)
        return self._finish(outputs, inputs)

    # The kernel that the numbers stand for

    def _float_weight(self, dtype=None):
        """The kernel as floats (default: of the compute dtype), in its own shape."""
        dtype = dtypes.numpy_dtype(dtype or self.compute_dtype)
        if self.quantization_mode == "int8":
            scale = self._from_outputs(self.kernel_scale.data.astype(dtype))
            return self._kernel.data.astype(dtype) / scale
        columns, scale = self._int4_unpacked_column_size, self.kernel_scale.data
        kernel = unpacked_rows(self._kernel.data, columns, np.float32, signed=True)
        if is_grouped(self._int4_block_size):
            zero = self.kernel_zero.data.astype(np.float32)
            kernel = values_of_rows(kernel, scale, zero, self.g_idx.data).astype(dtype, copy=False)
        else:
            kernel = kernel.astype(dtype, copy=False)
            kernel /= scale.astype(dtype)
        return kernel.reshape(self.original_kernel_shape)

    def _base_weight(self):
        if self._is_quantized and self.quantization_mode == "int4":
            q = unpacked_rows(self._kernel.data, self._int4_unpacked_column_size)
            return Tensor(q.reshape(self.original_kernel_shape))
        return super()._base_weight()

    def _main_shape(self):
        return self.__dict__.get("original_kernel_shape") or super()._main_shape()

    def _finish(self, outputs, inputs):
        """Outputs of a quantized product with what LoRA adds, bias and activation."""
        if self.lora_enabled:
            outputs = self._add_low_rank(outputs, inputs)
        if self.bias is not None:
            outputs = ops.add(outputs, self.bias)
        return outputs if self.activation is None else self.activation(outputs)
