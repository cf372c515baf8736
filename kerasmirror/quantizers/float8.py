"""Float8 training: scales that follow the largest values of the last steps.

Source: the delayed scaling of NVIDIA's Transformer Engine, as Keras 3.15 has it.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import dtypes


@export("quantizers.compute_float8_scale")
def compute_float8_scale(amax, scale, dtype_max, margin=0):
    """`amax * 2**margin / dtype_max`, or `scale` as it is where amax is 0 or not finite.

    Source: Keras 3.15 `keras.quantizers.compute_float8_scale`.
    """
    # In Keras's order of divisions, for the last bit's sake.
    before = ops.reciprocal(scale)
    factor = ops.divide(ops.divide(dtype_max, amax), 2**margin)
    factor = ops.where(ops.greater(amax, 0.0), factor, before)
    factor = ops.where(ops.isfinite(amax), factor, before)
    return ops.reciprocal(factor)


@export("quantizers.compute_float8_amax_history")
def compute_float8_amax_history(x, amax_history):
    """The history moved on by one step, with `max(|x|)` in place 0.

    Source: Keras 3.15 `keras.quantizers.compute_float8_amax_history`.
    """
    newest = ops.cast(ops.max(ops.abs(x)), amax_history.dtype)
    moved = ops.roll(amax_history, shift=-1)
    return ops.scatter_update(moved, [[0]], ops.reshape(newest, [1]))


@export("quantizers.quantize_and_dequantize")
def quantize_and_dequantize(inputs, scale, quantized_dtype, compute_dtype):
    """`inputs / scale` rounded to a float8 dtype, times `scale`.

    Source: Keras 3.15 `keras.quantizers.quantize_and_dequantize`.
    """
    most = largest(quantized_dtype)
    scale = ops.cast(scale, compute_dtype)
    x = ops.clip(ops.divide(inputs, scale), -most, most)
    return ops.multiply(ops.cast(ops.cast(x, quantized_dtype), compute_dtype), scale)


def rounded_array(x, scale, dtype):
    """`quantize_and_dequantize` of a float32 array, without a conversion to float8.

    For |x| in [p, 2p), p a power of 2, a sum with c = 1.5 * 2**(23 - m) * p has a last bit of
    p / 2**m, the step of a number with m bits behind the point; below the least normal number the
    step stays.
    """
    bits, least = {"float8_e4m3fn": (3, 2.0**-6), "float8_e5m2": (2, 2.0**-14)}[dtype]
    most = np.float32(largest(dtype))
    y = x / scale
    np.clip(y, -most, most, out=y)
    power = (y.view(np.uint32) & np.uint32(0x7F800000)).view(np.float32)
    np.maximum(power, np.float32(least), out=power)
    power *= np.float32(1.5 * 2 ** (23 - bits))
    y += power
    y -= power
    y *= scale
    return y


def largest(dtype):
    """The largest finite number of a float8 dtype."""
    return float(ml_dtypes.finfo(dtypes.numpy_dtype(dtype)).max)
