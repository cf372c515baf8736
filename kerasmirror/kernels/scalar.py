"""Scalar formulas and their derivatives, written once and compiled by each device.

Plain Python over `math`, without numba. A formula takes one value of each array and then its
parameters; `<name>_grad(x, dy, ...)` is dy times its derivative at x, and `<name>_grad_from_output`
the same from y, where that saves the exponential. A constant is `type(x)(c)`: a literal would
widen float32. A NaN in x comes out as NaN; exp only sees arguments <= 0, so nothing overflows.
Where a formula has a corner, the derivative there is the one Keras on TensorFlow gives.
Source: Keras 3.15 `keras.activations` for the activations' names and parameters.

`arithmetic.py` has the elementary functions, found here too: `scalar.add`, `scalar.sin`.
"""

from __future__ import annotations

import math

from .arithmetic import *  # noqa: F403 - one namespace of formulas

# --- rectifiers -----------------------------------------------------------------------------


def relu(x):
    """max(x, 0)."""
    zero = type(x)(0)
    return zero if x <= zero else x


def relu_grad(x, dy):
    """Dy where x > 0."""
    zero = type(x)(0)
    return dy if x > zero else zero


def relu6(x):
    """min(max(x, 0), 6)."""
    zero, six = type(x)(0), type(x)(6)
    return zero if x <= zero else (six if x > six else x)


def relu6_grad(x, dy):
    """Dy where 0 < x < 6."""
    zero, six = type(x)(0), type(x)(6)
    return dy if zero < x < six else zero


def leaky_relu(x, negative_slope):
    """x, or negative_slope * x where x < 0."""
    return x if x > type(x)(0) else x * negative_slope


def leaky_relu_grad(x, dy, negative_slope):
    """Dy, or negative_slope * dy where x <= 0."""
    return dy if x > type(x)(0) else dy * negative_slope


def general_relu(x, negative_slope, max_value, threshold):
    """x above threshold, else 0; clipped to [0, max_value]; less negative_slope * (threshold - x).

    The last only where x < threshold; a max_value of inf means no clipping at either end.
    """
    zero = type(x)(0)
    y = zero if x <= threshold else x
    if max_value < type(x)(math.inf):
        y = zero if y < zero else (max_value if y > max_value else y)
    return y - negative_slope * (threshold - x) if x < threshold else y


def general_relu_grad(x, dy, negative_slope, max_value, threshold):
    """negative_slope * dy below threshold; dy above, where x was not clipped; 0 at threshold."""
    zero = type(x)(0)
    if x < threshold:
        return negative_slope * dy
    clipped = max_value < type(x)(math.inf) and (x < zero or x > max_value)
    return zero if clipped or x == threshold else dy


def threshold(x, threshold, default_value):
    """x where x > threshold, else default_value (of NaN too: a comparison, as in Keras)."""
    return x if x > threshold else default_value


def threshold_grad(x, dy, threshold, default_value):
    """Dy where x > threshold; default_value is here for the signature alone."""
    return dy if x > threshold else type(x)(0)


def hard_shrink(x, threshold):
    """x where |x| > threshold, else 0 (NaN stays NaN)."""
    return type(x)(0) if abs(x) <= threshold else x


def hard_shrink_grad(x, dy, threshold):
    """Dy where |x| > threshold."""
    return dy if abs(x) > threshold else type(x)(0)


def soft_shrink(x, threshold):
    """sign(x) * max(|x| - threshold, 0)."""
    if abs(x) <= threshold:
        return type(x)(0)
    return x + threshold if x < type(x)(0) else x - threshold


def soft_shrink_grad(x, dy, threshold):
    """Dy where |x| > threshold."""
    return dy if abs(x) > threshold else type(x)(0)


def hard_tanh(x):
    """min(max(x, -1), 1)."""
    one = type(x)(1)
    return -one if x < -one else (one if x > one else x)


def hard_tanh_grad(x, dy):
    """Dy where -1 <= x <= 1."""
    return dy if abs(x) <= type(x)(1) else type(x)(0)


def hard_sigmoid(x):
    """min(max(x + 3, 0), 6) / 6."""
    zero, six = type(x)(0), type(x)(6)
    z = x + type(x)(3)
    return (zero if z <= zero else (six if z > six else z)) / six


def hard_sigmoid_grad(x, dy):
    """Dy / 6 where -3 < x < 3."""
    zero, six = type(x)(0), type(x)(6)
    return dy / six if zero < x + type(x)(3) < six else zero


def hard_silu(x):
    """x * hard_sigmoid(x)."""
    zero, six = type(x)(0), type(x)(6)
    z = x + type(x)(3)
    return x * ((zero if z <= zero else (six if z > six else z)) / six)


def hard_silu_grad(x, dy):
    """Dy * (hard_sigmoid(x) + x * hard_sigmoid'(x))."""
    zero, six = type(x)(0), type(x)(6)
    z = x + type(x)(3)
    inside = x / six if zero < z < six else zero
    return dy * ((zero if z <= zero else (six if z > six else z)) / six + inside)


def sparse_plus(x):
    """0 where x <= -1, (x + 1)^2 / 4 between, x where x >= 1."""
    one = type(x)(1)
    if x <= -one:
        return type(x)(0)
    z = x + one
    return type(x)(0.25) * (z * z) if x < one else x


def sparse_plus_grad(x, dy):
    """Dy times 0, (x + 1) / 2 and 1 in sparse_plus's three ranges."""
    one = type(x)(1)
    if x <= -one:
        return type(x)(0)
    return dy * (type(x)(0.5) * (x + one)) if x < one else dy


def sparse_sigmoid(x):
    """min(max((x + 1) / 2, 0), 1)."""
    zero, one = type(x)(0), type(x)(1)
    return zero if x <= -one else (one if x >= one else type(x)(0.5) * (x + one))


def sparse_sigmoid_grad(x, dy):
    """Dy / 2 where -1 < x < 1."""
    one = type(x)(1)
    return type(x)(0.5) * dy if -one < x < one else type(x)(0)


# --- exponential units ----------------------------------------------------------------------


def elu(x, alpha):
    """x where x > 0, else alpha * (e^x - 1). Source: https://arxiv.org/abs/1511.07289."""
    return x if x > type(x)(0) else alpha * math.expm1(x)


def elu_grad(x, dy, alpha):
    """Dy where x > 0, else dy * alpha * e^x."""
    return dy if x > type(x)(0) else dy * (alpha * math.exp(x))


def selu(x):
    """scale * elu(x, alpha) with fixed constants. Source: https://arxiv.org/abs/1706.02515."""
    scale, scale_alpha = type(x)(1.0507009873554805), type(x)(1.7580993408473768)
    return scale * x if x > type(x)(0) else scale_alpha * math.expm1(x)


def selu_grad(x, dy):
    """Dy * scale where x >= 0, else dy * scale * alpha * e^x."""
    scale, scale_alpha = type(x)(1.0507009873554805), type(x)(1.7580993408473768)
    return dy * scale if x >= type(x)(0) else dy * (scale_alpha * math.exp(x))


def celu(x, alpha):
    """max(x, 0) + alpha * (e^(min(x, 0) / alpha) - 1). Source: https://arxiv.org/abs/1704.07483."""
    return x if x > type(x)(0) else alpha * math.expm1(x / alpha)


def celu_grad(x, dy, alpha):
    """Dy where x > 0, else dy * e^(x / alpha); 2 dy at x == 0.

    At 0 TensorFlow lets both max(x, 0) and min(x, 0) pass their gradient on; so do we.
    """
    zero = type(x)(0)
    if x == zero:
        return dy + dy
    return dy if x > zero else dy * math.exp(x / alpha)


def exponential(x):
    """e^x."""
    return math.exp(x)


def exponential_grad(x, dy):
    """Dy * e^x."""
    return dy * math.exp(x)


# --- sigmoid and its kin --------------------------------------------------------------------


def sigmoid(x):
    """1 / (1 + e^-x), by e^-|x|."""
    one = type(x)(1)
    e = math.exp(-abs(x))
    return (e if x < type(x)(0) else one) / (one + e)


def sigmoid_grad(x, dy):
    """Dy * s * (1 - s) = dy * e / (1 + e)^2 with e = e^-|x|."""
    one = type(x)(1)
    e = math.exp(-abs(x))
    return dy * (e / ((one + e) * (one + e)))


def sigmoid_grad_from_output(y, dy):
    """Dy * y * (1 - y)."""
    return dy * (y * (type(y)(1) - y))


def tanh(x):
    """Hyperbolic tangent."""
    return math.tanh(x)


def tanh_grad(x, dy):
    """Dy * (1 - tanh(x)^2)."""
    t = math.tanh(x)
    return dy * (type(x)(1) - t * t)


def tanh_grad_from_output(y, dy):
    """Dy * (1 - y^2)."""
    return dy * (type(y)(1) - y * y)


def tanh_shrink(x):
    """x - tanh(x)."""
    return x - math.tanh(x)


def tanh_shrink_grad(x, dy):
    """Dy * tanh(x)^2."""
    t = math.tanh(x)
    return dy * (t * t)


def softplus(x):
    """log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)."""
    zero = type(x)(0)
    return (x if x > zero else zero) + math.log1p(math.exp(-abs(x)))


def softplus_grad(x, dy):
    """Dy * sigmoid(x)."""
    one = type(x)(1)
    e = math.exp(-abs(x))
    return dy * ((e if x < type(x)(0) else one) / (one + e))


def log_sigmoid(x):
    """log(sigmoid(x)) = min(x, 0) - log(1 + e^-|x|)."""
    zero = type(x)(0)
    return (x if x < zero else zero) - math.log1p(math.exp(-abs(x)))


def log_sigmoid_grad(x, dy):
    """Dy * sigmoid(-x)."""
    one = type(x)(1)
    e = math.exp(-abs(x))
    return dy * ((one if x < type(x)(0) else e) / (one + e))


def silu(x):
    """x * sigmoid(x). Source: https://arxiv.org/abs/1702.03118."""
    one = type(x)(1)
    e = math.exp(-abs(x))
    return x * ((e if x < type(x)(0) else one) / (one + e))


def silu_grad(x, dy):
    """Dy * s * (1 + x * (1 - s)) with s = sigmoid(x)."""
    one = type(x)(1)
    e = math.exp(-abs(x))
    s = (e if x < type(x)(0) else one) / (one + e)
    s_reversed = (one if x < type(x)(0) else e) / (one + e)
    return dy * (s * (one + x * s_reversed))


def mish(x):
    """x * tanh(softplus(x)). Source: https://arxiv.org/abs/1908.08681."""
    zero = type(x)(0)
    return x * math.tanh((x if x > zero else zero) + math.log1p(math.exp(-abs(x))))


def mish_grad(x, dy):
    """Dy * (t + x * (1 - t^2) * sigmoid(x)) with t = tanh(softplus(x))."""
    zero, one = type(x)(0), type(x)(1)
    e = math.exp(-abs(x))
    t = math.tanh((x if x > zero else zero) + math.log1p(e))
    s = (e if x < zero else one) / (one + e)
    return dy * (t + x * ((one - t * t) * s))


def softsign(x):
    """x / (1 + |x|)."""
    return x / (type(x)(1) + abs(x))


def softsign_grad(x, dy):
    """Dy / (1 + |x|)^2."""
    z = type(x)(1) + abs(x)
    return dy / (z * z)


def squareplus(x, b):
    """(x + sqrt(x^2 + b)) / 2. Source: https://arxiv.org/abs/2112.11687."""
    return (x + math.sqrt(x * x + b)) / type(x)(2)


def squareplus_grad(x, dy, b):
    """Dy * (1 + x / sqrt(x^2 + b)) / 2."""
    return dy * ((type(x)(1) + x / math.sqrt(x * x + b)) / type(x)(2))


# --- error function units -------------------------------------------------------------------


def erf(x):
    """2 / sqrt(pi) * integral of e^(-t^2) from 0 to x."""
    return math.erf(x)


def erf_grad(x, dy):
    """Dy * 2 / sqrt(pi) * e^(-x^2)."""
    return dy * (type(x)(1.1283791670955126) * math.exp(-(x * x)))


def gelu(x):
    """x * P(N(0, 1) <= x), by erf. Source: https://arxiv.org/abs/1606.08415."""
    cdf = type(x)(0.5) * (type(x)(1) + math.erf(x * type(x)(0.7071067811865476)))
    return x * cdf


def gelu_grad(x, dy):
    """Dy * (cdf(x) + x * pdf(x)) of the standard normal distribution."""
    half = type(x)(0.5)
    cdf = half * (type(x)(1) + math.erf(x * type(x)(0.7071067811865476)))
    pdf = type(x)(0.3989422804014327) * math.exp(-half * (x * x))
    return dy * (cdf + x * pdf)


def gelu_approximate(x):
    """x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2, Section 2 of the paper."""
    z = type(x)(0.7978845608028654) * (x + type(x)(0.044715) * (x * x * x))
    return type(x)(0.5) * x * (type(x)(1) + math.tanh(z))


def gelu_approximate_grad(x, dy):
    """Dy * ((1 + t) + x * (1 - t^2) * z') / 2 with t = tanh(z), z as in gelu_approximate."""
    one = type(x)(1)
    c, d = type(x)(0.7978845608028654), type(x)(0.10703222440890037)
    t = math.tanh(c * (x + type(x)(0.044715) * (x * x * x)))
    return dy * (type(x)(0.5) * ((one + t) + x * ((one - t * t) * (c + d * (x * x)))))
