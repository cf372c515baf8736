"""Python's operators on tensors, variables and KerasTensors: each is the operation of `keras.ops`.

`==` is element by element, so `hash` stays that of the object. This is the one place that adds
methods to classes from outside: core stands below ops and cannot import them.
"""

from __future__ import annotations

from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable
from kerasmirror.ops.numpy import bitwise, comparison, contraction, elementwise, indexing, shape
from kerasmirror.ops.tensor import to_tensor

_KNOWN = frozenset((Tensor, Variable, KerasTensor, int, float, bool, list, tuple))

_BINARY = {
    "add": elementwise.add,
    "sub": elementwise.subtract,
    "mul": elementwise.multiply,
    "truediv": elementwise.divide,
    "floordiv": elementwise.floor_divide,
    "mod": elementwise.mod,
    "pow": elementwise.power,
    "matmul": contraction.matmul,
}
_COMPARISONS = {
    "eq": comparison.equal,
    "ne": comparison.not_equal,
    "lt": comparison.less,
    "le": comparison.less_equal,
    "gt": comparison.greater,
    "ge": comparison.greater_equal,
}


def _operator(run):
    def method(self, other):
        return NotImplemented if _is_foreign(other) else run(self, other)

    return method


def _reflected(run):
    def method(self, other):
        return NotImplemented if _is_foreign(other) else run(other, self)

    return method


def _is_foreign(other):
    """Whether Python should ask `other`, or the default, instead of converting it."""
    if type(other) in _KNOWN or isinstance(other, (Tensor, Variable, KerasTensor)):
        return False
    return not isinstance(other, (int, float)) and not hasattr(other, "__array__")


def _logic(logical, bits):
    # On booleans as in NumPy and TensorFlow; on whole numbers bit by bit.
    def run(x1, x2):
        x1, x2 = to_tensor(x1), to_tensor(x2)
        both = x1.dtype == "bool" and x2.dtype == "bool"
        return logical(x1, x2) if both else bits(x1, x2)

    return run


_LOGIC = {
    "and": _logic(comparison.logical_and, bitwise.bitwise_and),
    "or": _logic(comparison.logical_or, bitwise.bitwise_or),
    "xor": _logic(comparison.logical_xor, bitwise.bitwise_xor),
}


def _invert(self):
    if self.dtype == "bool":
        return comparison.logical_not(self)
    return bitwise.bitwise_invert(self)


def _iterate(self):
    if not self.shape:
        raise TypeError("iteration over a tensor without axes")
    if self.shape[0] is None:
        raise TypeError(f"iteration over a tensor whose first axis is unknown: {self}")
    return iter([indexing.get_item(self, i) for i in range(self.shape[0])])


def _round(self, ndigits=None):
    return elementwise.round(self, ndigits or 0)


def _transposed(self):
    return shape.transpose(self)


def _reshape(self, *newshape):
    return shape.reshape(self, newshape[0] if len(newshape) == 1 else newshape)


def _squeeze(self, axis=None):
    return shape.squeeze(self, axis)


def _install(kind):
    for name, run in {**_BINARY, **_LOGIC}.items():
        setattr(kind, f"__{name}__", _operator(run))
        setattr(kind, f"__r{name}__", _reflected(run))
    for name, run in _COMPARISONS.items():
        setattr(kind, f"__{name}__", _operator(run))
    kind.__neg__ = lambda self: elementwise.negative(self)
    kind.__pos__ = lambda self: self
    kind.__abs__ = lambda self: elementwise.absolute(self)
    kind.__invert__ = _invert
    kind.__round__ = _round
    kind.__getitem__ = lambda self, key: indexing.get_item(self, key)
    kind.__iter__ = _iterate
    kind.__hash__ = object.__hash__
    kind.__array_priority__ = 100  # NumPy leaves `array + x` to __radd__
    kind.T = property(_transposed)
    kind.reshape = _reshape
    kind.squeeze = _squeeze


for _kind in (Tensor, Variable, KerasTensor):
    _install(_kind)
