"""Dtypes at the door of an operation: kernels compute in float32 or float64 only."""

from __future__ import annotations

import numpy as np

from kerasmirror.core import dtypes
from kerasmirror.core.config import floatx
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops.tensor import to_tensor

_SINGLE, _DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def same_float_dtype(*values):
    """The values as tensors of one float dtype; None stays None."""
    if all([type(value) is Tensor and value.data.dtype is _SINGLE for value in values]):
        return values
    tensors = [None if value is None else to_tensor(value) for value in values]
    found = {tensor.dtype for tensor in tensors if tensor is not None}
    if len(found) == 1 and dtypes.is_float_dtype(next(iter(found))):
        return tensors
    dtype = dtypes.result_type(*found)
    if not dtypes.is_float_dtype(dtype):
        dtype = floatx()
    return [None if tensor is None else to_tensor(tensor, dtype) for tensor in tensors]


def widened(*arrays):
    """The arrays as float32 or float64: halves as float32, whole numbers as float64."""
    return [a if a is None or a.dtype is _SINGLE else _wide(a) for a in arrays]


def _wide(array):
    if array.dtype in (_SINGLE, _DOUBLE):
        return array
    return array.astype(np.float32 if array.dtype.kind not in "iub" else np.float64)


def narrowed(array, dtype):
    """`array` as `dtype`, without a copy where it has it already."""
    if array is None or array.dtype is dtype or array.dtype == dtype:
        return array
    with np.errstate(over="ignore", invalid="ignore"):  # too large for a half is infinite
        return array.astype(dtype)
