"""`tf.float32` and the other types: names with what TensorFlow's types tell of themselves."""

from __future__ import annotations

import numpy as np

from kerasmirror.core import dtypes


class DType(str):
    """A type's name, which is what this package's tensors have for a `dtype`."""

    __slots__ = ()

    @property
    def name(self):
        return str(self)

    @property
    def as_numpy_dtype(self):
        return np.dtype(dtypes.numpy_dtype(str(self))).type

    @property
    def is_floating(self):
        return dtypes.is_float_dtype(str(self))

    @property
    def is_integer(self):
        return dtypes.is_int_dtype(str(self))


NAMES = (
    *("float16", "float32", "float64", "bfloat16", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
globals().update({name: DType(name) for name in NAMES})
double, half = DType("float64"), DType("float16")


def as_dtype(value):
    """The DType that a name, a NumPy type or a DType stands for."""
    return DType(dtypes.standardize_dtype(value))


class TensorSpec:
    """The shape, with None for sizes that are not known, and the dtype of a tensor."""

    def __init__(self, shape, dtype="float32", name=None):
        self.shape = None if shape is None else tuple(shape)
        self.dtype = as_dtype(dtype)
        self.name = name

    def __repr__(self):
        return f"TensorSpec(shape={self.shape}, dtype={str(self.dtype)}, name={self.name})"


__all__ = [*NAMES, "DType", "TensorSpec", "as_dtype", "double", "half"]
