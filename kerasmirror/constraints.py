"""What weights are brought back to after each update: `keras.constraints`."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import checks, config
from kerasmirror.core.serialization import resolve, serialize_keras_object
from kerasmirror.ops.numpy.elementwise import add, clip, divide, maximum, multiply, sqrt, square
from kerasmirror.ops.numpy.reduction import sum as total
from kerasmirror.ops.tensor import float_tensor, to_tensor


@export("constraints.Constraint")
class Constraint:
    """Base class: a subclass defines `__call__(w)`, which gives the allowed values nearest to w."""

    def __call__(self, w):
        return w

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@export("constraints.MaxNorm", "constraints.max_norm")
class MaxNorm(Constraint):
    """w scaled down where its norm along `axis` is above `max_value`.

    For a Dense kernel (inputs, units), axis 0 limits each unit; for a Conv2D kernel, [0, 1, 2].
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html, Section 5.1.
    """

    def __init__(self, max_value=2, axis=0):
        self.max_value = _number(max_value, "max_value", "constraints.MaxNorm")
        self.axis = axis

    def __call__(self, w):
        return _rescaled(w, self.axis, lambda norms: clip(norms, 0, self.max_value))

    def get_config(self):
        return {"max_value": self.max_value, "axis": self.axis}


@export("constraints.NonNeg", "constraints.non_neg")
class NonNeg(Constraint):
    """max(w, 0)."""

    def __call__(self, w):
        return maximum(to_tensor(w), 0)


@export("constraints.UnitNorm", "constraints.unit_norm")
class UnitNorm(Constraint):
    """w divided by its norm along `axis`."""

    def __init__(self, axis=0):
        self.axis = axis

    def __call__(self, w):
        return _rescaled(w, self.axis, lambda norms: 1.0)

    def get_config(self):
        return {"axis": self.axis}


@export("constraints.MinMaxNorm", "constraints.min_max_norm")
class MinMaxNorm(Constraint):
    """w scaled so that its norm along `axis` moves by `rate` towards [min_value, max_value].

    A rate of 1 enforces the bounds at once.
    """

    def __init__(self, min_value=0.0, max_value=1.0, rate=1.0, axis=0):
        owner = "constraints.MinMaxNorm"
        self.min_value = _number(min_value, "min_value", owner)
        self.max_value = _number(max_value, "max_value", owner)
        self.rate = _number(rate, "rate", owner)
        self.axis = axis

    def __call__(self, w):
        def desired(norms):
            clipped = multiply(clip(norms, self.min_value, self.max_value), self.rate)
            return add(clipped, multiply(norms, 1 - self.rate))

        return _rescaled(w, self.axis, desired)

    def get_config(self):
        return {
            "min_value": self.min_value,
            "max_value": self.max_value,
            "rate": self.rate,
            "axis": self.axis,
        }


def _number(value, name, owner):
    return checks.real_in(value, 0, None, name, owner=owner, expected="a number of at least 0")


def _rescaled(w, axis, desired):
    """w times desired(norms) / (epsilon + norms), norms along `axis`."""
    w = float_tensor(w)
    axis = tuple(axis) if isinstance(axis, list) else axis
    norms = sqrt(total(square(w), axis=axis, keepdims=True))
    return multiply(w, divide(desired(norms), add(norms, config.epsilon())))


@export("constraints.serialize")
def serialize(constraint):
    """The constraint's config, as Keras writes it."""
    return serialize_keras_object(constraint)


@export("constraints.deserialize")
def deserialize(config, custom_objects=None):
    """The constraint of a config or a name. Raises: ValueError for an unknown one."""
    return resolve(config, "constraints", "constraint", Constraint, custom_objects)


@export("constraints.get")
def get(identifier):
    """The constraint for a name, a config, a class, an object or a callable; None stays None.

    Raises: ValueError for anything else.
    """
    return resolve(identifier, "constraints", "constraint", Constraint)
