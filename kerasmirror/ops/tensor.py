"""Between Python values, NumPy arrays and tensors, and from dtype to dtype."""

from __future__ import annotations

from numbers import Number

import ml_dtypes
import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes, scopes
from kerasmirror.core.device import GPU, copied, host
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable
from kerasmirror.ops import shapes

_WITH_DATA = (Tensor, Variable)
# Python's numbers that take the dtype of a tensor of this kind.
_WEAK = {"f": (float, int), "c": (float, int, complex)}


def to_tensor(x, dtype=None):
    """`x` as an input of a primitive: a Tensor, Variable or KerasTensor, of `dtype` if given.

    NumPy arrays are shared, not copied. Inside a mixed-precision layer a variable comes cast.
    """
    if type(x) is not Tensor:
        x = _operand(x, dtype)
    if dtype is None or x.dtype == dtype:
        return x
    return _cast(x, dtype=dtype)


def _operand(x, dtype):
    if isinstance(x, Variable):
        return x if scopes.autocast_dtype() is None else x.value
    if isinstance(x, (Tensor, KerasTensor)):
        return x
    if isinstance(x, (list, tuple)) and _holds_tensors(x):
        parts = [to_tensor(part) for part in x]
        common = dtypes.result_type(*[part.dtype for part in parts])
        return _stack(*[to_tensor(part, common) for part in parts], axis=0)
    if GPU.used and GPU.kernels.exchange.lies_on_gpu(x):
        return Tensor(GPU.kernels.exchange.shared(x))
    return Tensor(to_array(x, dtype))


def snapshot(x, dtype=None):
    """`to_tensor`, with a variable copied: a later `assign` leaves the result alone."""
    x = to_tensor(x, dtype)
    if isinstance(x, Variable):
        return Tensor(copied(x.data), x._as_tensor().key)
    return x


def to_array(x, dtype=None):
    """A NumPy array of `dtype`; without one, Python floats take `floatx` and ints int32."""
    if isinstance(x, np.ndarray):
        array = x
    elif type(x) in (bool, int, float):
        return np.array(x, dtypes.numpy_dtype(dtype or _python_dtype(x)))
    else:
        array = np.asarray(x)
        if array.dtype.kind == "O":
            _refuse_none(array)
        if not hasattr(x, "dtype") and not hasattr(_first_leaf(x), "dtype"):
            dtype = dtype or _python_dtype(array)
    if dtype is not None:
        return array.astype(dtypes.numpy_dtype(dtype), copy=False)
    dtypes.standardize_dtype(array.dtype)  # refuses what is not a dtype of tensors
    return array


def _refuse_none(array):
    if any(value is None for value in array.flat):
        place = "" if array.ndim == 0 else f" among the values of an array of shape {array.shape}"
        raise ValueError(f"keras: None cannot become a tensor. Received: None{place}")


def _python_dtype(value):
    if isinstance(value, np.ndarray):
        kind = value.dtype.kind
        if kind == "f":
            return dtypes.standardize_dtype(None)
        if kind == "i":
            fits = not value.size or (value.min() >= -(2**31) and value.max() < 2**31)
            return "int32" if fits else "int64"
        return dtypes.standardize_dtype(value.dtype)
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int32" if -(2**31) <= value < 2**31 else "int64"
    return dtypes.standardize_dtype(None)


def _first_leaf(x):
    while isinstance(x, (list, tuple)) and x:
        x = x[0]
    return x


def _holds_tensors(values):
    for value in values:
        if isinstance(value, (Tensor, Variable, KerasTensor)):
            return True
        if isinstance(value, (list, tuple)) and _holds_tensors(value):
            return True
    return False


def dtype_of(x):
    """What `x` brings to `result_type`: a dtype's name, or `int` or `float` for Python numbers."""
    kind = type(x)
    if kind is int or kind is float:
        return kind
    if kind is bool:
        return "bool"
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        if isinstance(x, Number):
            return kind
        return to_tensor(x).dtype
    return dtypes.standardize_dtype(dtype)


def is_float(x):
    """Whether a tensor's values are floating point."""
    return x.dtype in dtypes.FLOAT_TYPES


def whole_numbers(x, name, owner):
    """`x` as a tensor, whose dtype must be one of whole numbers; a placeholder's is not looked at.

    Raises: TypeError for another dtype.
    """
    x = to_tensor(x)
    if "int" in x.dtype or isinstance(x, KerasTensor):
        return x
    raise TypeError(f"{owner}: `{name}` must be whole numbers. Received: dtype={x.dtype}")


def is_complex(x):
    """Whether a tensor's values are complex numbers."""
    return x.dtype.startswith("complex")


def bool_tensor(x):
    """`x` as a tensor of booleans: what is not 0 is true."""
    if type(x) is Tensor and x.data.dtype.kind == "b":
        return x
    return to_tensor(to_tensor(x), "bool")


def float_tensor(x):
    """`x` as a tensor of floats: whole numbers and booleans become `floatx`."""
    if type(x) is Tensor and x.data.dtype.kind == "f":
        return x
    x = to_tensor(x)
    if x.dtype in dtypes.FLOAT_TYPES or is_complex(x):
        return x
    return _cast(x, dtype=dtypes.result_type(x.dtype, float))


def operands(x1, x2, *also):
    """Both as tensors of their common dtype; `also` are dtypes that take part in the choice.

    Python numbers are weak: they take the other operand's dtype where it can hold their kind.
    `also` never holds more than `float`, which changes nothing where there are floats already.
    """
    if isinstance(x1, Variable):
        x1 = to_tensor(x1)
    if isinstance(x2, Variable):
        x2 = to_tensor(x2)
    if type(x1) in _WITH_DATA:
        d1 = x1.data.dtype
        if type(x2) in _WITH_DATA:
            if x2.data.dtype is d1 and (d1.kind in "fc" or not also):
                return x1, x2
        elif type(x2) in _WEAK.get(d1.kind, ()):
            return x1, Tensor(np.array(x2, d1))
    elif type(x2) in _WITH_DATA and type(x1) in _WEAK.get(x2.data.dtype.kind, ()):
        return Tensor(np.array(x1, x2.data.dtype)), x2
    dtype = dtypes.result_type(dtype_of(x1), dtype_of(x2), *also)
    return to_tensor(x1, dtype), to_tensor(x2, dtype)


def strong_operands(x1, x2, *also):
    """The same with Python numbers as tensors of `floatx` or int32 before the dtype is chosen.

    Keras on TensorFlow treats them so in most functions that have no operator.
    """
    return operands(to_tensor(x1), to_tensor(x2), *also)


@export("ops.convert_to_tensor")
def convert_to_tensor(x, dtype=None, sparse=None, ragged=None):
    """`x` as a tensor; arrays keep their dtype, Python floats take `floatx` and ints int32.

    Later changes of an array or variable do not show in the result. All tensors here are dense,
    so `sparse` and `ragged`, which say whether others are kept, change nothing.
    Source: Keras 3.15 `keras.ops.convert_to_tensor`.
    """
    if dtype is not None:
        dtype = dtypes.standardize_dtype(dtype)
    given = x.data if isinstance(x, Variable) else x
    if GPU.used and GPU.kernels.exchange.lies_on_gpu(given) and not isinstance(x, Tensor):
        return to_tensor(Tensor(copied(to_tensor(x).data)), dtype)
    x = to_tensor(x, dtype)
    if isinstance(x, Variable) or (isinstance(x, Tensor) and x.data is given):
        key = x._as_tensor().key if isinstance(x, Variable) else x.key
        return Tensor(copied(x.data), key)
    return x


@export("ops.convert_to_numpy")
def convert_to_numpy(x):
    """A copy of the values as a NumPy array."""
    if isinstance(x, (Tensor, Variable)):
        return np.array(host(to_tensor(x).data))
    return np.array(to_tensor(x)) if isinstance(x, (list, tuple)) else np.array(x)


def convert_input(x, autocast, dtype):
    """An input of a layer: arrays become tensors; floats become `dtype` where `autocast`.

    Python numbers, None and other objects pass as they are.
    """
    if isinstance(x, (Tensor, KerasTensor)):
        have = x.dtype
    elif hasattr(x, "__array__"):
        x = to_tensor(x)
        have = x.dtype
    else:
        return x
    if autocast and have != dtype and have in dtypes.FLOAT_TYPES:
        return _cast(x, dtype=dtype)
    return x


@export("ops.is_tensor")
def is_tensor(x):
    """Whether `x` is a Tensor (not a Variable, KerasTensor or array)."""
    return isinstance(x, Tensor)


@export("ops.shape")
def shape(x):
    """The shape as a tuple; a KerasTensor's unknown sizes are None."""
    found = getattr(x, "shape", None)
    return tuple(found) if found is not None else to_array(x).shape


@export("ops.dtype")
def dtype(x):
    """The dtype's name ("float32")."""
    return dtypes.standardize_dtype(x.dtype)


@export("ops.cast")
def cast(x, dtype):
    """The values as `dtype`; floats become whole numbers by cutting the fraction off.

    Source: Keras 3.15 `keras.ops.cast`.
    """
    dtype = dtypes.standardize_dtype(dtype)
    if isinstance(x, (Tensor, Variable, KerasTensor)):
        return snapshot(x, dtype)
    return to_tensor(to_tensor(x), dtype)


def _cast_spec(x, *, dtype):
    return x.shape, dtype


_SMOOTH = "fVc"  # floats, those of ml_dtypes, complex numbers


@primitive("cast", spec=_cast_spec, tangent=tangents.linear)
def _cast(k, x, *, dtype):
    source, target = x.dtype, dtypes.numpy_dtype(dtype)
    y = k.cast(x.real if source.kind == "c" and target.kind != "c" else x, target)
    if target.kind not in _SMOOTH or source.kind not in _SMOOTH:
        return y, None  # whole numbers have no gradient

    def backward(dy, needs):
        return (k.cast(dy.real if dy.dtype.kind == "c" and source.kind != "c" else dy, source),)

    return y, backward


@export("ops.stop_gradient")
def stop_gradient(variable):
    """The same values, through which no gradient flows."""
    return _stop_gradient(snapshot(variable))


@primitive(
    "stop_gradient", spec=shapes.same, tangent=tangents.without_gradient("that is what it is for")
)
def _stop_gradient(k, x):
    return x, None


def _stack_spec(*xs, axis):
    shape = shapes.agreeing([x.shape for x in xs], "keras.ops.stack")
    axis = shapes.canonical_axis(axis, len(shape) + 1, "keras.ops.stack")
    return (*shape[:axis], len(xs), *shape[axis:]), xs[0].dtype


@primitive("stack", spec=_stack_spec, tangent=tangents.linear)
def _stack(k, *xs, axis):
    shape = shapes.agreeing([x.shape for x in xs], "keras.ops.stack")
    axis = shapes.canonical_axis(axis, len(shape) + 1, "keras.ops.stack")
    y = k.stack(xs, axis)

    def backward(dy, needs):
        front = (slice(None),) * axis
        return tuple(
            [k.get_at(dy, (*front, i)) if needed else None for i, needed in enumerate(needs)]
        )

    return y, backward


@export("ops.saturate_cast")
def saturate_cast(x, dtype):
    """`cast`, with values outside the range of `dtype` moved to its ends."""
    dtype = dtypes.standardize_dtype(dtype)
    return _saturate_cast(to_tensor(x), dtype=dtype)


def _limits(dtype):
    if dtype.kind == "b":
        return 0, 1
    info = ml_dtypes.iinfo(dtype) if dtype.kind in "iu" else ml_dtypes.finfo(dtype)
    return info.min, info.max


@primitive("saturate_cast", spec=_cast_spec, tangent=tangents.diagonal)
def _saturate_cast(k, x, *, dtype):
    target = dtypes.numpy_dtype(dtype)
    (low, high), (own_low, own_high) = _limits(target), _limits(x.dtype)
    # A limit that x's dtype cannot hold is rounded towards zero, as beyond it casts are undefined.
    low, high = (_held(limit, x.dtype) for limit in (max(low, own_low), min(high, own_high)))
    if x.dtype.kind == "b":
        return k.cast(x, target), None
    y = k.cast(k.clip(x, low, high), target)
    if dtype not in dtypes.FLOAT_TYPES or x.dtype.kind not in "fV":
        return y, None

    def backward(dy, needs):
        inside = (x >= low) & (x <= high)
        return (k.where(inside, k.cast(dy, x.dtype), x.dtype.type(0)),)

    return y, backward


def _held(limit, dtype):
    value = np.asarray(limit).astype(dtype)
    beyond = abs(int(value)) > abs(int(limit)) if np.isfinite(value) else False
    return np.asarray(np.nextafter(value, np.zeros((), dtype))) if beyond else value
