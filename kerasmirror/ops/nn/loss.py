"""Cross-entropies, from logits or from probabilities.

A softmax or sigmoid leaves its logits on its result (`Tensor.logits`), and the cross-entropies
use them: log(softmax(x)) is exact where log(clip(p)) has lost the small probabilities.
Source: Keras 3.15 `keras.ops` on TensorFlow, whose gradients these are too.
"""

from __future__ import annotations

import warnings

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import config
from kerasmirror.core.device import contiguous
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.kernels import scalar
from kerasmirror.ops import shapes
from kerasmirror.ops.nn.precision import narrowed, widened
from kerasmirror.ops.numpy.shape import moveaxis
from kerasmirror.ops.tensor import float_tensor, to_tensor


@export("ops.categorical_crossentropy", "ops.nn.categorical_crossentropy")
def categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """`-sum(target * log(p))` along `axis`, p the probabilities or `softmax(logits)`.

    Probabilities are first divided by their sum, then clipped to [epsilon, 1 - epsilon].
    Shapes: target and output alike, (..., K); result without `axis`.
    Raises: ValueError when the shapes differ or have no axes.
    """
    name = "categorical_crossentropy"
    target, output = float_tensor(target), float_tensor(output)
    _check_same_shape(target, output, f"ops.{name}")
    if not len(output.shape):
        raise ValueError(
            f"ops.{name}: `target` and `output` must have at least one axis. "
            f"Received: target.shape={tuple(target.shape)}, output.shape={tuple(output.shape)}"
        )
    axis = shapes.canonical_axis(axis, len(output.shape), f"ops.{name}")
    output, from_logits = _find_logits(output, from_logits, "Softmax", name)
    target = to_tensor(target, output.dtype)
    if from_logits:
        return _from_logits(target, output, axis=axis)
    return _from_probabilities(target, output, axis=axis, epsilon=config.epsilon())


@export("ops.sparse_categorical_crossentropy", "ops.nn.sparse_categorical_crossentropy")
def sparse_categorical_crossentropy(target, output, from_logits=False, axis=-1):
    """`-log(p[target])` of each row, p the probabilities or `softmax(logits)` along `axis`.

    Probabilities are clipped to [epsilon, 1 - epsilon], then divided by their sum.
    Shapes: target (...) or (..., 1) of class numbers, output with K classes along `axis`, result
    as output without it.
    Raises: ValueError when shapes do not fit, or a class number is not in [0, K): Keras on
    TensorFlow raises or gives NaN there, by device.
    """
    name = "sparse_categorical_crossentropy"
    owner = f"ops.{name}"
    target = Tensor(target) if type(target) is np.ndarray else to_tensor(target)
    output = float_tensor(output)
    rank = len(output.shape)
    if rank < 1:
        raise ValueError(
            f"{owner}: `output` must have at least one axis. "
            f"Received: output.shape={tuple(output.shape)}"
        )
    output, from_logits = _find_logits(output, from_logits, "Softmax", name)
    if axis != -1:
        axis = shapes.canonical_axis(axis, rank, owner)
        output = moveaxis(output, axis, -1) if axis != rank - 1 else output
    rows, expected = tuple(target.shape), tuple(output.shape[:-1])
    if len(rows) == rank and rows[-1] == 1:
        rows = rows[:-1]
    if not _compatible(rows, expected):
        raise ValueError(
            f"{owner}: `target` must have the shape of `output` without its last axis. Received: "
            f"target.shape={tuple(target.shape)}, output.shape={tuple(output.shape)}"
        )
    if isinstance(target, KerasTensor) or isinstance(output, KerasTensor):
        return KerasTensor(expected, output.dtype)
    labels = checked_labels(target.data, rows, output.shape[-1], owner)
    if from_logits:
        return _sparse_from_logits(output, labels=labels)
    return _sparse_from_probabilities(output, labels=labels, epsilon=config.epsilon())


@export("ops.binary_crossentropy", "ops.nn.binary_crossentropy")
def binary_crossentropy(target, output, from_logits=False):
    """`-(t * log(p) + (1 - t) * log(1 - p))` of each element, p a probability or `sigmoid(logit)`.

    Probabilities are clipped to [epsilon, 1 - epsilon].
    Raises: ValueError when the shapes differ.
    """
    name = "binary_crossentropy"
    target, output = float_tensor(target), float_tensor(output)
    _check_same_shape(target, output, f"ops.{name}")
    output, from_logits = _find_logits(output, from_logits, "Sigmoid", name)
    target = to_tensor(target, output.dtype)
    if from_logits:
        return _binary_from_logits(target, output)
    return _binary_from_probabilities(target, output, epsilon=config.epsilon())


def _find_logits(output, from_logits, kind, name):
    logits = getattr(output, "logits", None)
    if logits is None:
        return output, from_logits
    if from_logits:
        warnings.warn(
            f'"`{name}` received `from_logits=True`, but the `output` argument was produced by a '
            f"{kind} activation and thus does not represent logits. Was this intended?",
            stacklevel=3,
        )
    return logits, True


def _check_same_shape(target, output, owner):
    if not _compatible(target.shape, output.shape):
        raise ValueError(
            f"{owner}: `target` and `output` must have the same shape. "
            f"Received: target.shape={tuple(target.shape)}, output.shape={tuple(output.shape)}"
        )


def _compatible(first, second):
    return len(first) == len(second) and all(
        a is None or b is None or a == b for a, b in zip(first, second, strict=True)
    )


def checked_labels(labels, shape, classes, owner):
    """The labels as int64; a class number that is none is refused before anything is computed.

    Those on a GPU are not looked at, which would wait for it: the loss of such a label is NaN.
    `fit` looks at them before they go there.
    """
    if not isinstance(labels, np.ndarray):
        return labels.astype(np.int64).reshape(shape)
    if labels.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            labels = labels.astype(np.int64)
    labels = labels.astype(np.int64, copy=False).reshape(shape)
    # As unsigned numbers, negative ones are huge: the largest tells of both kinds.
    unsigned = labels.view(np.uint64)
    if labels.size and unsigned.max() >= classes:
        outside = unsigned >= classes
        raise ValueError(
            f"{owner}: `target` must hold class numbers from 0 to {classes - 1}, as `output` has "
            f"{classes} classes. Received: label {labels[outside].flat[0]} "
            f"at position {tuple(int(i) for i in np.argwhere(outside)[0])}"
        )
    return labels


# --- categorical ----------------------------------------------------------------------------


def _rows_spec(target, output, *, axis, epsilon=None):
    return (*output.shape[:axis], *output.shape[axis + 1 :]), output.dtype


def _axis_last(x, axis):
    return x if axis == x.ndim - 1 else contiguous(np.moveaxis(x, axis, -1))


def _axis_back(x, axis):
    return x if axis == x.ndim - 1 else contiguous(np.moveaxis(x, -1, axis))


_by_rows = tangents.reducing(lambda options: options.get("axis", -1))


@primitive("cross_entropy_from_logits", spec=_rows_spec, tangent=_by_rows)
def _from_logits(k, target, logits, *, axis):
    dtype = logits.dtype
    target, logits = (_axis_last(part, axis) for part in widened(target, logits))
    loss, p = k.cross_entropy_from_logits(logits, target)

    def backward(dy, needs):
        (dy,) = widened(dy)
        dtarget = dlogits = None
        if needs[0]:
            dtarget = k.log_softmax(logits) * -dy[..., None]
            dtarget = narrowed(_axis_back(dtarget, axis), dtype)
        if needs[1]:
            dlogits = k.cross_entropy_from_logits_grad(dy, p, target)
            dlogits = narrowed(_axis_back(dlogits, axis), dtype)
        return dtarget, dlogits

    return narrowed(loss, dtype), backward


@primitive("cross_entropy", spec=_rows_spec, tangent=_by_rows)
def _from_probabilities(k, target, output, *, axis, epsilon):
    dtype = output.dtype
    target, output = widened(target, output)
    low, high = output.dtype.type(epsilon), output.dtype.type(1 - epsilon)
    with np.errstate(divide="ignore", invalid="ignore"):
        total = k.sum(output, axis, True)
        p = output / total
        clipped = k.clip(p, float(low), float(high))
        log_p = np.log(clipped)
    loss = -k.sum(target * log_p, axis, False)

    def backward(dy, needs):
        dy = np.expand_dims(widened(dy)[0], axis)
        dtarget = doutput = None
        if needs[0]:
            dtarget = narrowed(-dy * log_p, dtype)
        if needs[1]:
            # A clipped p is constant; p = output / total pulls along the row's mean.
            dp = np.where((p < low) | (p > high), 0, -dy * target / clipped)
            doutput = (dp - k.sum(dp * p, axis, True)) / total
            doutput = narrowed(doutput, dtype)
        return dtarget, doutput

    return narrowed(loss, dtype), backward


# --- sparse categorical ---------------------------------------------------------------------


def _sparse_spec(output, *, labels, epsilon=None):
    return output.shape[:-1], output.dtype


@primitive("sparse_cross_entropy_from_logits", spec=_sparse_spec, tangent=_by_rows)
def _sparse_from_logits(k, logits, *, labels):
    dtype = logits.dtype
    loss, p = k.sparse_cross_entropy_from_logits(*widened(logits), labels)

    def backward(dy, needs):
        dlogits = k.sparse_cross_entropy_from_logits_grad(*widened(dy), p, labels)
        return (narrowed(dlogits, dtype),)

    return narrowed(loss, dtype), backward


@primitive("sparse_cross_entropy", spec=_sparse_spec, tangent=_by_rows)
def _sparse_from_probabilities(k, output, *, labels, epsilon):
    dtype = output.dtype
    (output,) = widened(output)
    low, high = output.dtype.type(epsilon), output.dtype.type(1 - epsilon)
    clipped = k.clip(output, float(low), float(high))
    # Keras takes log(p) for logits; their softmax divides p by its sum.
    loss, p = k.sparse_cross_entropy_from_logits(np.log(clipped), labels)

    def backward(dy, needs):
        dlog = k.sparse_cross_entropy_from_logits_grad(*widened(dy), p, labels)
        outside = (output < low) | (output > high)
        return (narrowed(np.where(outside, 0, dlog / clipped).astype(p.dtype), dtype),)

    return narrowed(loss, dtype), backward


# --- binary ---------------------------------------------------------------------------------


@primitive("binary_cross_entropy_from_logits", spec=shapes.same, tangent=tangents.diagonal)
def _binary_from_logits(k, target, logits):
    # max(x, 0) - x t + log(1 + e^-|x|) = softplus(x) - x t.
    dtype = logits.dtype
    target, logits = widened(target, logits)
    loss = k.map_scalar(scalar.softplus, logits) - logits * target

    def backward(dy, needs):
        (dy,) = widened(dy)
        dtarget = dlogits = None
        if needs[0]:
            dtarget = narrowed(-dy * logits, dtype)
        if needs[1]:
            dlogits = narrowed(dy * (k.map_scalar(scalar.sigmoid, logits) - target), dtype)
        return dtarget, dlogits

    return narrowed(loss, dtype), backward


@primitive("binary_cross_entropy", spec=shapes.same, tangent=tangents.diagonal)
def _binary_from_probabilities(k, target, output, *, epsilon):
    dtype = output.dtype
    target, output = widened(target, output)
    low, high = output.dtype.type(epsilon), output.dtype.type(1 - epsilon)
    p = k.clip(output, float(low), float(high))
    one = output.dtype.type(1)
    log_p, log_q = np.log(p), np.log(one - p)
    loss = -(target * log_p + (one - target) * log_q)

    def backward(dy, needs):
        (dy,) = widened(dy)
        dtarget = doutput = None
        if needs[0]:
            dtarget = narrowed(dy * (log_q - log_p), dtype)
        if needs[1]:
            outside = (output < low) | (output > high)
            slope = (one - target) / (one - p) - target / p
            doutput = narrowed(np.where(outside, 0, dy * slope).astype(p.dtype), dtype)
        return dtarget, doutput

    return narrowed(loss, dtype), backward
