"""Sums, means, extrema and other reductions over axes, and cumulative ones.

`axis` is an int, several ints or None for all axes. Sums and products of narrow whole numbers are
32 bits wide, as in JAX. Source: Keras 3.15 `keras.ops.numpy`.
"""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.core.tensor import Tensor
from kerasmirror.kernels import scalar
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import comparison, elementwise, repetition
from kerasmirror.ops.tensor import bool_tensor, float_tensor, is_complex, is_float, to_tensor

_WIDE = {
    "bool": "int32",
    "int8": "int32",
    "int16": "int32",
    "uint8": "uint32",
    "uint16": "uint32",
}


def widened(x):
    """`x` as a tensor whose whole numbers are at least 32 bits wide."""
    if type(x) is Tensor and x.data.dtype.kind == "f":
        return x
    x = to_tensor(x)
    wide = _WIDE.get(x.dtype)
    return x if wide is None else to_tensor(x, wide)


def _spec(x, *, axes, keepdims):
    return shapes.reduced(x.shape, axes, keepdims), x.dtype


_reducing = tangents.reducing(lambda options: options["axes"])


def _spread(k, dy, shape, axes):
    """The gradient of a sum: dy again and again along the reduced axes."""
    return k.broadcast_to(dy.reshape(shapes.reduced(shape, axes, keepdims=True)), shape)


# --- sums -----------------------------------------------------------------------------------


@primitive("sum", spec=_spec, tangent=tangents.linear)
def _sum(k, x, *, axes, keepdims):
    shape = x.shape
    return k.sum(x, axes, keepdims), lambda dy, needs: (_spread(k, dy, shape, axes),)


@primitive("mean", spec=_spec, tangent=tangents.linear)
def _mean(k, x, *, axes, keepdims):
    shape = x.shape

    def backward(dy, needs):
        share = k.map_scalar(scalar.divide, dy, _count(shape, axes))
        return (_spread(k, share, shape, axes),)

    return k.mean(x, axes, keepdims), backward


def _count(shape, axes):
    return shapes.size_of([shape[axis] for axis in axes])


@primitive("variance", spec=_spec, tangent=_reducing)
def _variance(k, x, *, axes, keepdims):
    mean, variance = k.moments(x, axes, True)

    def backward(dy, needs):
        # var = mean((x - m)^2); the term with dm vanishes, as sum(x - m) = 0
        twice = k.map_scalar(scalar.add, dy, dy).reshape(mean.shape)
        scaled = k.map_scalar(scalar.divide, twice, _count(x.shape, axes))
        return (k.map_scalar(scalar.multiply, k.map_scalar(scalar.subtract, x, mean), scaled),)

    return variance.reshape(shapes.reduced(x.shape, axes, keepdims)), backward


@primitive("prod", spec=_spec, tangent=_reducing)
def _prod(k, x, *, axes, keepdims):
    def backward(dy, needs):
        # Each element's gradient is the product of all others: those before times those after.
        # A division by x would fail at zeros.
        kept = tuple([axis for axis in range(x.ndim) if axis not in axes])
        order = (*kept, *axes)
        moved = k.transpose(x, order)
        rows = moved.reshape(*moved.shape[: len(kept)], -1)
        one = k.zeros((*rows.shape[:-1], 1), x.dtype) + 1
        before = k.concatenate([one, k.cumprod(rows[..., :-1], -1)], -1)
        after = k.concatenate([k.cumprod(rows[..., 1:], -1, True), one], -1)
        others = k.map_scalar(scalar.multiply, before, after)
        dx = k.map_scalar(scalar.multiply, others, dy.reshape(*rows.shape[:-1], 1))
        back = [order.index(axis) for axis in range(x.ndim)]
        return (k.transpose(dx.reshape(moved.shape), back),)

    return k.prod(x, axes, keepdims), backward


@export("ops.sum", "ops.numpy.sum")
def sum(x, axis=None, keepdims=False):
    """The sum over `axis`."""
    axes = _one_axis(x, axis)
    if axes is None:
        x = widened(x)
        axes = shapes.canonical_axes(axis, len(x.shape), "keras.ops.sum")
    return _sum(x, axes=axes, keepdims=keepdims)


@export("ops.mean", "ops.numpy.mean")
def mean(x, axis=None, keepdims=False):
    """The mean over `axis`; whole numbers give float32."""
    axes = _one_axis(x, axis)
    if axes is None:
        x = to_tensor(x)
        if not is_float(x) and not is_complex(x):
            x = to_tensor(x, dtypes.result_type(x.dtype, "float32"))
        axes = shapes.canonical_axes(axis, len(x.shape), "keras.ops.mean")
    return _mean(x, axes=axes, keepdims=keepdims)


_AXES = [(axis,) for axis in range(8)]


def _one_axis(x, axis):
    """The canonical axes of one axis of a tensor of floats, found in a short way; else None."""
    if type(axis) is int and type(x) is Tensor:
        data = x.data
        rank = data.ndim
        if data.dtype.kind == "f" and -rank <= axis < rank <= 8:
            return _AXES[axis if axis >= 0 else axis + rank]
    return None


@export("ops.var", "ops.numpy.var")
def var(x, axis=None, keepdims=False):
    """The mean of `|x - mean(x)|**2` over `axis`."""
    x = float_tensor(x)
    axes = shapes.canonical_axes(axis, len(x.shape), "keras.ops.var")
    if is_complex(x):
        centred = elementwise.absolute(elementwise.subtract(x, mean(x, axis, keepdims=True)))
        return to_tensor(mean(elementwise.square(centred), axis, keepdims), x.dtype)
    return _variance(x, axes=axes, keepdims=keepdims)


@export("ops.std", "ops.numpy.std")
def std(x, axis=None, keepdims=False):
    """The square root of the variance over `axis`."""
    return elementwise.sqrt(var(x, axis, keepdims))


@export("ops.prod", "ops.numpy.prod")
def prod(x, axis=None, keepdims=False, dtype=None):
    """The product over `axis`, as `dtype` if given."""
    x = widened(x) if dtype is None else to_tensor(to_tensor(x), dtypes.standardize_dtype(dtype))
    return _prod(
        x, axes=shapes.canonical_axes(axis, len(x.shape), "keras.ops.prod"), keepdims=keepdims
    )


@export("ops.average", "ops.numpy.average")
def average(x, axis=None, weights=None):
    """`sum(x * weights) / sum(weights)` over `axis`; without weights, the mean.

    Weights with fewer axes than `x` are one-dimensional, along `axis`.
    """
    if weights is None:
        return mean(float_tensor(x), axis)
    x, weights = to_tensor(x), to_tensor(weights)
    dtype = dtypes.result_type(x.dtype, weights.dtype, float)
    x, weights = to_tensor(x, dtype), to_tensor(weights, dtype)
    if axis is None or len(weights.shape) == len(x.shape):
        return elementwise.divide(sum(elementwise.multiply(x, weights), axis), sum(weights, axis))
    axis = shapes.canonical_axis(axis, len(x.shape), "keras.ops.average")
    size = x.shape[axis]
    if (
        len(weights.shape) != 1
        or None not in (size, weights.shape[0])
        and (weights.shape[0] != size)
    ):
        raise ValueError(
            "keras.ops.average: `weights` must have the shape of `x`, or one axis of the size "
            f"of `axis`. Received: x.shape={x.shape}, weights.shape={weights.shape}, axis={axis}"
        )
    index = (slice(None),) + (None,) * (len(x.shape) - axis - 1)
    total = sum(elementwise.multiply(x, weights[index]), axis)
    return elementwise.divide(total, sum(weights))


@export("ops.count_nonzero", "ops.numpy.count_nonzero")
def count_nonzero(x, axis=None):
    """How many values over `axis` are not 0 (int32)."""
    return sum(comparison.logical_or(x, False), axis)


# --- extrema --------------------------------------------------------------------------------


def _extremum(name, kernel):
    @primitive(name, spec=_spec, tangent=_reducing)
    def rule(k, x, *, axes, keepdims):
        if not x.size:
            raise ValueError(
                f"keras.ops.{name}: `x` must not be empty. Received: x.shape={x.shape}"
            )
        y = getattr(k, kernel)(x, axes, keepdims)
        kept = shapes.reduced(x.shape, axes, keepdims=True)

        def backward(dy, needs):
            # Values that tie share the gradient equally, as in TensorFlow.
            hits = k.cast(k.map_scalar(scalar.equal, x, y.reshape(kept)), x.dtype)
            share = k.map_scalar(scalar.divide, dy.reshape(kept), k.sum(hits, axes, True))
            return (k.map_scalar(scalar.multiply, hits, share),)

        return y, backward

    return rule


_max = _extremum("max", "max")
_min = _extremum("min", "min")


def _largest(x, axis, keepdims, initial, owner, run, either):
    x = to_tensor(x)
    axes = shapes.canonical_axes(axis, len(x.shape), owner)
    if initial is not None and 0 in x.shape:
        reduced = shapes.reduced(x.shape, axes, keepdims)
        if 0 not in reduced and None not in reduced:
            return repetition.broadcast_to(to_tensor(initial, x.dtype), reduced)
    y = run(x, axes=axes, keepdims=keepdims)
    if initial is None:
        return y
    if x.dtype == "bool":
        return to_tensor(either(to_tensor(y, "int32"), to_tensor(initial, "int32")), "bool")
    return either(y, to_tensor(initial, x.dtype))


@export("ops.max", "ops.numpy.max")
def max(x, axis=None, keepdims=False, initial=None):
    """The largest value over `axis`, at least `initial` if given.

    Raises: ValueError for an empty `x`.
    """
    return _largest(x, axis, keepdims, initial, "keras.ops.max", _max, elementwise.maximum)


@export("ops.min", "ops.numpy.min")
def min(x, axis=None, keepdims=False, initial=None):
    """The smallest value over `axis`, at most `initial` if given.

    Raises: ValueError for an empty `x`.
    """
    return _largest(x, axis, keepdims, initial, "keras.ops.min", _min, elementwise.minimum)


@export("ops.amax", "ops.numpy.amax")
def amax(x, axis=None, keepdims=False):
    """The largest value over `axis`."""
    return _largest(x, axis, keepdims, None, "keras.ops.amax", _max, None)


@export("ops.amin", "ops.numpy.amin")
def amin(x, axis=None, keepdims=False):
    """The smallest value over `axis`."""
    return _largest(x, axis, keepdims, None, "keras.ops.amin", _min, None)


@export("ops.ptp", "ops.numpy.ptp")
def ptp(x, axis=None, keepdims=False):
    """The largest less the smallest value over `axis`."""
    return elementwise.subtract(max(x, axis, keepdims), min(x, axis, keepdims))


def _place_spec(x, *, axis, keepdims):
    axes = tuple(range(len(x.shape))) if axis is None else (axis,)
    return shapes.reduced(x.shape, axes, keepdims), "int32"


@primitive("argmax", spec=_place_spec, tangent=tangents.without_gradient("whole numbers come out"))
def _argmax(k, x, *, axis, keepdims):
    return k.argmax(x, axis, keepdims), None


@primitive("argmin", spec=_place_spec, tangent=tangents.without_gradient("whole numbers come out"))
def _argmin(k, x, *, axis, keepdims):
    return k.argmin(x, axis, keepdims), None


@export("ops.argmax", "ops.numpy.argmax")
def argmax(x, axis=None, keepdims=False):
    """Where along `axis` the first of the largest values is (int32); None: in the flat tensor."""
    x = to_tensor(x)
    if axis is not None:
        axis = shapes.canonical_axis(axis, len(x.shape), "keras.ops.argmax")
    return _argmax(x, axis=axis, keepdims=keepdims)


@export("ops.argmin", "ops.numpy.argmin")
def argmin(x, axis=None, keepdims=False):
    """Where along `axis` the first of the smallest values is (int32); None: in the flat tensor."""
    x = to_tensor(x)
    if axis is not None:
        axis = shapes.canonical_axis(axis, len(x.shape), "keras.ops.argmin")
    return _argmin(x, axis=axis, keepdims=keepdims)


# --- truth ----------------------------------------------------------------------------------


@primitive("all", spec=_spec, tangent=tangents.without_gradient("booleans come out"))
def _all(k, x, *, axes, keepdims):
    return k.all(x, axes, keepdims), None


@primitive("any", spec=_spec, tangent=tangents.without_gradient("booleans come out"))
def _any(k, x, *, axes, keepdims):
    return k.any(x, axes, keepdims), None


@export("ops.all", "ops.numpy.all")
def all(x, axis=None, keepdims=False):
    """Whether every value over `axis` is true (not 0)."""
    x = bool_tensor(x)
    return _all(
        x, axes=shapes.canonical_axes(axis, len(x.shape), "keras.ops.all"), keepdims=keepdims
    )


@export("ops.any", "ops.numpy.any")
def any(x, axis=None, keepdims=False):
    """Whether some value over `axis` is true (not 0)."""
    x = bool_tensor(x)
    return _any(
        x, axes=shapes.canonical_axes(axis, len(x.shape), "keras.ops.any"), keepdims=keepdims
    )


@export("ops.allclose", "ops.numpy.allclose")
def allclose(x1, x2, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether all values are close (see `isclose`) or equal, as infinities may be."""
    close = comparison.isclose(x1, x2, rtol, atol, equal_nan)
    return all(comparison.logical_or(close, comparison.equal(x1, x2)))


# --- cumulative -----------------------------------------------------------------------------


def _flat_or_same(x, *, axis):
    return (shapes.size_of(x.shape),) if axis is None else x.shape, x.dtype


@primitive("cumsum", spec=_flat_or_same, tangent=tangents.linear)
def _cumsum(k, x, *, axis):
    shape = x.shape

    def backward(dy, needs):
        # x_i is part of every sum from the i-th on.
        return (k.cumsum(dy, 0 if axis is None else axis, True).reshape(shape),)

    return k.cumsum(x, axis), backward


@primitive("cumprod", spec=_flat_or_same)
def _cumprod(k, x, *, axis):
    y = k.cumprod(x, axis)

    def backward(dy, needs):
        # d y_j / d x_i = y_j / x_i for j >= i; TensorFlow too gives 0 where x_i is 0.
        products = k.map_scalar(scalar.multiply, y, dy)
        sums = k.cumsum(products, 0 if axis is None else axis, True).reshape(x.shape)
        zero = k.map_scalar(scalar.equal, x, 0)
        quotients = k.map_scalar(scalar.divide, sums, k.where(zero, 1, x))
        return (k.where(zero, 0, quotients),)

    return y, backward


@_cumprod.forward
def _cumprod_tangent(k, inputs, changes, y, *, axis):
    # d y_j = y_j sum of dx_i / x_i for i <= j; as in backward, an x_i that is 0 adds nothing
    (x,), (dx,) = inputs, changes
    zero = x == 0
    shares = np.where(zero, 0, dx / np.where(zero, 1, x)).astype(x.dtype)
    return y * k.cumsum(shares, axis)


def _cumulative(run, x, axis, dtype, owner):
    x = to_tensor(x)
    if dtype is not None:
        x = to_tensor(x, dtypes.standardize_dtype(dtype))
    if x.dtype == "bool":
        x = to_tensor(x, "int32")
    if isinstance(axis, (tuple, list)) and len(axis) == 1:
        (axis,) = axis
    if axis is not None:
        axis = shapes.canonical_axis(axis, len(x.shape), owner)
    return run(x, axis=axis)


@export("ops.cumsum", "ops.numpy.cumsum")
def cumsum(x, axis=None, dtype=None):
    """Along `axis`, the sum of all values up to each place; None: of the flat tensor."""
    return _cumulative(_cumsum, x, axis, dtype, "keras.ops.cumsum")


@export("ops.cumprod", "ops.numpy.cumprod")
def cumprod(x, axis=None, dtype=None):
    """Along `axis`, the product of all values up to each place; None: of the flat tensor."""
    return _cumulative(_cumprod, x, axis, dtype, "keras.ops.cumprod")
