"""Losses between numbers: squared, absolute, relative and logarithmic errors, Huber, cosine."""

from __future__ import annotations

import math

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import config
from kerasmirror.losses.loss import NamedLoss, squeeze_or_expand_to_same_rank
from kerasmirror.ops.tensor import to_tensor


def aligned(y_true, y_pred):
    """Both as tensors of the dtype of `y_pred` and of one rank."""
    y_pred = to_tensor(y_pred)
    return squeeze_or_expand_to_same_rank(to_tensor(y_true, y_pred.dtype), y_pred)


@export("losses.mean_squared_error", "metrics.mean_squared_error")
def mean_squared_error(y_true, y_pred):
    """`mean((y_true - y_pred)^2)` over the last axis."""
    y_true, y_pred = aligned(y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


@export("losses.mean_absolute_error", "metrics.mean_absolute_error")
def mean_absolute_error(y_true, y_pred):
    """`mean(|y_true - y_pred|)` over the last axis."""
    y_true, y_pred = aligned(y_true, y_pred)
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


@export("losses.mean_absolute_percentage_error", "metrics.mean_absolute_percentage_error")
def mean_absolute_percentage_error(y_true, y_pred):
    """`100 * mean(|(y_true - y_pred) / max(|y_true|, epsilon)|)` over the last axis."""
    y_true, y_pred = aligned(y_true, y_pred)
    scale = ops.maximum(ops.abs(y_true), config.epsilon())
    return 100.0 * ops.mean(ops.abs((y_true - y_pred) / scale), axis=-1)


@export("losses.mean_squared_logarithmic_error", "metrics.mean_squared_logarithmic_error")
def mean_squared_logarithmic_error(y_true, y_pred):
    """`mean((log(y_pred + 1) - log(y_true + 1))^2)` over the last axis, from epsilon upwards."""
    y_true, y_pred = aligned(y_true, y_pred)
    epsilon = config.epsilon()
    log_pred = ops.log(ops.maximum(y_pred, epsilon) + 1.0)
    log_true = ops.log(ops.maximum(y_true, epsilon) + 1.0)
    return ops.mean(ops.square(log_pred - log_true), axis=-1)


@export("losses.cosine_similarity")
def cosine_similarity(y_true, y_pred, axis=-1):
    """`-sum(u * v)` along `axis`, u and v the two vectors at length 1: -1 is the same direction."""
    y_true, y_pred = aligned(y_true, y_pred)
    return -ops.sum(ops.normalize(y_true, axis) * ops.normalize(y_pred, axis), axis=axis)


@export("losses.huber", "metrics.huber")
def huber(y_true, y_pred, delta=1.0):
    """Mean over the last axis of `e^2 / 2` where |e| <= delta, else `delta * |e| - delta^2 / 2`.

    Source: Huber 1964, https://doi.org/10.1214/aoms/1177703732.
    """
    y_true, y_pred = aligned(y_true, y_pred)
    error = y_pred - y_true
    size = ops.abs(error)
    values = ops.where(size <= delta, 0.5 * ops.square(error), delta * size - 0.5 * delta * delta)
    return ops.mean(values, axis=-1)


@export("losses.log_cosh", "metrics.log_cosh")
def log_cosh(y_true, y_pred):
    """`mean(log(cosh(e)))` over the last axis, as `e + softplus(-2 e) - log 2`: cosh overflows."""
    y_true, y_pred = aligned(y_true, y_pred)
    error = y_pred - y_true
    return ops.mean(error + ops.softplus(error * -2.0) - math.log(2.0), axis=-1)


@export("losses.MeanSquaredError")
class MeanSquaredError(NamedLoss):
    """Loss of `mean((y_true - y_pred)^2)`. Source: Keras 3.15 `keras.losses.MeanSquaredError`."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_squared_error", dtype=None):
        super().__init__(mean_squared_error, name=name, reduction=reduction, dtype=dtype)


@export("losses.MeanAbsoluteError")
class MeanAbsoluteError(NamedLoss):
    """Loss of `mean(|y_true - y_pred|)`. Source: Keras 3.15 `keras.losses.MeanAbsoluteError`."""

    def __init__(self, reduction="sum_over_batch_size", name="mean_absolute_error", dtype=None):
        super().__init__(mean_absolute_error, name=name, reduction=reduction, dtype=dtype)


@export("losses.MeanAbsolutePercentageError")
class MeanAbsolutePercentageError(NamedLoss):
    """Loss of `100 * mean(|(y_true - y_pred) / y_true|)`.

    Source: Keras 3.15 `keras.losses.MeanAbsolutePercentageError`.
    """

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_absolute_percentage_error", dtype=None
    ):
        super().__init__(
            mean_absolute_percentage_error, name=name, reduction=reduction, dtype=dtype
        )


@export("losses.MeanSquaredLogarithmicError")
class MeanSquaredLogarithmicError(NamedLoss):
    """Loss of `mean((log(y_true + 1) - log(y_pred + 1))^2)`.

    Source: Keras 3.15 `keras.losses.MeanSquaredLogarithmicError`.
    """

    def __init__(
        self, reduction="sum_over_batch_size", name="mean_squared_logarithmic_error", dtype=None
    ):
        super().__init__(
            mean_squared_logarithmic_error, name=name, reduction=reduction, dtype=dtype
        )


@export("losses.CosineSimilarity")
class CosineSimilarity(NamedLoss):
    """Minus the cosine of the angle between `y_true` and `y_pred`, so that training aligns them.

    Source: Keras 3.15 `keras.losses.CosineSimilarity`, whose saved config has no `axis`; ours has.
    """

    def __init__(
        self, axis=-1, reduction="sum_over_batch_size", name="cosine_similarity", dtype=None
    ):
        super().__init__(cosine_similarity, name=name, reduction=reduction, dtype=dtype, axis=axis)


@export("losses.Huber")
class Huber(NamedLoss):
    """Loss that is quadratic up to `delta` and linear beyond.

    Source: Keras 3.15 `keras.losses.Huber`, whose saved config has no `delta`; ours has.
    """

    def __init__(self, delta=1.0, reduction="sum_over_batch_size", name="huber_loss", dtype=None):
        super().__init__(huber, name=name, reduction=reduction, dtype=dtype, delta=delta)


@export("losses.LogCosh")
class LogCosh(NamedLoss):
    """Loss of `mean(log(cosh(y_pred - y_true)))`. Source: Keras 3.15 `keras.losses.LogCosh`."""

    def __init__(self, reduction="sum_over_batch_size", name="log_cosh", dtype=None):
        super().__init__(log_cosh, name=name, reduction=reduction, dtype=dtype)
