"""Dtype names, and which dtype comes of mixing two.

Source of the promotion rules: JAX's type promotion lattice
(https://docs.jax.dev/en/latest/jep/9407-type-promotion.html), which Keras 3 follows,
but for float32 in the place of float64 where Python or int64 values meet floats.
"""

from __future__ import annotations

import functools

import ml_dtypes
import numpy as np

from kerasmirror._export import export
from kerasmirror.core import config

FLOAT_TYPES = ("bfloat16", "float16", "float32", "float64")
INT_TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
ALLOWED = frozenset(
    (*FLOAT_TYPES, *INT_TYPES, "bool", "string", "complex64", "complex128")
    + ("float8_e4m3fn", "float8_e5m2", "int4", "uint4")
)
# As Keras on TensorFlow reads them, where a dtype is asked for by a Python type.
_PYTHON_TYPES = {bool: "bool", int: "int64", float: "float32", str: "string", complex: "complex128"}

# Each dtype's direct successors; the result of two is the least dtype above both. The starred
# ones are the weak types of Python scalars.
_ABOVE = {
    "bool": ("int*",),
    "int*": ("uint8", "int8", "complex64"),
    "uint8": ("uint16", "int16"),
    "uint16": ("uint32", "int32"),
    "uint32": ("uint64", "int64"),
    "uint64": ("float*",),
    "int8": ("int16",),
    "int16": ("int32",),
    "int32": ("int64",),
    "int64": ("float*",),
    "float*": ("bfloat16", "float16"),
    "bfloat16": ("float32",),
    "float16": ("float32",),
    "float32": ("float64", "complex64"),
    "float64": ("complex128",),
    "complex64": ("complex128",),
    "complex128": (),
}
# As Keras on TensorFlow has them: the widest of these two kinds only come by a cast.
_NARROWED = {"uint64": "uint32", "complex128": "complex64"}
_WEAK = {"int*": "int", "float*": "float"}


def _close_upwards(name, seen):
    seen.add(name)
    for above in _ABOVE[name]:
        _close_upwards(above, seen)
    return seen


_UPPER = {name: frozenset(_close_upwards(name, set())) for name in _ABOVE}


@export("backend.standardize_dtype", "utils.standardize_dtype")
def standardize_dtype(dtype):
    """The dtype's name as a string; None gives `floatx()`.

    Accepts names, Python types, NumPy dtypes and anything whose text ends in a dtype's name
    ("<dtype: 'float32'>", torch.float32). Raises: ValueError for anything else.
    """
    if dtype.__class__ is str and dtype in ALLOWED:
        return dtype
    if dtype is None:
        return config.floatx()
    name = _PYTHON_TYPES.get(dtype) if isinstance(dtype, type) else None
    if dtype.__class__ is str and dtype == "int":
        name = "int64"
    if name is None:
        name = _name_of(dtype)
    if name not in ALLOWED:
        raise ValueError(
            f"keras: `dtype` must be one of {sorted(ALLOWED)}. Received: dtype={dtype!r}"
        )
    return name


def _name_of(dtype):
    if hasattr(dtype, "name"):
        name = dtype.name
    elif hasattr(dtype, "__name__"):
        name = dtype.__name__
    else:
        name = str(dtype).rsplit(".", 1)[-1]
    return "string" if name.startswith(("str", "object")) else name


@functools.cache
def numpy_dtype(name):
    """The NumPy dtype of a dtype name; bfloat16 and float8 come from ml_dtypes."""
    if name == "string":
        return np.dtype(object)
    if name in ("bfloat16", "float8_e4m3fn", "float8_e5m2", "int4", "uint4"):
        return np.dtype(getattr(ml_dtypes, name))
    return np.dtype(name)


@export("backend.is_float_dtype")
def is_float_dtype(dtype):
    """Whether `dtype` is a floating point type."""
    return standardize_dtype(dtype).startswith(("float", "bfloat"))


@export("backend.is_int_dtype")
def is_int_dtype(dtype):
    """Whether `dtype` is a signed or unsigned integer type."""
    return standardize_dtype(dtype).startswith(("int", "uint"))


@export("backend.result_type")
def result_type(*dtypes):
    """The dtype of an operation on operands of `dtypes`.

    Python's `int` and `float` (the types) are weak: they take the other operand's width. What
    would be uint64 is uint32, what would be complex128 complex64, as in Keras on TensorFlow.
    Raises: ValueError for dtypes that have no common one, and for float8.
    """
    if not dtypes:
        return config.floatx()
    return _result_type(tuple(_node(d) for d in dtypes), config.floatx())


def _node(dtype):
    if dtype is int:
        return "int*"
    if dtype is float:
        return "float*"
    return standardize_dtype(dtype)


@functools.cache
def _result_type(names, floatx):
    if any(n.startswith("float8") for n in names):
        raise ValueError(
            "keras: There is no implicit conversions from float8 dtypes to others, cast it first. "
            f"Received: dtypes={names}"
        )
    if len(set(names)) == 1:
        return _strong(names[0], floatx)
    unknown = [n for n in names if n not in _UPPER]
    if unknown:
        raise ValueError(f"keras: no common dtype for {names}; {unknown} only go with themselves.")
    common = frozenset.intersection(*(_UPPER[n] for n in names))
    # The least of the common upper bounds is the one that has all the others above it.
    least = next(n for n in common if common <= _UPPER[n])
    return _strong(least, floatx)


def _strong(name, floatx):
    # Weak types have floatx's width; for bfloat16 that makes float16, in Keras too.
    return f"{_WEAK[name]}{floatx[-2:]}" if name in _WEAK else _NARROWED.get(name, name)
