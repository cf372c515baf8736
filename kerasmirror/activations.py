"""Activations of layers: `keras.activations`.

They are `keras.ops`' functions under the names and defaults that layers know. Any callable can be
an activation; a file can name these, those of `keras.ops`, and registered ones.
"""

from __future__ import annotations

import types

import numpy as np

from kerasmirror import _export
from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.serialization import (
    deserialize_keras_object,
    get_registered_object,
    serialize_keras_object,
)
from kerasmirror.kernels import scalar
from kerasmirror.ops import shapes
from kerasmirror.ops.elementwise import elementwise
from kerasmirror.ops.nn import activation as nn
from kerasmirror.ops.nn.precision import narrowed, widened
from kerasmirror.ops.numpy.elementwise import exp as _exp
from kerasmirror.ops.numpy.elementwise import tanh as _tanh
from kerasmirror.ops.tensor import float_tensor

# --- linear and rectified -------------------------------------------------------------------


@export("activations.linear")
def linear(x):
    """x itself."""
    return x


@export("activations.relu")
def relu(x, negative_slope=0.0, max_value=None, threshold=0.0):
    """x above `threshold`, but at most `max_value`; below, `negative_slope * (x - threshold)`.

    With the defaults `max(x, 0)`.
    Source: Keras 3.15 `keras.activations.relu`.
    """
    if negative_slope == 0.0 and max_value is None and threshold == 0:
        return nn.relu(x)
    x = float_tensor(x)
    if threshold == 0 and max_value is None:
        return nn.leaky_relu(x, negative_slope)
    if threshold == 0 and max_value == 6 and negative_slope == 0.0:
        return nn.relu6(x)
    return _general_relu(x, negative_slope=negative_slope, max_value=max_value, threshold=threshold)


@primitive("general_relu", spec=shapes.same, tangent=tangents.diagonal)
def _general_relu(k, x, *, negative_slope, max_value, threshold):
    dtype = x.dtype
    (x,) = widened(x)
    number = x.dtype.type
    slope, lowest = number(negative_slope), number(threshold)
    highest = number(np.inf if max_value is None else max_value)
    passed = np.where(x <= lowest, number(0), x)
    y = passed if max_value is None else np.clip(passed, number(0), highest)
    if slope:
        y = y - slope * np.maximum(lowest - x, number(0))

    def backward(dy, needs):
        (dy,) = widened(dy)
        # At its bounds a clip passes gradients on, relu6 does not: as in TensorFlow.
        below = np.less if max_value == 6 and not threshold else np.less_equal
        inside = (x > lowest) & below(passed, highest)
        if max_value is not None:
            inside &= passed >= 0
        dx = np.where(inside, dy, number(0))
        return (narrowed(dx + slope * np.where(x < lowest, dy, number(0)), dtype),)

    return narrowed(y, dtype), backward


@export("activations.leaky_relu")
def leaky_relu(x, negative_slope=0.2):
    """x, or `negative_slope * x` where x < 0."""
    return nn.leaky_relu(x, negative_slope)


@export("activations.relu6")
def relu6(x):
    """`min(max(x, 0), 6)`."""
    return nn.relu6(x)


@export("activations.threshold")
def threshold(x, threshold, default_value):
    """x where `x > threshold`, else `default_value`."""
    return nn.threshold(x, threshold, default_value)


@export("activations.hard_shrink")
def hard_shrink(x, threshold=0.5):
    """x where `|x| > threshold`, else 0."""
    return nn.hard_shrink(x, threshold)


@export("activations.soft_shrink")
def soft_shrink(x, threshold=0.5):
    """`sign(x) * max(|x| - threshold, 0)`."""
    return nn.soft_shrink(x, threshold)


# --- exponential units ----------------------------------------------------------------------


@export("activations.elu")
def elu(x, alpha=1.0):
    """x where x > 0, else `alpha * (e^x - 1)`. Source: https://arxiv.org/abs/1511.07289."""
    return nn.elu(x, alpha)


@export("activations.selu")
def selu(x):
    """`1.0507 * elu(x, 1.67326)`. Source: https://arxiv.org/abs/1706.02515, Equation 2."""
    return nn.selu(x)


@export("activations.celu")
def celu(x, alpha=1.0):
    """`max(x, 0) + alpha * (e^(min(x, 0) / alpha) - 1)`. Source: https://arxiv.org/abs/1704.07483."""
    return nn.celu(x, alpha)


@export("activations.exponential")
def exponential(x):
    """`e^x`."""
    return _exp(x)


# --- smooth ---------------------------------------------------------------------------------


@export("activations.softplus")
def softplus(x):
    """`log(1 + e^x)`."""
    return nn.softplus(x)


@export("activations.softsign")
def softsign(x):
    """`x / (1 + |x|)`."""
    return nn.softsign(x)


@export("activations.squareplus")
def squareplus(x, b=4):
    """`(x + sqrt(x^2 + b)) / 2`. Source: https://arxiv.org/abs/2112.11687."""
    return nn.squareplus(x, b)


@export("activations.sparse_plus")
def sparse_plus(x):
    """0 up to -1, `(x + 1)^2 / 4` up to 1, then x."""
    return nn.sparse_plus(x)


@export("activations.silu", "activations.swish")
def silu(x):
    """`x * sigmoid(x)`. Source: https://arxiv.org/abs/1702.03118."""
    return nn.silu(x)


@export("activations.gelu")
def gelu(x, approximate=False):
    """`x * P(N(0, 1) <= x)`, by erf, or by tanh where `approximate`.

    Source: https://arxiv.org/abs/1606.08415, Section 2.
    """
    return nn.gelu(x, approximate)


_mish = elementwise("mish", scalar.mish, scalar.mish_grad)


@export("activations.mish")
def mish(x):
    """`x * tanh(softplus(x))`. Source: https://arxiv.org/abs/1908.08681."""
    return _mish(float_tensor(x))


@export("activations.glu")
def glu(x, axis=-1):
    """`a * sigmoid(b)`, a and b x's halves along `axis`. Source: https://arxiv.org/abs/1612.08083."""
    return nn.glu(x, axis)


# --- bounded --------------------------------------------------------------------------------


@export("activations.tanh")
def tanh(x):
    """Hyperbolic tangent."""
    return _tanh(x)


@export("activations.tanh_shrink")
def tanh_shrink(x):
    """`x - tanh(x)`."""
    return nn.tanh_shrink(x)


@export("activations.hard_tanh")
def hard_tanh(x):
    """`min(max(x, -1), 1)`."""
    return nn.hard_tanh(x)


@export("activations.sigmoid")
def sigmoid(x):
    """`1 / (1 + e^-x)`; the result keeps x as its `logits`, for binary cross-entropy."""
    return nn.sigmoid(x)


@export("activations.log_sigmoid")
def log_sigmoid(x):
    """`log(sigmoid(x))`."""
    return nn.log_sigmoid(x)


@export("activations.hard_sigmoid")
def hard_sigmoid(x):
    """`min(max(x + 3, 0), 6) / 6`."""
    return nn.hard_sigmoid(x)


@export("activations.sparse_sigmoid")
def sparse_sigmoid(x):
    """`min(max((x + 1) / 2, 0), 1)`."""
    return nn.sparse_sigmoid(x)


@export("activations.hard_silu", "activations.hard_swish")
def hard_silu(x):
    """`x * hard_sigmoid(x)`. Source: https://arxiv.org/abs/1905.02244, Section 5.2."""
    return nn.hard_silu(x)


# --- over an axis ---------------------------------------------------------------------------


@export("activations.softmax")
def softmax(x, axis=-1):
    """`e^x / sum(e^x)` along `axis`; the result keeps x as its `logits`, for cross-entropies."""
    x = float_tensor(x)
    return nn.with_logits(nn.softmax(x, axis), x)


@export("activations.log_softmax")
def log_softmax(x, axis=-1):
    """`x - log(sum(e^x))` along `axis`."""
    return nn.log_softmax(x, axis)


@export("activations.sparsemax")
def sparsemax(x, axis=-1):
    """`max(x - tau, 0)` along `axis`; see `keras.ops.sparsemax` for tau."""
    return nn.sparsemax(x, axis)


# --- names ----------------------------------------------------------------------------------


def fusable(activation):
    """What a layer's fused primitive computes for `activation`: "linear", "relu", or None."""
    # Public operations are wrapped, so that calls on placeholders are noted (ops/recording.py).
    if activation is relu or getattr(activation, "__wrapped__", activation) is nn.relu:
        return "relu"
    return "linear" if activation is linear or activation is None else None


@export("activations.get")
def get(identifier):
    """The activation for a name, a config or a callable; None gives `linear`.

    Raises: ValueError for anything else.
    """
    if identifier is None:
        return linear
    if isinstance(identifier, dict):
        found = deserialize_keras_object(identifier)
    elif isinstance(identifier, str):
        found = get_registered_object(identifier) or _public(identifier)
    else:
        found = identifier
    if not callable(found):
        names = ", ".join(sorted(_export.family("activations").keys() - _NOT_ACTIVATIONS))
        raise ValueError(
            f"activations.get: `identifier` must be the name of an activation, one of {names}, or "
            f"a callable. Received: identifier={identifier!r}"
        )
    return found


@export("activations.serialize")
def serialize(activation):
    """The activation's name, or a config where a name alone does not find it.

    A lambda has no name: its config holds its code, which loads with `safe_mode=False` only.
    """
    config = serialize_keras_object(activation)
    if not isinstance(activation, types.FunctionType):
        return config
    name = config["config"]
    if _public(name) is activation:
        return name
    return config


@export("activations.deserialize")
def deserialize(config, custom_objects=None):
    """The activation of a name or a config. Raises: ValueError for an unknown one."""
    if isinstance(config, str):
        found = get_registered_object(config, custom_objects)
        return get(config) if found is None else found
    return get(deserialize_keras_object(config, custom_objects))


_NOT_ACTIVATIONS = {"get", "serialize", "deserialize"}


def _public(name):
    if not isinstance(name, str) or name in _NOT_ACTIVATIONS:
        return None  # of a lambda, its code stands in the place of a name
    return _export.lookup(f"activations.{name}")
