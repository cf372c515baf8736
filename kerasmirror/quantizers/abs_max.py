"""Whole numbers of 8 bits: scaled so that the largest value just fits."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks, dtypes
from kerasmirror.core.tensor import Tensor


@export("Quantizer", "quantizers.Quantizer")
class Quantizer:
    """Base of quantizers: `quantizer(x)` gives (quantized values, scale); this one gives x.

    Subclasses write `__call__(x, axis=None, to_numpy=False)` and `get_config`.
    Source: Keras 3.15 `keras.Quantizer`.
    """

    def __init__(self, output_dtype="int8"):
        self.output_dtype = output_dtype

    def __call__(self, x):
        return x

    @classmethod
    def from_config(cls, config):
        """A quantizer built from what `get_config` gave."""
        return cls(**config)

    def get_config(self):
        """The constructor's arguments as plain data.

        Raises: NotImplementedError for a class that does not say them.
        """
        raise NotImplementedError(f"{type(self).__name__} does not implement get_config()")


@export("quantizers.AbsMaxQuantizer")
class AbsMaxQuantizer(Quantizer):
    """`round(x * scale)` with `scale = value_range[1] / max(|x|)` over `axis`.

    Args: the axes that share a scale (default: the last, unless the call names some), the range of
    the result, what keeps the scale finite, the result's dtype.
    Raises: ValueError for an int8 range that does not fit.
    Source: Keras 3.15 `keras.quantizers.AbsMaxQuantizer`.
    """

    def __init__(self, axis=None, value_range=(-127, 127), epsilon=1e-7, output_dtype="int8"):
        super().__init__(output_dtype)
        if axis is not None:
            axis = (axis,) if isinstance(axis, int) else tuple(axis)
        if output_dtype == "int8" and (value_range[0] < -128 or value_range[1] > 127):
            expected = "within [-128, 127] where output_dtype='int8'"
            checks.fail("AbsMaxQuantizer", "value_range", expected, value_range)
        self.axis = axis
        self.value_range = value_range
        self.epsilon = epsilon

    def __call__(self, x, axis=None, to_numpy=False):
        if axis is None:
            axis = -1 if self.axis is None else self.axis
        return abs_max_quantize(
            x, axis, self.value_range, self.output_dtype, self.epsilon, to_numpy
        )

    def get_config(self):
        config = {
            "value_range": self.value_range,
            "epsilon": self.epsilon,
            "output_dtype": self.output_dtype,
        }
        return config if self.axis is None else {**config, "axis": self.axis}


@export("quantizers.abs_max_quantize")
def abs_max_quantize(
    inputs, axis, value_range=(-127, 127), dtype="int8", epsilon=1e-7, to_numpy=False
):
    """(`q = round(inputs * scale)`, `scale = value_range[1] / (max(|inputs|) + epsilon)`).

    The scale has size 1 on `axis` and the dtype of the inputs. With `to_numpy` nothing is recorded
    for gradients, and placeholders are refused.
    Source: Keras 3.15 `keras.quantizers.abs_max_quantize`.
    """
    low, high = value_range
    if to_numpy:
        x = _array(inputs)
        scale = high / (np.max(np.abs(x), axis=_axes(axis), keepdims=True) + x.dtype.type(epsilon))
        scale = scale.astype(x.dtype)
        q = np.clip(np.round(x * scale), low, high).astype(dtypes.numpy_dtype(dtype))
        return Tensor(q), Tensor(scale)
    inputs = ops.convert_to_tensor(inputs)
    scale = ops.divide(high, ops.add(ops.max(ops.abs(inputs), axis=axis, keepdims=True), epsilon))
    scale = ops.cast(scale, inputs.dtype)
    q = ops.clip(ops.round(ops.multiply(inputs, scale)), low, high)
    return ops.cast(q, dtype), scale


@export("quantizers.abs_max_quantize_grouped_with_zero_point")
def abs_max_quantize_grouped_with_zero_point(
    inputs, block_size, value_range=(-8, 7), dtype="int8", epsilon=1e-7, to_numpy=False
):
    """(q, scale, zero) with `inputs ~ (q - zero) * scale`, for each `block_size` rows of a column.

    Shapes: inputs and q (rows, columns), scale and zero (groups, columns), the last group padded
    with zeros. Within a group, scale is (max - min + epsilon) / (levels - 1).
    No gradients are recorded. Raises: ValueError for another rank or no positive block size.
    Source: Keras 3.15 `keras.quantizers.abs_max_quantize_grouped_with_zero_point`.
    """
    owner = "keras.quantizers.abs_max_quantize_grouped_with_zero_point"
    block_size = checks.positive_int(block_size, "block_size", owner=owner)
    x = _array(inputs)
    if x.ndim != 2:
        checks.fail(owner, "inputs.shape", "(rows, columns)", x.shape)
    rows, columns = x.shape
    groups = -(-rows // block_size)
    padded = np.zeros((groups * block_size, columns), x.dtype)
    padded[:rows] = x
    padded = padded.reshape(groups, block_size, columns)
    low, high = value_range
    least, most = padded.min(axis=1, keepdims=True), padded.max(axis=1, keepdims=True)
    if not to_numpy:
        # One level for all values has no scale; Keras widens it on this path only.
        flat = least == most
        least, most = np.where(flat, least - 1, least), np.where(flat, most + 1, most)
    scale = ((most - least + x.dtype.type(epsilon)) / (high - low)).astype(x.dtype)
    zero = np.clip(np.round(-least / scale) + low, low, high)
    q = np.clip(np.round(padded / scale) + zero, low, high).astype(dtypes.numpy_dtype(dtype))
    q = np.ascontiguousarray(q.reshape(-1, columns)[:rows])
    return Tensor(q), Tensor(scale[:, 0]), Tensor(zero[:, 0].astype(np.int8))


def _array(inputs):
    return np.asarray(ops.convert_to_numpy(inputs))


def _axes(axis):
    return axis if axis is None or isinstance(axis, int) else tuple(axis)
