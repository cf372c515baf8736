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

_KNOWN = frozenset((Tensor, Variable, int, float, bool, complex, list, tuple))
_TENSORS = (Tensor, Variable)

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
_LOGIC = {
    "and": (comparison.logical_and, bitwise.bitwise_and),
    "or": (comparison.logical_or, bitwise.bitwise_or),
    "xor": (comparison.logical_xor, bitwise.bitwise_xor),
}


def _operator(run):
    def method(self, other):
        return NotImplemented if _is_foreign(self, other) else run(self, other)

    return method


def _reflected(run):
    def method(self, other):
        return NotImplemented if _is_foreign(self, other) else run(other, self)

    return method


def _is_foreign(one, other):
    """Whether Python should ask `other`, or the default, instead of converting it."""
    if type(other) in _KNOWN or isinstance(other, _TENSORS):
        return False
    if isinstance(other, KerasTensor):
        return not isinstance(one, KerasTensor)  # a placeholder's operators make nodes
    return not isinstance(other, (int, float)) and not hasattr(other, "__array__")


def _logic(logical, bits):
    # On booleans as in NumPy and TensorFlow; on whole numbers bit by bit.
    def run(x1, x2):
        x1, x2 = to_tensor(x1), to_tensor(x2)
        both = x1.dtype == "bool" and x2.dtype == "bool"
        return logical(x1, x2) if both else bits(x1, x2)

    return run


def _inversion(logical, bits):
    return lambda self: logical(self) if self.dtype == "bool" else bits(self)


def _iteration(get_item):
    def iterate(self):
        if not self.shape:
            raise TypeError("iteration over a tensor without axes")
        if self.shape[0] is None:
            raise TypeError(f"iteration over a tensor whose first axis is unknown: {self}")
        return iter([get_item(self, i) for i in range(self.shape[0])])

    return iterate


def install(kind, public=lambda function: function):
    """Give the class `kind` the operators; each runs `public(the operation)`."""
    # Keras's variables and placeholders know no bits: what is not 0 is true.
    logic = {
        name: _logic(*map(public, pair)) if kind is Tensor else public(pair[0])
        for name, pair in _LOGIC.items()
    }
    for name, run in {**_BINARY, **logic}.items():
        setattr(kind, f"__{name}__", _operator(public(run)))
        setattr(kind, f"__r{name}__", _reflected(public(run)))
    for name, run in _COMPARISONS.items():
        setattr(kind, f"__{name}__", _operator(public(run)))
    negative, absolute = public(elementwise.negative), public(elementwise.absolute)
    rounded, get_item = public(elementwise.round), public(indexing.get_item)
    transpose, reshape = public(shape.transpose), public(shape.reshape)
    squeeze = public(shape.squeeze)
    kind.__neg__ = lambda self: negative(self)
    kind.__pos__ = lambda self: self
    kind.__abs__ = lambda self: absolute(self)
    kind.__invert__ = _inversion(public(comparison.logical_not), public(bitwise.bitwise_invert))
    kind.__round__ = lambda self, ndigits=None: rounded(self, ndigits or 0)
    kind.__getitem__ = lambda self, key: get_item(self, key)
    kind.__iter__ = _iteration(get_item)
    kind.__hash__ = object.__hash__
    kind.__array_priority__ = 100  # NumPy leaves `array + x` to __radd__
    kind.T = property(lambda self: transpose(self))
    kind.reshape = lambda self, *newshape: reshape(
        self, newshape[0] if len(newshape) == 1 else newshape
    )
    kind.squeeze = lambda self, axis=None: squeeze(self, axis)


for _kind in (Tensor, Variable, KerasTensor):
    install(_kind)
