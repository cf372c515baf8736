"""Operations on the bits of whole numbers."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.kernels import scalar
from kerasmirror.ops import shapes
from kerasmirror.ops.elementwise import without_gradient
from kerasmirror.ops.tensor import is_float, operands, to_tensor

_WHY = "it takes whole numbers"
_and = without_gradient("bitwise_and", scalar.bitwise_and, _WHY)
_or = without_gradient("bitwise_or", scalar.bitwise_or, _WHY)
_xor = without_gradient("bitwise_xor", scalar.bitwise_xor, _WHY)
_left = without_gradient("left_shift", scalar.left_shift, _WHY)
_right = without_gradient("right_shift", scalar.right_shift, _WHY)


def _whole(name, x, y):
    x, y = operands(x, y)
    if is_float(x) and not isinstance(x, KerasTensor) and not isinstance(y, KerasTensor):
        raise TypeError(
            f"keras.ops.{name}: `x` and `y` must be whole numbers or booleans. "
            f"Received: their common dtype {x.dtype}"
        )
    return x, y


@export("ops.bitwise_and", "ops.numpy.bitwise_and")
def bitwise_and(x, y):
    """The bits set in both."""
    return _and(*_whole("bitwise_and", x, y))


@export("ops.bitwise_or", "ops.numpy.bitwise_or")
def bitwise_or(x, y):
    """The bits set in at least one."""
    return _or(*_whole("bitwise_or", x, y))


@export("ops.bitwise_xor", "ops.numpy.bitwise_xor")
def bitwise_xor(x, y):
    """The bits set in exactly one."""
    return _xor(*_whole("bitwise_xor", x, y))


@primitive(
    "bitwise_invert", spec=shapes.same, tangent=tangents.without_gradient("it takes whole numbers")
)
def _invert(k, x):
    # All bits set: -1 for signed numbers, the largest for unsigned ones, True.
    if x.dtype.kind == "b":
        return k.map_scalar(scalar.logical_not, x), None
    ones = -1 if x.dtype.kind == "i" else 2 ** (8 * x.dtype.itemsize) - 1
    return k.map_scalar(scalar.bitwise_xor, x, ones), None


def _inverted(name, x):
    x = to_tensor(x)
    if is_float(x) and not isinstance(x, KerasTensor):
        raise TypeError(
            f"keras.ops.{name}: `x` must be whole numbers or booleans. Received: dtype={x.dtype}"
        )
    return _invert(x)


@export("ops.bitwise_invert", "ops.numpy.bitwise_invert")
def bitwise_invert(x):
    """Each bit turned over."""
    return _inverted("bitwise_invert", x)


@export("ops.bitwise_not", "ops.numpy.bitwise_not")
def bitwise_not(x):
    """Each bit turned over."""
    return _inverted("bitwise_not", x)


@export("ops.bitwise_left_shift", "ops.numpy.bitwise_left_shift")
def bitwise_left_shift(x, y):
    """The bits of `x` moved `y` places up."""
    return _left(*_whole("bitwise_left_shift", x, y))


@export("ops.left_shift", "ops.numpy.left_shift")
def left_shift(x, y):
    """The bits of `x` moved `y` places up."""
    return _left(*_whole("left_shift", x, y))


@export("ops.bitwise_right_shift", "ops.numpy.bitwise_right_shift")
def bitwise_right_shift(x, y):
    """The bits of `x` moved `y` places down; the sign stays."""
    return _right(*_whole("bitwise_right_shift", x, y))


@export("ops.right_shift", "ops.numpy.right_shift")
def right_shift(x, y):
    """The bits of `x` moved `y` places down; the sign stays."""
    return _right(*_whole("right_shift", x, y))
