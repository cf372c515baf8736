"""Functions beyond NumPy's: error functions, logsumexp, the largest values, sums by segment."""

from __future__ import annotations

import math
from numbers import Integral

import ml_dtypes
import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.kernels import scalar
from kerasmirror.ops import shapes
from kerasmirror.ops.elementwise import unary
from kerasmirror.ops.numpy import comparison, elementwise, indexing, reduction, shape
from kerasmirror.ops.tensor import float_tensor, to_tensor

rsqrt = unary("rsqrt", scalar.rsqrt, scalar.rsqrt_grad, doc="`1 / sqrt(x)`.", paths=["ops.rsqrt"])
erf = unary("erf", scalar.erf, scalar.erf_grad, doc="The Gauss error function.", paths=["ops.erf"])


@export("ops.erfc")
def erfc(x):
    """`1 - erf(x)`."""
    return _erfc(float_tensor(x))


@primitive("erfc", spec=shapes.same, tangent=tangents.diagonal)
def _erfc(k, x):
    # 1 - erf(x) would lose all digits from x = 4 on; few call this, so Python's erfc is enough.
    y = np.asarray(_complement(x.astype("float64")), dtype=x.dtype)
    return y, lambda dy, needs: (
        k.map_scalar(scalar.negative, k.map_scalar(scalar.erf_grad, x, dy)),
    )


_complement = np.vectorize(math.erfc, otypes=["float64"])


@primitive("erfinv", spec=shapes.same, tangent=tangents.diagonal)
def _erfinv(k, x):
    y = _inverse_error_function(x.astype("float64")).astype(x.dtype)

    def backward(dy, needs):
        # The inverse's derivative: sqrt(pi) / 2 * e^(y^2)
        slope = k.map_scalar(scalar.exp, k.map_scalar(scalar.square, y))
        scale = np.asarray(math.sqrt(math.pi) / 2, dtype=x.dtype)
        return (k.map_scalar(scalar.multiply, dy, k.map_scalar(scalar.multiply, slope, scale)),)

    return y, backward


def _inverse_error_function(x):
    """y with erf(y) = x.

    Winitzki's formula (https://en.wikipedia.org/wiki/Error_function#Inverse_functions) to start
    from, then Halley's steps on erfc of the tail, which converge cubically.
    """
    a = 0.147
    with np.errstate(all="ignore"):
        tail = 1 - np.abs(x)
        log = np.log(tail * (2 - tail))
        b = 2 / (math.pi * a) + log / 2
        y = np.sqrt(np.sqrt(b * b - log / a) - b)
        for _ in range(3):
            step = (_complement(y) - tail) * (math.sqrt(math.pi) / 2) * np.exp(y * y)
            y = np.where(np.isfinite(step), y + step / (1 - y * np.nan_to_num(step)), y)
        y = np.where(tail == 0, np.inf, np.where(tail < 0, np.nan, y))
    return np.copysign(y, x)


@export("ops.erfinv")
def erfinv(x):
    """The value whose error function is `x`; infinite at -1 and 1, NaN beyond."""
    return _erfinv(float_tensor(x))


# --- sums and the largest -------------------------------------------------------------------


@primitive("logsumexp", spec=reduction._spec, tangent=reduction._reducing)
def _logsumexp(k, x, *, axes, keepdims):
    y = k.logsumexp(x, axes, keepdims)

    def backward(dy, needs):
        # d log(sum(e^x)) / dx = e^(x - y), the softmax
        kept = shapes.reduced(x.shape, axes, keepdims=True)
        weights = k.map_scalar(scalar.exp, k.map_scalar(scalar.subtract, x, y.reshape(kept)))
        return (k.map_scalar(scalar.multiply, weights, dy.reshape(kept)),)

    return y, backward


@export("ops.logsumexp")
def logsumexp(x, axis=None, keepdims=False):
    """`log(sum(exp(x)))` over `axis`, without overflow."""
    x = float_tensor(x)
    axes = shapes.canonical_axes(axis, len(x.shape), "keras.ops.logsumexp")
    return _logsumexp(x, axes=axes, keepdims=keepdims)


def _top_k_spec(x, *, count):
    form = (*x.shape[:-1], count)
    return [(form, x.dtype), (form, "int32")]


@primitive("top_k", spec=_top_k_spec)
def _top_k(k, x, *, count):
    values, places = k.top_k(x, count)
    form = x.shape

    def backward(dys, needs):
        if dys[0] is None:
            return (None,)
        return (k.put_along_axis_add(form, places, dys[0], len(form) - 1),)

    return (values, places), backward


@_top_k.forward
def _top_k_tangent(k, inputs, changes, y, *, count):
    return np.take_along_axis(changes[0], y[1].astype("int64"), -1), None


@export("ops.top_k")
def top_k(x, k, sorted=True):
    """The `k` largest values along the last axis, largest first, and their positions (int32).

    `sorted=False` allows any order; the one given is the same.
    Raises: ValueError when the axis is shorter than `k`.
    """
    x = to_tensor(x)
    k = int(k)
    size = x.shape[-1] if x.shape else 0
    if size is not None and not 0 <= k <= size:
        raise ValueError(
            "keras.ops.top_k: `k` must be within 0 and the size of the last axis. "
            f"Received: k={k}, x.shape={x.shape}"
        )
    return _top_k(x, count=k)


@export("ops.in_top_k")
def in_top_k(targets, predictions, k):
    """Whether fewer than `k` predictions of a row are larger than that for its target class.

    Shapes: targets (N,), predictions (N, classes), result (N,) of booleans. A row with an
    infinity or NaN, and a target that is no class, give False.
    """
    targets, predictions = to_tensor(targets), to_tensor(predictions)
    if len(targets.shape) != 1 or len(predictions.shape) != 2:
        raise ValueError(
            "keras.ops.in_top_k: `targets` must have one axis and `predictions` two. "
            f"Received: targets.shape={targets.shape}, predictions.shape={predictions.shape}"
        )
    classes = predictions.shape[1]
    is_class = comparison.logical_and(
        comparison.greater_equal(targets, 0), comparison.less(targets, classes)
    )
    places = elementwise.select_by(is_class, targets, 0)
    if isinstance(places, KerasTensor):
        return KerasTensor(targets.shape, "bool")
    own = indexing.take_along_axis(predictions, shape.expand_dims(places, 1), 1)
    larger = reduction.count_nonzero(comparison.greater(predictions, own), 1)
    finite = reduction.all(comparison.isfinite(predictions), 1)
    fits = comparison.logical_and(is_class, finite)
    return comparison.logical_and(comparison.less(larger, k), fits)


@export("ops.cdist")
def cdist(x, y):
    """The Euclidean distance of each row of `x` to each row of `y`.

    Raises: ValueError for fewer than two axes, or rows of different sizes.
    """
    x, y = to_tensor(x), to_tensor(y)
    if len(x.shape) < 2 or len(y.shape) < 2 or x.shape[-1] != y.shape[-1]:
        raise ValueError(
            "keras.ops.cdist: both operands must have at least 2 axes and one size of rows. "
            f"Received: x.shape={x.shape}, y.shape={y.shape}"
        )
    apart = elementwise.subtract(shape.expand_dims(x, -2), shape.expand_dims(y, -3))
    return elementwise.sqrt(reduction.sum(elementwise.square(apart), -1))


def positive_step(value, owner, name="sequence_stride"):
    """`value`, the argument called `name`, which must be an int of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        raise ValueError(
            f"{owner}: `{name}` must be a positive integer. Received: {name}={value!r}"
        )
    return int(value)


@export("ops.extract_sequences")
def extract_sequences(x, sequence_length, sequence_stride):
    """Windows of the last axis: `sequence_length` values, one window every `sequence_stride`."""
    x = to_tensor(x)
    if not x.shape:
        raise ValueError(
            "keras.ops.extract_sequences: Input should have rank >= 1. "
            f"Received: x.shape={tuple(x.shape)}"
        )
    sequence_stride = positive_step(sequence_stride, "keras.ops.extract_sequences")
    positive_step(sequence_length, "keras.ops.extract_sequences", "sequence_length")
    size = x.shape[-1]
    if size is None:
        return KerasTensor((*x.shape[:-1], None, sequence_length), x.dtype)
    count = max(0, 1 + (size - sequence_length) // sequence_stride)
    starts = np.arange(count)[:, None] * sequence_stride
    return indexing.take(x, starts + np.arange(sequence_length), axis=-1)


# --- segments -------------------------------------------------------------------------------


def _segment_spec(data, segment_ids, *, count, reduction):
    return (count, *data.shape[1:]), data.dtype


@primitive("segment", spec=_segment_spec)
def _segment(k, data, segment_ids, *, count, reduction):
    inside = (segment_ids >= 0) & (segment_ids < count)
    ids, values = segment_ids[inside], data[inside]
    form = (count, *data.shape[1:])
    start = np.full(form, _neutral(reduction, data.dtype), data.dtype)
    y = k.add_at(form, ids, values, reduction, start)

    def backward(dy, needs):
        dx = k.zeros(data.shape, data.dtype)
        if reduction == "add":
            dx[inside] = dy[ids]
        elif reduction == "mul":
            dx[inside] = dy[ids] * _products_of_others(k, values, ids, form)
        else:
            hits = (values == y[ids]).astype(data.dtype)
            share = dy / np.maximum(k.add_at(form, ids, hits), data.dtype.type(1))
            dx[inside] = hits * share[ids]
        return dx, None

    return y, backward


@_segment.forward
def _segment_tangent(k, inputs, changes, y, *, count, reduction):
    data, segment_ids = inputs
    inside = (segment_ids >= 0) & (segment_ids < count)
    ids, values, dx = segment_ids[inside], data[inside], changes[0][inside]
    form = (count, *data.shape[1:])
    if reduction == "mul":
        dx = dx * _products_of_others(k, values, ids, form)
    elif reduction != "add":
        hits = (values == y[ids]).astype(data.dtype)
        dx = dx * hits / np.maximum(k.add_at(form, ids, hits), data.dtype.type(1))[ids]
    return k.add_at(form, ids, dx)


def _neutral(reduction, dtype):
    if reduction == "add":
        return 0
    if reduction == "mul":
        return 1
    # TensorFlow fills segments without members with the type's own limits, not infinities.
    info = np.iinfo(dtype) if dtype.kind in "iu" else ml_dtypes.finfo(dtype)
    return info.min if reduction == "max" else info.max


def _products_of_others(k, values, ids, form):
    """For each value the product of the others in its segment, right at zeros too."""
    zero = values == 0
    one = values.dtype.type(1)
    solid = k.add_at(form, ids, np.where(zero, one, values), "mul", np.ones(form, values.dtype))
    zeros = k.add_at(form, ids, zero.astype(values.dtype))[ids]
    others = solid[ids] / np.where(zero, one, values)
    return np.where(zeros - zero > 0, values.dtype.type(0), others)


def _by_segment(data, segment_ids, num_segments, sorted, how, owner):
    data, segment_ids = to_tensor(data), to_tensor(segment_ids)
    if len(segment_ids.shape) != 1 or not data.shape:
        raise ValueError(
            f"{owner}: Argument `segment_ids` should be an 1-D vector, with one id for each row of "
            f"`data`. Received: data.shape={tuple(data.shape)}, "
            f"segment_ids.shape={tuple(segment_ids.shape)}"
        )
    rows, ids = data.shape[0], segment_ids.shape[0]
    if None not in (rows, ids) and rows != ids:
        raise ValueError(
            f"{owner}: Argument `segment_ids` and `data` should have same leading dimension. "
            f"Received: data.shape={tuple(data.shape)}, "
            f"segment_ids.shape={tuple(segment_ids.shape)}"
        )
    if num_segments is None and not isinstance(segment_ids, KerasTensor):
        ids = segment_ids.data
        num_segments = int(ids.max()) + 1 if ids.size else 0
    return _segment(data, segment_ids, count=num_segments, reduction=how)


@export("ops.segment_sum")
def segment_sum(data, segment_ids, num_segments=None, sorted=False):
    """Row s: the sum of the rows of `data` whose segment is s; negative segments count nowhere.

    `sorted` promises ascending ids, on which nothing depends here. Without `num_segments` there
    are as many as the ids need.
    """
    return _by_segment(data, segment_ids, num_segments, sorted, "add", "keras.ops.segment_sum")


@export("ops.segment_max")
def segment_max(data, segment_ids, num_segments=None, sorted=False):
    """Row s: the largest of the rows of `data` whose segment is s."""
    return _by_segment(data, segment_ids, num_segments, sorted, "max", "keras.ops.segment_max")


@export("ops.segment_min")
def segment_min(data, segment_ids, num_segments=None, sorted=False):
    """Row s: the smallest of the rows of `data` whose segment is s."""
    return _by_segment(data, segment_ids, num_segments, sorted, "min", "keras.ops.segment_min")


@export("ops.segment_prod")
def segment_prod(data, segment_ids, num_segments=None, sorted=False):
    """Row s: the product of the rows of `data` whose segment is s."""
    return _by_segment(data, segment_ids, num_segments, sorted, "mul", "keras.ops.segment_prod")
