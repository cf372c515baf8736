"""QuantizedEmbedding: int8 and int4 for Embedding and ReversibleEmbedding."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror.autodiff.custom_gradient import custom_gradient
from kerasmirror.core import dtypes
from kerasmirror.core.tensor import Tensor, set_keras_mask
from kerasmirror.layers.core.quantized import QuantizedLayer, is_grouped
from kerasmirror.layers.layer import float_inputs
from kerasmirror.ops.nn.dense import affine
from kerasmirror.quantizers.abs_max import (
    AbsMaxQuantizer,
    abs_max_quantize_grouped_with_zero_point,
)
from kerasmirror.quantizers.config import QuantizationConfig
from kerasmirror.quantizers.int4 import pack_int4, unpacked
from kerasmirror.quantizers.zero_point import spread, values_of


class QuantizedEmbedding(QuantizedLayer):
    """Rows of whole numbers, each with a scale, or with one for each group of its numbers."""

    @property
    def variable_serialization_spec(self):
        """For each quantization mode the weights that a file holds, in order."""
        return {
            None: ["embeddings"],
            "int8": ["embeddings", "embeddings_scale"],
            "int4": ["embeddings", "embeddings_scale", "embeddings_zero", "g_idx"],
        }

    def _quantized_values(self, mode, config, embeddings=None):
        """The values of the variables after `embeddings` (default: the layer's) were quantized."""
        if embeddings is None:
            embeddings = self._embeddings.data
        return quantized_rows(
            "embeddings",
            embeddings,
            mode,
            self._weight_quantizer(config, -1, mode),
            self._block_size(config) if mode == "int4" else None,
        )

    def _int8_build(self, shape, config):
        self._embeddings = self._fixed_weight("embeddings", shape, dtype="int8")
        self.embeddings_scale = self._fixed_weight("embeddings_scale", shape[:1], "ones")

    def _int4_build(self, shape, config):
        rows, width = shape
        self._orig_output_dim = width
        self._int4_block_size = block_size = self._block_size(config)
        self._embeddings = self._fixed_weight("embeddings", (rows, (width + 1) // 2), dtype="int8")
        grouped = is_grouped(block_size)
        scale_shape = (rows, -(-width // block_size)) if grouped else (rows,)
        self.embeddings_scale = self._fixed_weight("embeddings_scale", scale_shape, "ones")
        if grouped:
            self.embeddings_zero = self._fixed_weight("embeddings_zero", scale_shape, dtype="int8")
            self.g_idx = self._group_weight(width, block_size)

    def _int8_call(self, inputs, training=None):
        return self._quantized_rows_of(inputs)

    def _int4_call(self, inputs, training=None):
        return self._quantized_rows_of(inputs)

    def _quantized_rows_of(self, inputs):
        indices = self._whole(inputs)
        flat = Tensor(indices.data.reshape(-1))
        rows = self._rows_of(Tensor(self._embeddings.data), flat).data
        scale, zero = self.embeddings_scale.data, None
        if "embeddings_zero" in self.__dict__:
            zero = self.embeddings_zero.data[flat.data]
        values = self._values_of_rows(rows, scale[flat.data], zero)
        outputs = Tensor(values.reshape(*indices.shape, self.output_dim))
        if self.lora_enabled:
            first, second = self._lora_factors()
            product = ops.matmul(self._rows_of(first, indices), second)
            outputs = ops.add(outputs, ops.multiply(product, self._lora_scale()))
        return ops.cast(outputs, self.compute_dtype)

    def _values_of_rows(self, rows, scale, zero=None, dtype=None):
        """What the bytes of some rows stand for, with the rows' scales and zero points."""
        dtype = dtypes.numpy_dtype(dtype or self.compute_dtype)
        if self.quantization_mode == "int4":
            rows = unpacked(rows, self.output_dim, axis=1)
        if zero is None:
            return rows.astype(dtype) / scale.astype(dtype)[:, None]
        groups = self.g_idx.data
        return values_of(rows, spread(scale, groups), spread(zero, groups)).astype(dtype)

    def _float_weight(self, dtype):
        zero = self.embeddings_zero.data if "embeddings_zero" in self.__dict__ else None
        return self._values_of_rows(
            self._embeddings.data, self.embeddings_scale.data, zero, dtype=dtype
        )

    def _base_weight(self):
        if self.quantization_mode == "int4":
            return Tensor(unpacked(self._embeddings.data, self.output_dim, axis=1))
        return super()._base_weight()

    def _main_shape(self):
        return self.input_dim, self.output_dim


class QuantizedReversibleEmbedding(QuantizedEmbedding):
    """The way back too: scores of quantized vectors, by the same rows or by others."""

    @property
    def variable_serialization_spec(self):
        """For each quantization mode the weights that a file holds, in order."""
        spec = super().variable_serialization_spec
        if not self.tie_weights:
            spec[None].append("reverse_embeddings")
            spec["int8"] += ["reverse_embeddings", "reverse_embeddings_scale"]
            names = ("reverse_embeddings", "reverse_embeddings_scale", "reverse_embeddings_zero")
            spec["int4"] += names
        return spec

    def _quantized_values(self, mode, config, embeddings=None):
        values = super()._quantized_values(mode, config, embeddings)
        if self.tie_weights or embeddings is not None:
            return values
        # The other way round: (width, rows), a scale for each of the last axis.
        found = quantized_rows(
            "reverse_embeddings",
            self.reverse_embeddings.data.T,
            mode,
            self._weight_quantizer(config, -1, mode),
            self._block_size(config) if mode == "int4" else None,
        )
        return {**values, **{name: np.ascontiguousarray(v.T) for name, v in found.items()}}

    def _reverse_weight(self, suffix, shape, initializer="zeros", dtype=None):
        name = f"reverse_embeddings{suffix}"
        setattr(self, name, self._fixed_weight(name, shape, initializer, dtype))

    def _int8_build(self, shape, config):
        super()._int8_build(shape, config)
        self._set_inputs_quantizer(config)
        if not self.tie_weights:
            self._reverse_weight("", shape[::-1], dtype="int8")
            self._reverse_weight("_scale", shape[:1], "ones")

    def _int4_build(self, shape, config):
        super()._int4_build(shape, config)
        self._set_inputs_quantizer(config)
        if not self.tie_weights:
            rows, width = shape
            grouped = is_grouped(self._int4_block_size)
            scale_shape = (-(-width // self._int4_block_size), rows) if grouped else (rows,)
            self._reverse_weight("", ((width + 1) // 2, rows), dtype="int8")
            self._reverse_weight("_scale", scale_shape, "ones")
            if grouped:
                self._reverse_weight("_zero", scale_shape)

    def _set_inputs_quantizer(self, config):
        self.inputs_quantizer = QuantizationConfig.activation_quantizer_or_default(
            config, AbsMaxQuantizer(axis=-1)
        )

    def _int8_call(self, inputs, reverse=False):
        return self._quantized_call_either_way(inputs, reverse)

    def _int4_call(self, inputs, reverse=False):
        return self._quantized_call_either_way(inputs, reverse)

    def _quantized_call_either_way(self, inputs, reverse):
        if not reverse:
            outputs = self._quantized_rows_of(inputs)
            if self.mask_zero:
                set_keras_mask(outputs, ops.not_equal(inputs, 0))
            return outputs
        inputs = float_inputs(self, inputs)
        kernel = Tensor(self._reverse_kernel())

        @custom_gradient
        def product(x):
            def gradient(dy):
                return ops.matmul(dy, ops.transpose(kernel))

            if self.inputs_quantizer is None:
                return affine(x, kernel, None), gradient
            q, scale = self.inputs_quantizer(x)
            scores = affine(ops.cast(q, kernel.dtype), kernel, None)
            return ops.divide(scores, scale), gradient

        scores = product(inputs)
        if self.lora_enabled and self.tie_weights:
            first, second = (ops.transpose(factor) for factor in self._lora_factors())
            more = ops.matmul(ops.matmul(inputs, second), first)
            scores = ops.cast(ops.add(scores, ops.multiply(more, self._lora_scale())), scores.dtype)
        return self._soft_capped(scores)

    def _reverse_kernel(self):
        """(width, rows) of what multiplies the vectors, as floats."""
        if self.tie_weights:
            return np.ascontiguousarray(self._float_weight(self.compute_dtype).T)
        scale = self.reverse_embeddings_scale.data.T
        zero = None
        if "reverse_embeddings_zero" in self.__dict__:
            zero = self.reverse_embeddings_zero.data.T
        rows = self.reverse_embeddings.data.T
        return np.ascontiguousarray(self._values_of_rows(rows, scale, zero).T)


def quantized_rows(name, table, mode, quantizer, block_size):
    """The values, under `name`, `name`_scale and `name`_zero, of a table with scales by row."""
    if is_grouped(block_size):
        q, scale, zero = (
            x.data.T
            for x in abs_max_quantize_grouped_with_zero_point(
                Tensor(table.T), block_size, to_numpy=True
            )
        )
        more = {f"{name}_scale": scale, f"{name}_zero": zero}
    else:
        q, scale = (np.asarray(x) for x in quantizer(Tensor(table), to_numpy=True))
        more = {f"{name}_scale": scale.reshape(-1)}
    if mode == "int4":
        q = pack_int4(Tensor(np.ascontiguousarray(q)), axis=-1)[0].data
    return {name: q, **more}
