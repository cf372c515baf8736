"""Penalties on weights or activities: `keras.regularizers`."""

from __future__ import annotations

import math

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks
from kerasmirror.core.device import contiguous
from kerasmirror.core.serialization import resolve, serialize_keras_object
from kerasmirror.ops.nn.normalization import normalize
from kerasmirror.ops.nn.precision import narrowed, widened
from kerasmirror.ops.tensor import float_tensor


@export("regularizers.Regularizer", "Regularizer")
class Regularizer:
    """Base class: a subclass defines `__call__(x)`, which gives a number, and `get_config()`."""

    def __call__(self, x):
        return 0.0

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def get_config(self):
        raise NotImplementedError(f"{self} does not implement get_config()")


@export("regularizers.L1L2", "regularizers.l1_l2")
class L1L2(Regularizer):
    """`l1 * sum |x| + l2 * sum x^2`.

    Raises: ValueError for a factor that is negative or not finite.
    """

    def __init__(self, l1=0.0, l2=0.0):
        self.l1 = _factor(0.0 if l1 is None else l1, "l1", "regularizers.L1L2")
        self.l2 = _factor(0.0 if l2 is None else l2, "l2", "regularizers.L1L2")

    def __call__(self, x):
        return _penalty(float_tensor(x), l1=self.l1, l2=self.l2)

    def get_config(self):
        return {"l1": self.l1, "l2": self.l2}


@export("regularizers.L1", "regularizers.l1")
class L1(Regularizer):
    """`l1 * sum |x|`.

    Raises: ValueError for a factor that is negative or not finite.
    Source: Tibshirani 1996, https://doi.org/10.1111/j.2517-6161.1996.tb02080.x.
    """

    def __init__(self, l1=0.01):
        self.l1 = _factor(0.01 if l1 is None else l1, "l1", "regularizers.L1")

    def __call__(self, x):
        return _penalty(float_tensor(x), l1=self.l1, l2=0.0)

    def get_config(self):
        # Keras keeps the factor in float32 and writes that.
        return {"l1": float(np.float32(self.l1))}


@export("regularizers.L2", "regularizers.l2")
class L2(Regularizer):
    """`l2 * sum x^2`.

    Raises: ValueError for a factor that is negative or not finite.
    Source: Hoerl and Kennard 1970, https://doi.org/10.1080/00401706.1970.10488634.
    """

    def __init__(self, l2=0.01):
        self.l2 = _factor(0.01 if l2 is None else l2, "l2", "regularizers.L2")

    def __call__(self, x):
        return _penalty(float_tensor(x), l1=0.0, l2=self.l2)

    def get_config(self):
        return {"l2": self.l2}


@export("regularizers.OrthogonalRegularizer", "regularizers.orthogonal_regularizer")
class OrthogonalRegularizer(Regularizer):
    """`factor` times the mean of |cos| of the angles between all pairs of rows (or columns).

    Raises: ValueError for a bad factor or mode, or an x that is no matrix.
    Source: Keras 3.15 `keras.regularizers.OrthogonalRegularizer`.
    """

    def __init__(self, factor=0.01, mode="rows"):
        owner = "regularizers.OrthogonalRegularizer"
        self.factor = _factor(factor, "factor", owner)
        if mode not in ("rows", "columns"):
            raise ValueError(
                'Invalid value for argument `mode`. Expected one of {"rows", "columns"}. '
                f"Received: mode={mode}"
            )
        self.mode = mode

    def __call__(self, inputs):
        x = float_tensor(inputs)
        if len(x.shape) != 2:
            raise ValueError(
                "Inputs to OrthogonalRegularizer must have rank 2. "
                f"Received: inputs.shape={tuple(x.shape)}"
            )
        axis = 1 if self.mode == "rows" else 0
        return _mean_cosine(normalize(x, axis=axis), axis=axis, factor=self.factor)

    def get_config(self):
        # Keras keeps the factor in float32 and writes that.
        return {"factor": float(np.float32(self.factor)), "mode": self.mode}


def _factor(value, name, owner):
    if not isinstance(value, (float, int)) or not math.isfinite(value) or value < 0:
        checks.fail(owner, name, "a finite number of at least 0", value)
    return float(value)


def _scalar_spec(x, **options):
    return (), x.dtype


@primitive("penalty", spec=_scalar_spec, tangent=tangents.reducing(lambda options: None))
def _penalty(k, x, *, l1, l2):
    dtype = x.dtype
    (x,) = widened(x)
    total = x.dtype.type(0)
    if l1:
        total = total + x.dtype.type(l1) * k.sum(np.abs(x))
    if l2:
        total = total + x.dtype.type(l2) * k.sum(x * x)

    def backward(dy, needs):
        (dy,) = widened(dy)
        dx = np.zeros_like(x) if not l2 else x * (dy * x.dtype.type(2 * l2))
        if l1:
            dx += np.sign(x) * (dy * x.dtype.type(l1))
        return (narrowed(dx, dtype),)

    y = total if hasattr(total, "to_host") else np.asarray(total)
    return narrowed(y, dtype), backward


@primitive("mean_cosine", spec=_scalar_spec, tangent=tangents.reducing(lambda options: None))
def _mean_cosine(k, x, *, axis, factor):
    dtype = x.dtype
    (x,) = widened(x)
    rows = x if axis == 1 else contiguous(x.T)
    size = rows.shape[0]
    products = k.matmul(rows, contiguous(rows.T))
    np.fill_diagonal(products, 0)
    pairs = size * (size - 1) / 2
    # One row alone has no pairs: 0 / 0 is NaN, as in Keras.
    scale = x.dtype.type(0.5 * factor / pairs if pairs else np.nan)
    total = scale * k.sum(np.abs(products))

    def backward(dy, needs):
        # Each product stands twice, x_i x_j and x_j x_i.
        dx = k.matmul(np.sign(products), rows) * (widened(dy)[0] * 2 * scale)
        return (narrowed(dx if axis == 1 else contiguous(dx.T), dtype),)

    return narrowed(np.asarray(total), dtype), backward


@export("regularizers.serialize")
def serialize(regularizer):
    """The regularizer's config, as Keras writes it."""
    return serialize_keras_object(regularizer)


@export("regularizers.deserialize")
def deserialize(config, custom_objects=None):
    """The regularizer of a config or a name. Raises: ValueError for an unknown one."""
    return resolve(config, "regularizers", "regularizer", Regularizer, custom_objects)


@export("regularizers.get")
def get(identifier):
    """The regularizer for a name, a config, a class, an object or a callable; None stays None.

    Raises: ValueError for anything else.
    """
    return resolve(identifier, "regularizers", "regularizer", Regularizer)
