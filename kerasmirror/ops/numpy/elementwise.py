"""Arithmetic and elementary functions, element by element.

Gradients at corners are TensorFlow's: |x| and sign have 0 at 0, maximum and minimum give a tie to
the first operand, clip passes on what it did not move.
"""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.broadcasting import sum_to_shape
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.core.tensor import Tensor
from kerasmirror.kernels import scalar
from kerasmirror.ops import shapes
from kerasmirror.ops.elementwise import (
    binary,
    elementwise,
    mapped,
    rounding,
    summed,
    unary,
    without_gradient,
)
from kerasmirror.ops.tensor import (
    bool_tensor,
    float_tensor,
    is_complex,
    is_float,
    operands,
    snapshot,
    strong_operands,
    to_tensor,
    whole_numbers,
)

# --- two operands ---------------------------------------------------------------------------


@primitive("add", spec=shapes.broadcast, tangent=tangents.linear)
def _add(k, x1, x2):
    y = mapped(k, "add", scalar.add, x1, x2)
    forms = x1.shape, x2.shape
    return y, lambda dy, needs: summed(k, needs, forms, lambda: dy, lambda: dy)


@primitive("subtract", spec=shapes.broadcast, tangent=tangents.linear)
def _subtract(k, x1, x2):
    y = mapped(k, "subtract", scalar.subtract, x1, x2)
    form1, form2 = x1.shape, x2.shape

    def backward(dy, needs):
        dx1 = sum_to_shape(k, dy, form1) if needs[0] else None
        # Summed first: there is less to negate.
        dx2 = k.map_scalar(scalar.negative, sum_to_shape(k, dy, form2)) if needs[1] else None
        return dx1, dx2

    return y, backward


@primitive("multiply", spec=shapes.broadcast, tangent=tangents.multilinear)
def _multiply(k, x1, x2):
    y = mapped(k, "multiply", scalar.multiply, x1, x2)

    def backward(dy, needs):
        return summed(
            k,
            needs,
            (x1.shape, x2.shape),
            lambda: k.map_scalar(scalar.multiply, dy, x2),
            lambda: k.map_scalar(scalar.multiply, dy, x1),
        )

    return y, backward


@primitive("divide", spec=shapes.broadcast, tangent=tangents.diagonal)
def _divide(k, x1, x2):
    y = mapped(k, "divide", scalar.divide, x1, x2)
    form = x1.shape

    def backward(dy, needs):
        # d(x1 / x2) = (dx1 - y dx2) / x2
        quotient = k.map_scalar(scalar.divide, dy, x2)
        dx1 = sum_to_shape(k, quotient, form) if needs[0] else None
        dx2 = None
        if needs[1]:
            product = k.map_scalar(scalar.multiply, quotient, y)
            dx2 = k.map_scalar(scalar.negative, sum_to_shape(k, product, x2.shape))
        return dx1, dx2

    return y, backward


@primitive("power", spec=shapes.broadcast, tangent=tangents.diagonal)
def _power(k, x1, x2):
    y = mapped(k, "power", scalar.power, x1, x2)

    def backward(dy, needs):
        def for_base():
            # d(x^a) / dx = a x^(a - 1)
            lower = k.map_scalar(scalar.power, x1, k.map_scalar(scalar.subtract, x2, 1))
            return k.map_scalar(scalar.multiply, dy, k.map_scalar(scalar.multiply, lower, x2))

        def for_exponent():
            # d(x^a) / da = x^a log x, and 0 where x <= 0, where it has no real derivative.
            positive = k.map_scalar(scalar.greater, x1, 0)
            log = k.where(positive, k.map_scalar(scalar.log, k.where(positive, x1, 1)), 0)
            return k.map_scalar(scalar.multiply, dy, k.map_scalar(scalar.multiply, y, log))

        return summed(k, needs, (x1.shape, x2.shape), for_base, for_exponent)

    return y, backward


def _extremum(name, formula, wins):
    @primitive(name, spec=shapes.broadcast, tangent=tangents.diagonal)
    def rule(k, x1, x2):
        if x1.dtype.kind == "c":
            raise TypeError(f"keras.ops.{name}: complex numbers have no order. Received: {x1}")
        y = mapped(k, name, formula, x1, x2)

        def backward(dy, needs):
            first = k.map_scalar(wins, x1, x2)
            return summed(
                k,
                needs,
                (x1.shape, x2.shape),
                lambda: k.where(first, dy, 0),
                lambda: k.where(first, 0, dy),
            )

        return y, backward

    return rule


_maximum = _extremum("maximum", scalar.maximum, scalar.greater_equal)
_minimum = _extremum("minimum", scalar.minimum, scalar.less_equal)


@primitive("mod", spec=shapes.broadcast, tangent=tangents.diagonal)
def _mod(k, x1, x2):
    y = mapped(k, "mod", scalar.mod, x1, x2)

    def backward(dy, needs):
        # x1 mod x2 = x1 - x2 floor(x1 / x2), whose floor is constant almost everywhere
        def for_divisor():
            floor = k.map_scalar(scalar.floor_divide, x1, x2)
            return k.map_scalar(scalar.multiply, dy, k.map_scalar(scalar.negative, floor))

        return summed(k, needs, (x1.shape, x2.shape), lambda: dy, for_divisor)

    return y, backward


@primitive("arctan2", spec=shapes.broadcast, tangent=tangents.diagonal)
def _arctan2(k, x1, x2):
    y = mapped(k, "arctan2", scalar.arctan2, x1, x2)

    def backward(dy, needs):
        # d atan2(x1, x2) = (x2 dx1 - x1 dx2) / (x1^2 + x2^2)
        squares = k.map_scalar(
            scalar.add, k.map_scalar(scalar.square, x1), k.map_scalar(scalar.square, x2)
        )
        scaled = k.map_scalar(scalar.divide, dy, squares)
        return summed(
            k,
            needs,
            (x1.shape, x2.shape),
            lambda: k.map_scalar(scalar.multiply, scaled, x2),
            lambda: k.map_scalar(scalar.negative, k.map_scalar(scalar.multiply, scaled, x1)),
        )

    return y, backward


@primitive("hypot", spec=shapes.broadcast, tangent=tangents.diagonal)
def _hypot(k, x1, x2):
    y = mapped(k, "hypot", scalar.hypot, x1, x2)

    def backward(dy, needs):
        scaled = k.map_scalar(scalar.divide, dy, y)
        return summed(
            k,
            needs,
            (x1.shape, x2.shape),
            lambda: k.map_scalar(scalar.multiply, scaled, x1),
            lambda: k.map_scalar(scalar.multiply, scaled, x2),
        )

    return y, backward


@primitive("logaddexp", spec=shapes.broadcast, tangent=tangents.diagonal)
def _logaddexp(k, x1, x2):
    y = mapped(k, "logaddexp", scalar.logaddexp, x1, x2)

    def share(dy, x):
        # d log(e^x1 + e^x2) / dx = e^(x - y)
        weight = k.map_scalar(scalar.exp, k.map_scalar(scalar.subtract, x, y))
        return k.map_scalar(scalar.multiply, dy, weight)

    def backward(dy, needs):
        return summed(k, needs, (x1.shape, x2.shape), lambda: share(dy, x1), lambda: share(dy, x2))

    return y, backward


add = binary("add", _add, doc="`x1 + x2`.")
subtract = binary("subtract", _subtract, doc="`x1 - x2`.")
multiply = binary("multiply", _multiply, doc="`x1 * x2`.")
divide = binary("divide", _divide, float, doc="`x1 / x2`; whole numbers give floats.")
true_divide = binary("true_divide", _divide, float, doc="`x1 / x2`, the same as `divide`.")
floor_divide = binary(
    "floor_divide",
    without_gradient("floor_divide", scalar.floor_divide, "it is piecewise constant"),
    doc="`x1 / x2` rounded down; it has no gradient.",
)
maximum = binary("maximum", _maximum, doc="The larger of `x1` and `x2`; NaN if either is.")
minimum = binary("minimum", _minimum, doc="The smaller of `x1` and `x2`; NaN if either is.")


@export("ops.arctan2", "ops.numpy.arctan2")
def arctan2(x1, x2):
    """The angle of the point (x2, x1), in radians."""
    return _arctan2(*strong_operands(x1, x2, float))


@export("ops.logaddexp", "ops.numpy.logaddexp")
def logaddexp(x1, x2):
    """`log(exp(x1) + exp(x2))`."""
    return _logaddexp(*strong_operands(x1, x2, float))


def _wide_floats(x1, x2):
    """Both as floats; int64 becomes float64, as in Keras."""
    x1, x2 = strong_operands(x1, x2)
    return (x1, x2) if is_float(x1) else (_wide_float(x1), _wide_float(x2))


@export("ops.hypot", "ops.numpy.hypot")
def hypot(x1, x2):
    """`sqrt(x1**2 + x2**2)`."""
    return _hypot(*_wide_floats(x1, x2))


@export("ops.power", "ops.numpy.power")
def power(x1, x2):
    """`x1 ** x2`."""
    if type(x2) in (int, float) and x2 == 2 and type(x1) is Tensor and x1.data.dtype.kind == "f":
        return _square(x1)  # a product is some 20 times as fast as a power
    return _power(*operands(x1, x2))


@export("ops.mod", "ops.numpy.mod")
def mod(x1, x2):
    """The rest of `x1 / x2` rounded down, with the sign of `x2`."""
    return _mod(*_counted(x1, x2))


@export("ops.fmod", "ops.numpy.fmod")
def fmod(x1, x2):
    """The rest of `x1 / x2` rounded towards zero, with the sign of `x1`."""
    x1, x2 = _counted(x1, x2)
    return _multiply(sign(x1), _mod(absolute(x1), absolute(x2)))


def _counted(x1, x2):
    x1, x2 = strong_operands(x1, x2)
    return (to_tensor(x1, "int32"), to_tensor(x2, "int32")) if x1.dtype == "bool" else (x1, x2)


@export("ops.logaddexp2", "ops.numpy.logaddexp2")
def logaddexp2(x1, x2):
    """`log2(2**x1 + 2**x2)`."""
    x1, x2 = strong_operands(x1, x2, float)
    log2 = math.log(2)
    return divide(_logaddexp(multiply(x1, log2), multiply(x2, log2)), log2)


@export("ops.fmax", "ops.numpy.fmax")
def fmax(x1, x2):
    """The larger of `x1` and `x2`; where one is NaN, the other."""
    x1, x2 = operands(x1, x2)
    return maximum(_unless_nan(x1, x2), _unless_nan(x2, x1))


@export("ops.fmin", "ops.numpy.fmin")
def fmin(x1, x2):
    """The smaller of `x1` and `x2`; where one is NaN, the other."""
    x1, x2 = operands(x1, x2)
    return minimum(_unless_nan(x1, x2), _unless_nan(x2, x1))


def _unless_nan(x, instead):
    return _where(_isnan(x), instead, x) if is_float(x) else x


@export("ops.divide_no_nan", "ops.numpy.divide_no_nan")
def divide_no_nan(x1, x2):
    """`x1 / x2`, and 0 where `x2` is 0."""
    x1, x2 = operands(x1, x2, float)
    zero = to_tensor(0.0, x1.dtype)
    is_zero = _equal(x2, zero)
    # The divisor is replaced before the division, so that its gradient is finite too.
    return _where(is_zero, zero, _divide(x1, _where(is_zero, to_tensor(1.0, x1.dtype), x2)))


@export("ops.heaviside", "ops.numpy.heaviside")
def heaviside(x1, x2):
    """0 where `x1` < 0, `x2` where it is 0, 1 where it is larger."""
    x1, x2 = _wide_floats(x1, x2)
    zero, one = to_tensor(0.0, x1.dtype), to_tensor(1.0, x1.dtype)
    step = _where(_less(x1, zero), zero, _where(_equal(x1, zero), x2, one))
    return _where(_isnan(x1), x1, step)


@export("ops.ldexp", "ops.numpy.ldexp")
def ldexp(x1, x2):
    """`x1 * 2**x2` for whole `x2`.

    Raises: TypeError when `x2` is not of a whole-number dtype.
    """
    x2 = whole_numbers(x2, "x2", "keras.ops.ldexp")
    x1, x2 = operands(x1, x2, float)
    return _multiply(x1, _power(to_tensor(2.0, x1.dtype), x2))


@export("ops.nextafter", "ops.numpy.nextafter")
def nextafter(x1, x2):
    """The float64 next to `x1` in the direction of `x2`, as the operands' dtype.

    Source: Keras 3.15 `keras.ops.nextafter`, which takes the step in float64.
    """
    x1, x2 = strong_operands(x1, x2, float)
    return to_tensor(_nextafter(to_tensor(x1, "float64"), to_tensor(x2, "float64")), x1.dtype)


@primitive("nextafter", spec=shapes.broadcast, tangent=tangents.diagonal)
def _nextafter(k, x1, x2):
    # A float's bits, read as a whole number, count the floats of its sign from zero upwards.
    forms = x1.shape, x2.shape
    x1, x2 = x1 + 0 * x2, x2 + 0 * x1
    bits = x1.view("int64")
    step = ((x2 > x1) == (x1 > 0)) * 2 - 1
    y = (bits + step).view("float64")
    tiny = k.where(x2 > 0, 5e-324, -5e-324)
    y = k.where(x1 == x2, x2, k.where(x1 == 0, tiny, y))
    return y, lambda dy, needs: summed(k, needs, forms, lambda: dy, lambda: _zeros(k, dy))


def _zeros(k, like):
    return k.zeros(like.shape, like.dtype)


# --- one operand ----------------------------------------------------------------------------


@primitive("negative", spec=shapes.same, tangent=tangents.linear)
def _negative(k, x):
    return k.map_scalar(scalar.negative, x), lambda dy, needs: (k.map_scalar(scalar.negative, dy),)


@export("ops.negative", "ops.numpy.negative")
def negative(x):
    """`-x`."""
    return _negative(to_tensor(x))


_absolute = elementwise("absolute", scalar.absolute, scalar.absolute_grad)


_PARTS = {"complex64": "float32", "complex128": "float64"}


def part_spec(x):
    """Shape rule: the shape of complex numbers, the dtype of their parts."""
    return x.shape, _PARTS[x.dtype]


@primitive("complex_absolute", spec=part_spec)
def _modulus(k, x):
    y = np.abs(x)

    def backward(dy, needs):
        # d|z| = (a da + b db) / |z|, and 0 at 0
        return (_unit(x, y) * dy,)

    return y, backward


def _unit(x, y):
    return np.where(y == 0, 0, x / np.where(y == 0, 1, y)).astype(x.dtype)


@_modulus.forward
def _modulus_tangent(k, inputs, changes, y):
    return (np.conjugate(_unit(inputs[0], y)) * changes[0]).real


def _absolute_value(x):
    x = to_tensor(x)
    if is_complex(x):
        return _modulus(x)
    if x.dtype == "bool" or x.dtype.startswith("uint"):
        return snapshot(x)
    return _absolute(x)


@export("ops.absolute", "ops.numpy.absolute")
def absolute(x):
    """`|x|`."""
    return _absolute_value(x)


@export("ops.abs", "ops.numpy.abs")
def abs(x):
    """`|x|`."""
    return _absolute_value(x)


@export("ops.fabs", "ops.numpy.fabs")
def fabs(x):
    """`|x|`, as floats. Raises: TypeError for complex numbers."""
    x = float_tensor(x)
    if is_complex(x):
        raise TypeError(f"keras.ops.fabs: `x` must be real. Received: x.dtype={x.dtype}")
    return _absolute(x)


@primitive("sign", spec=shapes.same, tangent=tangents.diagonal)
def _sign(k, x):
    return k.map_scalar(scalar.sign, x), lambda dy, needs: (_zeros(k, dy),)


@export("ops.sign", "ops.numpy.sign")
def sign(x):
    """-1, 0 or 1, as `x` is negative, zero or positive."""
    return _sign(to_tensor(x))


_square = elementwise("square", scalar.square, scalar.square_grad)


@export("ops.square", "ops.numpy.square")
def square(x):
    """`x * x`."""
    x = to_tensor(x)
    return _square(to_tensor(x, "int32") if x.dtype == "bool" else x)


sqrt = unary("sqrt", scalar.sqrt, scalar.sqrt_grad, doc="The square root; NaN below 0.")
reciprocal = unary("reciprocal", scalar.reciprocal, scalar.reciprocal_grad, doc="`1 / x`.")
exp = unary("exp", scalar.exp, grad_from_output=scalar.multiply, doc="e to the power of `x`.")
exp2 = unary("exp2", scalar.exp2, scalar.exp2_grad, doc="2 to the power of `x`.")
expm1 = unary("expm1", scalar.expm1, scalar.exp_grad, doc="`exp(x) - 1`, exact near 0.")
log = unary("log", scalar.log, scalar.log_grad, doc="The natural logarithm.")
log1p = unary("log1p", scalar.log1p, scalar.log1p_grad, doc="`log(1 + x)`, exact near 0.")
log2 = unary("log2", scalar.log2, scalar.log2_grad, doc="The logarithm to base 2.")
log10 = unary("log10", scalar.log10, scalar.log10_grad, doc="The logarithm to base 10.")
sin = unary("sin", scalar.sin, scalar.sin_grad, doc="The sine of an angle in radians.")
cos = unary("cos", scalar.cos, scalar.cos_grad, doc="The cosine of an angle in radians.")
tan = unary("tan", scalar.tan, scalar.tan_grad, doc="The tangent of an angle in radians.")
arcsin = unary("arcsin", scalar.arcsin, scalar.arcsin_grad, doc="The angle whose sine is `x`.")
arccos = unary("arccos", scalar.arccos, scalar.arccos_grad, doc="The angle whose cosine is `x`.")
arctan = unary("arctan", scalar.arctan, scalar.arctan_grad, doc="The angle whose tangent is `x`.")
sinh = unary("sinh", scalar.sinh, scalar.sinh_grad, doc="The hyperbolic sine.")
cosh = unary("cosh", scalar.cosh, scalar.cosh_grad, doc="The hyperbolic cosine.")
tanh = unary(
    "tanh", scalar.tanh, grad_from_output=scalar.tanh_grad_from_output, doc="Hyperbolic tangent."
)
arcsinh = unary("arcsinh", scalar.arcsinh, scalar.arcsinh_grad, doc="The inverse of `sinh`.")
arccosh = unary("arccosh", scalar.arccosh, scalar.arccosh_grad, doc="The inverse of `cosh`.")
arctanh = unary("arctanh", scalar.arctanh, scalar.arctanh_grad, doc="The inverse of `tanh`.")
floor = rounding("floor", scalar.floor, doc="`x` rounded down, as floats; no gradient.")
ceil = rounding("ceil", scalar.ceil, doc="`x` rounded up, as floats; no gradient.")

_trunc = elementwise("trunc", scalar.trunc)
_rint = elementwise("round", scalar.rint)


@export("ops.trunc", "ops.numpy.trunc")
def trunc(x):
    """`x` without its fraction; no gradient."""
    x = to_tensor(x)
    return _trunc(x) if is_float(x) else snapshot(x)


@export("ops.round", "ops.numpy.round")
def round(x, decimals=0):
    """`x` rounded to `decimals` places, halves to the even neighbour; no gradient."""
    x = to_tensor(x)
    if not is_float(x):
        if decimals >= 0:
            return snapshot(x)
        return to_tensor(round(float_tensor(x), decimals), x.dtype)
    if decimals == 0:
        return _rint(x)
    factor = 10.0**decimals
    return divide(_rint(multiply(x, factor)), factor)


@export("ops.cbrt", "ops.numpy.cbrt")
def cbrt(x):
    """The cube root."""
    x = float_tensor(x)
    return _multiply(_sign(x), power(_absolute(x), 1.0 / 3.0))


@export("ops.sinc", "ops.numpy.sinc")
def sinc(x):
    """`sin(pi x) / (pi x)`, and 1 at 0."""
    x = float_tensor(x)
    one = to_tensor(1.0, x.dtype)
    is_zero = _equal(x, to_tensor(0.0, x.dtype))
    angle = multiply(_where(is_zero, one, x), math.pi)
    return _where(is_zero, one, _divide(sin(angle), angle))


@export("ops.deg2rad", "ops.numpy.deg2rad")
def deg2rad(x):
    """Degrees as radians."""
    return multiply(_wide_float(x), math.pi / 180)


@export("ops.rad2deg", "ops.numpy.rad2deg")
def rad2deg(x):
    """Radians as degrees."""
    return multiply(_wide_float(x), 180 / math.pi)


def _wide_float(x):
    x = to_tensor(x)
    return to_tensor(x, "float64") if x.dtype == "int64" else float_tensor(x)


# --- choices --------------------------------------------------------------------------------


def _where_spec(condition, x1, x2):
    shape, dtype = shapes.broadcast(x1, x2)
    return shapes.broadcast_shapes(condition.shape, shape), dtype


@primitive("where", spec=_where_spec, tangent=tangents.linear_in(1, 2))
def _where(k, condition, x1, x2):
    try:
        y = k.where(condition, x1, x2)
    except ValueError:
        shape = shapes.broadcast_shapes(x1.shape, x2.shape, "keras.ops.where")
        shapes.broadcast_shapes(condition.shape, shape, "keras.ops.where")
        raise
    form1, form2 = x1.shape, x2.shape

    def backward(dy, needs):
        dx1 = sum_to_shape(k, k.where(condition, dy, 0), form1) if needs[1] else None
        dx2 = sum_to_shape(k, k.where(condition, 0, dy), form2) if needs[2] else None
        return None, dx1, dx2

    return y, backward


_WHY = "booleans come out"
_equal = without_gradient("equal", scalar.equal, _WHY, spec=shapes.broadcast_bool)
_less = without_gradient("less", scalar.less, _WHY, spec=shapes.broadcast_bool)


@primitive(
    "isnan", spec=shapes.broadcast_bool, tangent=tangents.without_gradient("booleans come out")
)
def _isnan(k, x):
    return k.map_scalar(scalar.isnan, x), None


def select_by(condition, x1, x2):
    """`x1` where the condition holds, else `x2`: `where` with all three given."""
    x1, x2 = operands(x1, x2)
    return _where(bool_tensor(condition), x1, x2)


@primitive("clip", spec=shapes.broadcast, tangent=tangents.diagonal)
def _clip(k, x, low, high):
    y = k.clip(x, low, high)

    def backward(dy, needs):
        below, above = k.map_scalar(scalar.less, x, low), k.map_scalar(scalar.greater, x, high)
        moved = k.map_scalar(scalar.logical_or, below, above)
        return summed(
            k,
            needs,
            (x.shape, low.shape, high.shape),
            lambda: k.where(moved, 0, dy),
            lambda: k.where(below, dy, 0),
            lambda: k.where(above, dy, 0),
        )

    return y, backward


@export("ops.clip", "ops.numpy.clip")
def clip(x, x_min, x_max):
    """`min(max(x, x_min), x_max)`, in the dtype of `x`."""
    x = to_tensor(x)
    if x.dtype == "bool":
        x = to_tensor(x, "int32")
    return _clip(x, to_tensor(x_min, x.dtype), to_tensor(x_max, x.dtype))


@export("ops.nan_to_num", "ops.numpy.nan_to_num")
def nan_to_num(x, nan=0.0, posinf=None, neginf=None):
    """`x` with NaN and infinities replaced; by default infinities become the largest floats."""
    x = to_tensor(x)
    if not is_float(x):
        return snapshot(x)
    info = ml_dtypes.finfo(dtypes.numpy_dtype(x.dtype))
    x = _where(_isnan(x), to_tensor(nan, x.dtype), x)
    for infinity, value, limit in (
        (math.inf, posinf, info.max),
        (-math.inf, neginf, info.min),
    ):
        replacement = to_tensor(float(limit) if value is None else value, x.dtype)
        x = _where(_equal(x, to_tensor(infinity, x.dtype)), replacement, x)
    return x
