"""QuantizedLayer: what layers with a quantized main weight have in common.

A main weight W that stands in files as "kernel" is the variable `_kernel`; quantized, it has whole
numbers, and beside it stand `kernel_scale` and, for grouped int4, `kernel_zero` and `g_idx`, the
group of each input.
"""

from __future__ import annotations

import numpy as np

from kerasmirror import _export
from kerasmirror.core import dtype_policy, serialization
from kerasmirror.core.dtype_policy_map import DTypePolicyMap
from kerasmirror.core.quantized_policy import Int4DTypePolicy
from kerasmirror.layers.core.low_rank import LowRankLayer
from kerasmirror.quantizers.abs_max import AbsMaxQuantizer
from kerasmirror.quantizers.config import Int4QuantizationConfig, QuantizationConfig


class QuantizedLayer(LowRankLayer):
    """A LowRankLayer that can be quantized in the modes of `variable_serialization_spec`.

    A subclass has `_int8_build(shape, config)` for each mode, and `_quantized_values(mode,
    config)`: what the variables are to hold, by their names in the spec.
    """

    def quantized_build(self, input_shape, mode, config=None):
        """Make the variables of a main weight of shape `input_shape`, quantized by `mode`.

        Raises: NotImplementedError for a mode that the layer does not have.
        """
        if mode is None or mode not in self.variable_serialization_spec:
            raise self._quantization_mode_error(mode)
        getattr(self, f"_{mode}_build")(tuple(input_shape), config)
        self._is_quantized = True

    def quantize(self, mode=None, type_check=True, config=None):
        """Put weights quantized by `mode`, or as `config` says, in the place of the main weight.

        A subclass of one's own has to say `type_check=False`: what it computes may not fit.
        Raises: see `Layer.quantize`.
        """
        if type_check and _export.public_path(type(self)) is None:
            raise self._not_implemented_error(self.quantize)
        if mode not in self.variable_serialization_spec:
            raise self._quantization_mode_error(mode)
        self.quantization_config = config
        shape = self._main_shape()
        values = self._quantized_values(mode, config)
        for name in [self._attribute(name) for name in values]:
            if name in self.__dict__:  # the floats; scales are not there yet
                delattr(self, name)
        self.quantized_build(shape, mode, config)
        for name, value in values.items():
            getattr(self, self._attribute(name)).assign(value)
        if self.dtype_policy.quantization_mode is None:
            source = self._policy.name
            self.dtype_policy = dtype_policy.get(f"{self._mode_name(mode)}_from_{source}")

    def _mode_name(self, mode):
        """The mode as the name of the dtype policy has it."""
        if mode in ("gptq", "awq"):
            return self.quantization_config.dtype_policy_string()
        if mode == "int4":
            block_size = self._block_size(self.quantization_config)
            return f"int4/{-1 if block_size is None else block_size}"
        return mode

    def _attribute(self, name):
        """The attribute that the spec calls `name`."""
        return f"_{name}" if name == self.main_weight else name

    def _policy_of_layer(self):
        policy = self.dtype_policy
        return policy[self.path] if isinstance(policy, DTypePolicyMap) else policy

    def _block_size(self, config):
        """How many inputs share a scale in int4: a number, None or -1 for all."""
        if isinstance(config, Int4QuantizationConfig):
            return config.block_size
        policy = self._policy_of_layer()
        if isinstance(policy, Int4DTypePolicy) and policy.block_size != -1:
            return policy.block_size
        return None

    def _weight_quantizer(self, config, axis, mode):
        ranges = {"int8": (-127, 127), "int4": (-8, 7)}
        default = AbsMaxQuantizer(axis=axis, value_range=ranges[mode])
        return QuantizationConfig.weight_quantizer_or_default(config, default)

    def _new_weight(self, name, shape, initializer, **options):
        """A weight with the path that it would have, had `build` made it."""
        variable = self.add_weight(shape, initializer, name=name, **options)
        if self._path:
            variable._path = f"{self._path}/{name}"
        return variable

    def _fixed_weight(self, name, shape, initializer="zeros", dtype=None):
        return self._new_weight(name, shape, initializer, dtype=dtype, trainable=False)

    def _group_weight(self, size, block_size):
        """The group of each of `size` inputs."""
        variable = self._fixed_weight("g_idx", (size,), dtype="float32")
        variable.assign(np.arange(size) // block_size)
        return variable

    def _merged_values(self):
        mode = self.quantization_mode
        if not self.lora_enabled or mode is None:
            return super()._merged_values()
        if mode not in ("int8", "int4"):
            return {}
        first, second = self._lora_factors()
        product = first.numpy() @ second.numpy() * np.float32(self._lora_scale())
        merged = self._float_weight(self.variable_dtype) + product
        return self._quantized_values(mode, self.quantization_config, merged)

    @classmethod
    def from_config(cls, config):
        """A layer built from what `get_config` gave."""
        config = dict(config)
        if isinstance(config.get("quantization_config"), dict):
            config["quantization_config"] = serialization.deserialize_keras_object(
                config["quantization_config"]
            )
        return super().from_config(config)


def is_grouped(block_size):
    """Whether a block size stands for groups at all."""
    return block_size is not None and block_size > 0
