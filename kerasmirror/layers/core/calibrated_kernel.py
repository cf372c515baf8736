"""CalibratedKernel: GPTQ and AWQ, whose weights are chosen by what the layer's inputs are like.

`quantize` makes the variables, and until `calibrate` fills them the layer computes with the kernel
it has; `observer`, where there is one, is shown the inputs meanwhile.
"""

from __future__ import annotations

import numpy as np

from kerasmirror.core import checks
from kerasmirror.core.dtypes import numpy_dtype
from kerasmirror.core.quantized_policy import AWQDTypePolicy, GPTQDTypePolicy
from kerasmirror.core.tensor import Tensor
from kerasmirror.layers.core.quantized import QuantizedLayer
from kerasmirror.layers.layer import float_inputs
from kerasmirror.quantizers.config import AWQConfig, GPTQConfig
from kerasmirror.quantizers.int4 import pack_int4, unpacked
from kerasmirror.quantizers.zero_point import spread, values_of

_ALGORITHMS = {"gptq": (GPTQConfig, GPTQDTypePolicy), "awq": (AWQConfig, AWQDTypePolicy)}


class CalibratedKernel(QuantizedLayer):
    """The GPTQ and AWQ half of a kernel layer. As a matrix (inputs, outputs), the kernel is kept
    transposed, in unsigned levels, those of 4 bits packed in twos along the outputs."""

    # Called with the inputs, an array of rows, of a layer that is not calibrated.
    observer = None

    def _calibrated_shape(self, shape):
        """(inputs, outputs) of the kernel as a matrix.

        Raises: ValueError for a kernel that is no matrix and has not three axes.
        """
        if len(shape) == 2:
            return tuple(shape)
        if len(shape) != 3:
            checks.fail(f"{type(self).__name__}", "kernel.shape", "of 2 or 3 axes", shape)
        # The largest axis is the model's width: it is the inputs where it comes first.
        if shape.index(max(shape)) == 0:
            return shape[0], shape[1] * shape[2]
        return shape[0] * shape[1], shape[2]

    def _numbers(self, mode, config=None):
        """What says `weight_bits` and `group_size`: the config, else the dtype policy."""
        config_class, policy_class = _ALGORITHMS[mode]
        if isinstance(config, config_class):
            return config
        policy = self._policy_of_layer()
        if not isinstance(policy, policy_class):
            raise ValueError(
                f"{type(self).__name__}: the group size for mode={mode!r} must come from a "
                f"`{config_class.__name__}` or a `{policy_class.__name__}`. "
                f"Received: dtype_policy={policy!r}"
            )
        return policy

    def _calibrated_build(self, shape, config, mode):
        self.original_kernel_shape = shape
        rows, columns = self._calibrated_shape(shape)
        numbers = self._numbers(mode, config)
        packed = (columns + 1) // 2 if numbers.weight_bits == 4 else columns
        groups = 1 if numbers.group_size == -1 else -(-rows // numbers.group_size)
        self.quantized_kernel = self._fixed_weight("kernel", (packed, rows), dtype="uint8")
        self.kernel_scale = self._fixed_weight("kernel_scale", (columns, groups), "ones")
        self.kernel_zero = self._fixed_weight(self._zero_name, (columns, groups), dtype="uint8")
        if mode == "awq":
            self.awq_scales = self._fixed_weight("awq_scales", (rows,), "ones")
        self.g_idx = self._fixed_weight("g_idx", (rows,), dtype="float32")

    # The name of the variable, which differs among Keras's layers.
    _zero_name = "kernel_zero"

    def _gptq_build(self, shape, config):
        self.is_gptq_calibrated = False
        self._calibrated_build(shape, config, "gptq")
        self.gptq_unpacked_column_size = self.kernel_scale.shape[0]

    def _awq_build(self, shape, config):
        self.is_awq_calibrated = False
        self._calibrated_build(shape, config, "awq")
        self.awq_unpacked_column_size = self.kernel_scale.shape[0]

    def _gptq_call(self, inputs, training=None):
        return self._calibrated_call(inputs, self.is_gptq_calibrated)

    def _awq_call(self, inputs, training=None):
        return self._calibrated_call(inputs, self.is_awq_calibrated)

    def _calibrated_call(self, inputs, calibrated):
        inputs = float_inputs(self, inputs)
        if calibrated:
            kernel = Tensor(self._dequantized())
        else:
            if "_kernel" not in self.__dict__:
                raise AttributeError(
                    f"{type(self).__name__}: layer '{self.name}' must be calibrated or take the "
                    f"weights of a file before it is called. Received: {self.dtype_policy!r}"
                )
            if self.observer is not None:
                self.observer(inputs)
            kernel = self._kernel
        return self._finish(self._contract(inputs, kernel), inputs)

    def calibrate(self, values):
        """Take the values of the quantized variables; the kernel of floats goes.

        `values` has levels (outputs, inputs) under "quantized_kernel", and the others by name.
        """
        mode = self.quantization_mode
        levels = values.pop("quantized_kernel").astype(np.uint8)
        if self._numbers(mode).weight_bits == 4:
            levels = pack_int4(levels, axis=0, dtype="uint8")[0].data
        self.quantized_kernel.assign(levels)
        for name, value in values.items():
            getattr(self, name).assign(value)
        self._set_calibrated(mode)

    def _set_calibrated(self, mode):
        setattr(self, f"is_{mode}_calibrated", True)
        if "_kernel" in self.__dict__:
            del self._kernel

    def _levels(self):
        """Levels (outputs, inputs), one in a byte."""
        levels = self.quantized_kernel.data
        if self._numbers(self.quantization_mode).weight_bits == 4:
            levels = unpacked(levels, self.kernel_scale.shape[0], axis=0, dtype="uint8")
        return levels

    def _dequantized(self):
        """The kernel that the levels stand for."""
        groups = self.g_idx.data
        scale, zero = (spread(v.data, groups) for v in (self.kernel_scale, self.kernel_zero))
        kernel = values_of(self._levels(), scale, zero).T
        if self.quantization_mode == "awq":
            kernel = kernel / self.awq_scales.data[:, None]
        kernel = kernel.reshape(self.original_kernel_shape)
        return np.ascontiguousarray(kernel, numpy_dtype(self.compute_dtype))

    def _is_calibrated(self):
        return getattr(self, f"is_{self.quantization_mode}_calibrated", False)

    def _base_weight(self):
        if self._is_calibrated():
            return Tensor(self._levels())
        return super()._base_weight()

    def save_own_variables(self, store):
        """Put the layer's weights into `store`, under the numbers of their places in the spec.

        Raises: ValueError for a GPTQ or AWQ layer that is not calibrated: its kernel would be lost.
        """
        mode = self.quantization_mode
        if mode in _ALGORITHMS and self.built and not self._is_calibrated():
            raise ValueError(
                f"{type(self).__name__}: layer '{self.name}' must be calibrated before it is "
                f"saved, by `model.quantize({mode!r}, ...)`. Received: {self.dtype_policy!r}"
            )
        super().save_own_variables(store)

    def _loaded(self):
        super()._loaded()
        if self.quantization_mode in _ALGORITHMS:
            self._set_calibrated(self.quantization_mode)
