"""DeviceArray's arithmetic: operators, ufuncs, indexing and the methods that rules use.

All of it is kernels of this package, found in its namespace `k`. They are put on the class here, as
array.py is below them all.
"""

from __future__ import annotations

import importlib

import numpy as np

from .. import scalar
from ..cpu.elementwise import UFUNCS
from . import device, indexing, memory, movement, strided
from .array import DeviceArray, axis_in
from .casting import as_dtype, cast
from .elementwise import map_scalar, settled

__all__ = []

# The namespace of all kernels here: complete when the first of them is asked for.
k = importlib.import_module(__package__)

_BOOL = np.dtype(bool)
_FORMULAS = {ufunc: formula for formula, ufunc in UFUNCS.items()}
_FORMULAS[np.exp] = scalar.exp


def without_kernel(name):
    """The error for a function of NumPy that has no kernel."""
    return NotImplementedError(
        f"kerasmirror: {name} has no CUDA kernel for arrays on a GPU. Run it on the CPU: with "
        'keras.device("cpu:0"): ..., on tensors made there (`keras.ops.convert_to_numpy` brings '
        "them)."
    )


# --- ufuncs and operators -------------------------------------------------------------------


def apply(ufunc, *args):
    """`ufunc` of arrays, of which one at least is on a device, and numbers."""
    formula = _FORMULAS.get(ufunc)
    if formula is not None:
        return map_scalar(formula, *args)
    special = _SPECIAL.get(ufunc)
    if special is None:
        raise without_kernel(f"numpy.{ufunc.__name__}")
    return special(*args)


def _invert(x):
    if x.dtype == _BOOL:
        return map_scalar(scalar.logical_not, x)
    return map_scalar(scalar.bitwise_xor, x, -1)


def _same(x):
    return cast(x, x.dtype)


def _divmod(x1, x2):
    return map_scalar(scalar.floor_divide, x1, x2), map_scalar(scalar.mod, x1, x2)


def _matmul(x1, x2):
    """The product of matrices; a vector counts as a row before, as a column after a matrix."""
    x1, x2 = settled(x1), settled(x2)
    _require_product(x1, x2)
    dtype = np.result_type(x1.dtype, x2.dtype)
    computed = np.dtype(np.float32) if dtype.itemsize == 2 and dtype.kind in "fV" else dtype
    x1, x2 = as_dtype(x1, computed), as_dtype(x2, computed)
    row, column = x1.ndim == 1, x2.ndim == 1
    a = x1.reshape(1, x1.size) if row else x1
    b = x2.reshape(x2.size, 1) if column else x2
    y = k.matmul(a, b)
    shape = list(y.shape)
    if column:
        del shape[-1]
    if row:
        del shape[-1 if column else -2]
    return as_dtype(y.reshape(tuple(shape)), dtype)


def _require_product(x1, x2):
    shapes = [np.shape(x) for x in (x1, x2)]
    fit = all(shapes) and shapes[0][-1] == shapes[1][max(0, len(shapes[1]) - 2)]
    if not fit:
        raise ValueError(
            "kerasmirror: a product of matrices needs as many columns in the first as rows in the "
            f"second. Received: shapes {shapes[0]} and {shapes[1]}"
        )


def dot(x1, x2):
    """The product of matrices where x2 has two axes at most, else with each matrix of x2."""
    x1, x2 = settled(x1), settled(x2)
    if not (np.ndim(x1) and np.ndim(x2)):
        return apply(np.multiply, x1, x2)
    if x2.ndim <= 2:
        return _matmul(x1, x2)
    _require_product(x1, x2)
    rows, *others = np.roll(range(x2.ndim - 1), 1).tolist()
    columns = movement.transpose(x2, [rows, *others, x2.ndim - 1])
    y = _matmul(x1, columns.reshape(columns.shape[0], -1))
    return y.reshape(*x1.shape[:-1], *columns.shape[1:])


_SPECIAL = {
    np.invert: _invert,
    np.positive: _same,
    np.conjugate: _same,
    np.divmod: _divmod,
    np.matmul: _matmul,
}
_REDUCTIONS = {
    np.add: "sum",
    np.multiply: "prod",
    np.maximum: "max",
    np.minimum: "min",
    np.logical_and: "all",
    np.logical_or: "any",
}


def _array_ufunc(self, ufunc, method, *inputs, out=None, **options):
    name = f"numpy.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
    if method == "reduce" and ufunc in _REDUCTIONS:
        axis, keepdims = options.pop("axis", 0), options.pop("keepdims", False)
        y = reduced(_REDUCTIONS[ufunc], inputs[0], axis, keepdims)
    elif method == "__call__":
        y = apply(ufunc, *inputs)
    else:
        raise without_kernel(name)
    if {key: value for key, value in options.items() if value is not None}:
        raise without_kernel(f"{name} with {', '.join(sorted(options))}")
    if out is None:
        return y
    (target,) = out
    if not isinstance(target, DeviceArray):
        raise TypeError(
            f"kerasmirror: {name} was given an array on the CPU to write values of a GPU to. "
            "Nothing moves by itself: `keras.ops.convert_to_numpy` brings them."
        )
    indexing.put_at(target, ..., y)
    return target


def _operator(ufunc, swapped=False):
    if swapped:
        return lambda self, other: apply(ufunc, other, self)
    return lambda self, other: apply(ufunc, self, other)


def _power(self, exponent):
    # As NumPy's operator does it: exactly, and without a logarithm.
    exact = type(exponent) in ((int,) if self.dtype.kind in "iu" else (int, float))
    if exact and self.dtype.kind != "b" and exponent == 2:
        return map_scalar(scalar.square, self)
    return apply(np.power, self, exponent)


_BINARY = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.divide,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "divmod": np.divmod,
    "matmul": np.matmul,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
    "lshift": np.left_shift,
    "rshift": np.right_shift,
    "pow": np.power,
}
_COMPARED = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_UNARY = {"neg": np.negative, "pos": np.positive, "abs": np.absolute, "invert": np.invert}


# --- reductions -----------------------------------------------------------------------------


def reduced(name, x, axis=None, keepdims=False):
    """A reduction of the namespace with the types of NumPy's: sums of whole numbers in 64 bits."""
    if x.dtype.kind == "u" and name in ("sum", "prod"):
        return reduced(name, cast(x, np.int64), axis, keepdims).view(np.uint64)
    if x.dtype.kind in "iub":
        if name in ("sum", "prod"):
            x = cast(x, np.int64)
        elif name in ("mean", "var"):
            x = cast(x, np.float64)
    if name == "var":
        return k.moments(x, axis, bool(keepdims))[1]
    y = getattr(k, name)(x, axis, bool(keepdims))
    return cast(y, np.int64) if name in ("argmax", "argmin") else y


def cumulated(name, x, axis=None, dtype=None):
    """`cumsum` or `cumprod` of the namespace, of whole numbers in 64 bits as NumPy's."""
    if dtype is None and x.dtype.kind == "u":
        return cumulated(name, x, axis, np.int64).view(np.uint64)
    if dtype is None and x.dtype.kind in "iub":
        dtype = np.int64
    return getattr(k, name)(x if dtype is None else as_dtype(x, np.dtype(dtype)), axis)


def _reduction(name):
    def method(self, axis=None, keepdims=False):
        return reduced(name, self, axis, keepdims)

    return method


# --- methods --------------------------------------------------------------------------------


def _astype(self, dtype, copy=True, **_):
    dtype = np.dtype(dtype)
    return self if not copy and dtype == self.dtype else cast(self, dtype)


def _view(self, dtype):
    dtype = np.dtype(dtype)
    if dtype.itemsize != self.itemsize:
        raise without_kernel(f"a view of {self.dtype} as {dtype}")
    return DeviceArray(self.address, self.shape, dtype, self.owner)


def _transpose(self, *axes):
    if len(axes) == 1 and (axes[0] is None or not isinstance(axes[0], (int, np.integer))):
        axes = axes[0]
    return movement.transpose(self, axes or None)


def swapaxes(x, axis1, axis2):
    """x with two axes exchanged."""
    order = list(range(x.ndim))
    a, b = axis_in(axis1, x.ndim), axis_in(axis2, x.ndim)
    order[a], order[b] = b, a
    return movement.transpose(x, order)


def squeeze(x, axis=None):
    """x without axes of size 1."""
    if axis is None:
        return x.reshape(tuple(n for n in x.shape if n != 1))
    axes = {axis_in(a, x.ndim) for a in np.atleast_1d(axis).tolist()}
    if any(x.shape[a] != 1 for a in axes):
        raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    return x.reshape(tuple(n for a, n in enumerate(x.shape) if a not in axes))


def _setitem(self, key, values):
    indexing.put_at(self, key, values)


def _iterated(self):
    return (self[i] for i in range(len(self)))


def _fill(self, value):
    strided.fill(self, value)


def _strides(self):
    return tuple(step * self.itemsize for step in strided.strides_of(self.shape))


def _flatten(self):
    return cast(self, self.dtype).reshape(self.size)


def _no_imaginary_part(self):
    return memory.zeros(self.shape, self.dtype)


def copied_to(target, source):
    """target = source, broadcast and cast, in place."""
    if isinstance(source, DeviceArray) and source.shape == target.shape:
        source = _astype(source, target.dtype, copy=False)
        if target.size:
            device.current().copy(target.address, source.address, target.nbytes)
    else:
        indexing.put_at(target, ..., source)


def _install():
    array = DeviceArray
    for name, ufunc in _BINARY.items():
        setattr(array, f"__{name}__", _operator(ufunc))
        setattr(array, f"__r{name}__", _operator(ufunc, swapped=True))
    for name, ufunc in _COMPARED.items():
        setattr(array, f"__{name}__", _operator(ufunc))
    for name, ufunc in _UNARY.items():
        setattr(array, f"__{name}__", lambda self, ufunc=ufunc: apply(ufunc, self))
    for name in "sum prod max min mean var all any argmax argmin".split():
        setattr(array, name, _reduction(name))
    array.__pow__ = _power
    array.__hash__ = None  # equality is of elements, as NumPy's
    array.__array_ufunc__ = _array_ufunc
    array.__getitem__ = indexing.get_at
    array.__setitem__ = _setitem
    array.__iter__ = _iterated
    array.astype, array.view = _astype, _view
    array.copy, array.fill, array.flatten = _same, _fill, _flatten
    array.conj = array.conjugate = _same
    array.transpose, array.swapaxes, array.squeeze = _transpose, swapaxes, squeeze
    array.T = property(movement.transpose)
    array.real, array.imag = property(lambda self: self), property(_no_imaginary_part)
    array.strides, array.base = property(_strides), None
    array.clip = lambda self, lowest, highest: k.clip(self, lowest, highest)
    array.take = movement.take
    array.repeat = movement.repeat
    array.cumsum = lambda self, axis=None, dtype=None: cumulated("cumsum", self, axis, dtype)
    array.dot = dot


_install()
