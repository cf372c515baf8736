"""Comparisons, logic and tests of single values: booleans come out, no gradients."""

from __future__ import annotations

import math

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.kernels import scalar
from kerasmirror.ops import shapes
from kerasmirror.ops.elementwise import comparison, predicate
from kerasmirror.ops.numpy import elementwise
from kerasmirror.ops.tensor import bool_tensor, is_float, operands, to_tensor

equal = comparison("equal", scalar.equal, doc="Whether `x1 == x2`.")
not_equal = comparison("not_equal", scalar.not_equal, doc="Whether `x1 != x2`.")
less = comparison("less", scalar.less, doc="Whether `x1 < x2`.")
less_equal = comparison("less_equal", scalar.less_equal, doc="Whether `x1 <= x2`.")
greater = comparison("greater", scalar.greater, doc="Whether `x1 > x2`.")
greater_equal = comparison("greater_equal", scalar.greater_equal, doc="Whether `x1 >= x2`.")
logical_and = comparison(
    "logical_and", scalar.logical_and, dtype="bool", doc="Whether both are true (not 0)."
)
logical_or = comparison(
    "logical_or", scalar.logical_or, dtype="bool", doc="Whether at least one is true (not 0)."
)
logical_xor = comparison(
    "logical_xor", scalar.logical_xor, dtype="bool", doc="Whether exactly one is true (not 0)."
)
logical_not = predicate(
    "logical_not", scalar.logical_not, converts=bool_tensor, doc="Whether `x` is false (0)."
)
isnan = predicate("isnan", scalar.isnan, doc="Whether `x` is not a number.")
isinf = predicate("isinf", scalar.isinf, doc="Whether `x` is infinite.")
isfinite = predicate("isfinite", scalar.isfinite, doc="Whether `x` is neither NaN nor infinite.")


@export("ops.isposinf", "ops.numpy.isposinf")
def isposinf(x):
    """Whether `x` is positive infinity."""
    x = to_tensor(x)
    return equal(x, math.inf) if is_float(x) else isinf(x)


@export("ops.isneginf", "ops.numpy.isneginf")
def isneginf(x):
    """Whether `x` is negative infinity."""
    x = to_tensor(x)
    return equal(x, -math.inf) if is_float(x) else isinf(x)


@export("ops.signbit", "ops.numpy.signbit")
def signbit(x):
    """Whether the sign bit is set, so that -0.0 counts as negative."""
    x = to_tensor(x)
    if x.dtype == "bool" or x.dtype in dtypes.INT_TYPES:
        return less(x, to_tensor(0, x.dtype))
    return _signbit(to_tensor(x, "float32"))


@primitive(
    "signbit", spec=shapes.broadcast_bool, tangent=tangents.without_gradient("booleans come out")
)
def _signbit(k, x):
    return k.map_scalar(scalar.less, x.view("int32"), 0), None


@export("ops.isclose", "ops.numpy.isclose")
def isclose(x1, x2, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether `|x1 - x2| <= atol + rtol * |x2|`; with `equal_nan`, NaN is close to NaN."""
    x1, x2 = operands(x1, x2)
    if not is_float(x1):
        return equal(x1, x2)
    bound = elementwise.add(elementwise.multiply(elementwise.absolute(x2), rtol), atol)
    close = less_equal(elementwise.absolute(elementwise.subtract(x1, x2)), bound)
    if equal_nan:
        close = logical_or(close, logical_and(isnan(x1), isnan(x2)))
    return close
