"""Elementary functions of one or two scalars and their derivatives: the other half of `scalar.py`.

Each is named as its NumPy function, which computes it on the CPU; CUDA compiles the formula.
`<name>_grad(x, dy)` is dy times the derivative at x.
"""

# ruff: noqa: D103 - name and body say the same

from __future__ import annotations

import math


def _whole(x):
    # From 2^52 on every float is whole, and int64 may overflow; a NaN is not below it either.
    return not abs(x) < type(x)(4503599627370496)


# --- one argument ---------------------------------------------------------------------------


def negative(x):
    return -x


def absolute(x):
    return abs(x)


def absolute_grad(x, dy):
    zero = type(x)(0)
    return dy if x > zero else (-dy if x < zero else zero)


def sign(x):
    zero, one = type(x)(0), type(x)(1)
    return one if x > zero else (-one if x < zero else x)


def square(x):
    return x * x


def square_grad(x, dy):
    return dy * (x + x)


def sqrt(x):
    return math.sqrt(x)


def sqrt_grad(x, dy):
    return dy * type(x)(0.5) / math.sqrt(x)


def rsqrt(x):
    return type(x)(1) / math.sqrt(x)


def rsqrt_grad(x, dy):
    r = type(x)(1) / math.sqrt(x)
    return dy * type(x)(-0.5) * (r * r * r)


def reciprocal(x):
    return type(x)(1) / x


def reciprocal_grad(x, dy):
    r = type(x)(1) / x
    return -dy * (r * r)


def exp(x):
    return math.exp(x)


def exp_grad(x, dy):
    return dy * math.exp(x)


def exp2(x):
    return type(x)(2) ** x


def exp2_grad(x, dy):
    return dy * (type(x)(0.6931471805599453) * type(x)(2) ** x)


def expm1(x):
    return math.expm1(x)


def log(x):
    return math.log(x)


def log_grad(x, dy):
    return dy / x


def log1p(x):
    return math.log1p(x)


def log1p_grad(x, dy):
    return dy / (type(x)(1) + x)


def log2(x):
    return math.log(x) * type(x)(1.4426950408889634)


def log2_grad(x, dy):
    return dy / (x * type(x)(0.6931471805599453))


def log10(x):
    return math.log10(x)


def log10_grad(x, dy):
    return dy / (x * type(x)(2.302585092994046))


def sin(x):
    return math.sin(x)


def sin_grad(x, dy):
    return dy * math.cos(x)


def cos(x):
    return math.cos(x)


def cos_grad(x, dy):
    return -dy * math.sin(x)


def tan(x):
    return math.tan(x)


def tan_grad(x, dy):
    t = math.tan(x)
    return dy * (type(x)(1) + t * t)


def arcsin(x):
    return math.asin(x)


def arcsin_grad(x, dy):
    return dy / math.sqrt(type(x)(1) - x * x)


def arccos(x):
    return math.acos(x)


def arccos_grad(x, dy):
    return -dy / math.sqrt(type(x)(1) - x * x)


def arctan(x):
    return math.atan(x)


def arctan_grad(x, dy):
    return dy / (type(x)(1) + x * x)


def sinh(x):
    return math.sinh(x)


def sinh_grad(x, dy):
    return dy * math.cosh(x)


def cosh(x):
    return math.cosh(x)


def cosh_grad(x, dy):
    return dy * math.sinh(x)


def arcsinh(x):
    return math.asinh(x)


def arcsinh_grad(x, dy):
    return dy / math.sqrt(type(x)(1) + x * x)


def arccosh(x):
    return math.acosh(x)


def arccosh_grad(x, dy):
    return dy / math.sqrt(x * x - type(x)(1))


def arctanh(x):
    return math.atanh(x)


def arctanh_grad(x, dy):
    return dy / (type(x)(1) - x * x)


def floor(x):
    return x if _whole(x) else type(x)(math.floor(x))


def ceil(x):
    return x if _whole(x) else type(x)(math.ceil(x))


def trunc(x):
    return x if _whole(x) else type(x)(math.trunc(x))


def rint(x):
    """The nearest whole number, ties to the even one."""
    if _whole(x):
        return x
    below = type(x)(math.floor(x))
    rest, half = x - below, type(x)(0.5)
    odd = below - type(x)(2) * type(x)(math.floor(below * half))
    up = rest > half or (rest == half and odd == type(x)(1))
    return below + type(x)(1) if up else below


def isnan(x):
    return x != x


def isfinite(x):
    return x - x == type(x)(0)


def isinf(x):
    return x == x and x - x != type(x)(0)


def logical_not(x):
    return not x


# --- two arguments --------------------------------------------------------------------------


def add(x1, x2):
    return x1 + x2


def subtract(x1, x2):
    return x1 - x2


def multiply(x1, x2):
    return x1 * x2


def divide(x1, x2):
    return x1 / x2


def floor_divide(x1, x2):
    return x1 // x2


def mod(x1, x2):
    return x1 % x2


def power(x1, x2):
    return x1**x2


def maximum(x1, x2):
    """The larger; NaN if either is."""
    return x1 if x1 > x2 or x1 != x1 else x2


def minimum(x1, x2):
    """The smaller; NaN if either is."""
    return x1 if x1 < x2 or x1 != x1 else x2


def arctan2(x1, x2):
    return math.atan2(x1, x2)


def hypot(x1, x2):
    return math.hypot(x1, x2)


def logaddexp(x1, x2):
    """log(e^x1 + e^x2) = max + log(1 + e^-|x1 - x2|); equal arguments may be infinite."""
    if x1 == x2:
        return x1 + type(x1)(0.6931471805599453)
    return (x1 if x1 > x2 else x2) + math.log1p(math.exp(-abs(x1 - x2)))


def equal(x1, x2):
    return x1 == x2


def not_equal(x1, x2):
    return x1 != x2


def less(x1, x2):
    return x1 < x2


def less_equal(x1, x2):
    return x1 <= x2


def greater(x1, x2):
    return x1 > x2


def greater_equal(x1, x2):
    return x1 >= x2


def logical_and(x1, x2):
    return bool(x1) and bool(x2)


def logical_or(x1, x2):
    return bool(x1) or bool(x2)


def logical_xor(x1, x2):
    return bool(x1) != bool(x2)


def bitwise_and(x1, x2):
    return x1 & x2


def bitwise_or(x1, x2):
    return x1 | x2


def bitwise_xor(x1, x2):
    return x1 ^ x2


def left_shift(x1, x2):
    return x1 << x2


def right_shift(x1, x2):
    return x1 >> x2
