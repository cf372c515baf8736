"""Metrics of errors between numbers, and the coefficient of determination."""

from __future__ import annotations

import warnings

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core.tensor import Tensor
from kerasmirror.losses.regression import (
    aligned,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from kerasmirror.metrics.on_host import HostMetric, on_host
from kerasmirror.metrics.reduction import Mean, NamedMean, as_array, same_rank


@export("metrics.MeanSquaredError")
class MeanSquaredError(NamedMean):
    """The mean of `(y_true - y_pred)^2`. Source: Keras 3.15 `keras.metrics.MeanSquaredError`."""

    def __init__(self, name="mean_squared_error", dtype=None):
        super().__init__(mean_squared_error, name=name, dtype=dtype)


@export("metrics.MeanAbsoluteError")
class MeanAbsoluteError(NamedMean):
    """The mean of `|y_true - y_pred|`. Source: Keras 3.15 `keras.metrics.MeanAbsoluteError`."""

    def __init__(self, name="mean_absolute_error", dtype=None):
        super().__init__(mean_absolute_error, name=name, dtype=dtype)


@export("metrics.MeanAbsolutePercentageError")
class MeanAbsolutePercentageError(NamedMean):
    """The mean of `100 * |(y_true - y_pred) / y_true|`.

    Source: Keras 3.15 `keras.metrics.MeanAbsolutePercentageError`.
    """

    def __init__(self, name="mean_absolute_percentage_error", dtype=None):
        super().__init__(mean_absolute_percentage_error, name=name, dtype=dtype)


@export("metrics.MeanSquaredLogarithmicError")
class MeanSquaredLogarithmicError(NamedMean):
    """The mean of `(log(y_true + 1) - log(y_pred + 1))^2`.

    Source: Keras 3.15 `keras.metrics.MeanSquaredLogarithmicError`.
    """

    def __init__(self, name="mean_squared_logarithmic_error", dtype=None):
        super().__init__(mean_squared_logarithmic_error, name=name, dtype=dtype)


@export("metrics.RootMeanSquaredError")
class RootMeanSquaredError(Mean):
    """The root of the mean of `(y_true - y_pred)^2`.

    Source: Keras 3.15 `keras.metrics.RootMeanSquaredError`.
    """

    def __init__(self, name="root_mean_squared_error", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = same_rank(as_array(y_true, self._dtype), as_array(y_pred, self._dtype))
        super().update_state(Tensor(np.square(y_pred - y_true)), sample_weight)

    def result(self):
        return Tensor(np.sqrt(super().result().data))


def _cosine(y_true, y_pred, axis=-1):
    """`sum(u * v)` along `axis`, u and v the two vectors at length 1."""
    y_true, y_pred = aligned(y_true, y_pred)
    return ops.sum(ops.normalize(y_true, axis) * ops.normalize(y_pred, axis), axis=axis)


@export("metrics.CosineSimilarity")
class CosineSimilarity(NamedMean):
    """The mean cosine of the angle between targets and predictions, along `axis`.

    Source: Keras 3.15 `keras.metrics.CosineSimilarity`, whose saved config has no `axis`; ours has.
    """

    def __init__(self, name="cosine_similarity", dtype=None, axis=-1):
        super().__init__(_cosine, name=name, dtype=dtype, axis=axis)


@export("metrics.LogCoshError")
class LogCoshError(NamedMean):
    """The mean of `log(cosh(y_pred - y_true))`. Source: Keras 3.15 `keras.metrics.LogCoshError`."""

    def __init__(self, name="logcosh", dtype=None):
        super().__init__(log_cosh, name=name, dtype=dtype)


@export("metrics.R2Score")
class R2Score(HostMetric):
    """`1 - sum((y_true - y_pred)^2) / sum((y_true - mean)^2)` of each output: the explained share.

    Args: class_aggregation combines the outputs: "uniform_average", "variance_weighted_average",
    or None to keep them. With `num_regressors` p > 0 and n values, the adjusted score
    `1 - (1 - R2) * (n - 1) / (n - p - 1)`.
    Shapes: y_true and y_pred (batch, outputs).
    Raises: ValueError for another aggregation, a negative number, or other shapes.
    Source: Keras 3.15 `keras.metrics.R2Score`.
    """

    def __init__(
        self, class_aggregation="uniform_average", num_regressors=0, name="r2_score", dtype=None
    ):
        super().__init__(name=name, dtype=dtype)
        allowed = (None, "uniform_average", "variance_weighted_average")
        if class_aggregation not in allowed:
            raise ValueError(
                "R2Score: Invalid value for argument `class_aggregation`, it must be one of "
                f"{allowed}. Received: class_aggregation={class_aggregation!r}"
            )
        if num_regressors < 0:
            raise ValueError(
                "R2Score: Invalid value for argument `num_regressors`, it must be at least 0. "
                f"Received: num_regressors={num_regressors}"
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors
        self.num_samples = self.add_variable((), "zeros", name="num_samples")
        self._built = False

    def _build(self, y_true, y_pred):
        if y_true.ndim != 2 or y_pred.ndim != 2:
            raise ValueError(
                "R2Score: `y_true` and `y_pred` must have shape (batch, outputs). Received: "
                f"y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
            )
        shape = (y_pred.shape[-1],)
        self.squared_sum = self.add_variable(shape, "zeros", name="squared_sum")
        self.sum = self.add_variable(shape, "zeros", name="sum")
        self.total_mse = self.add_variable(shape, "zeros", name="residual")
        self.count = self.add_variable(shape, "zeros", name="count")
        self._built = True

    @on_host
    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = same_rank(as_array(y_true, self._dtype), as_array(y_pred, self._dtype))
        if not self._built:
            self._build(y_true, y_pred)
        weights = as_array(1 if sample_weight is None else sample_weight, self._dtype)
        if weights.ndim == 1:
            weights = weights[:, None]
        weights = np.broadcast_to(weights, y_true.shape)
        weighted = y_true * weights
        self.sum.accumulate(weighted.sum(0))
        self.squared_sum.accumulate((y_true * weighted).sum(0))
        self.total_mse.accumulate((np.square(y_true - y_pred) * weights).sum(0))
        self.count.accumulate(weights.sum(0))
        self.num_samples.accumulate(y_true.size)

    @on_host
    def result(self):
        if not self._built:
            raise ValueError(
                "R2Score.result: there must have been data. Call `update_state` first."
            )
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = self.sum.data / self.count.data
            total = self.squared_sum.data - self.sum.data * mean
            scores = 1 - self.total_mse.data / total
            scores = np.where(np.isinf(scores), np.zeros_like(scores), scores)
            if self.class_aggregation == "uniform_average":
                scores = scores.mean()
            elif self.class_aggregation == "variance_weighted_average":
                scores = (total * scores).sum() / total.sum()
        return Tensor(np.asarray(self._adjusted(scores)))

    def _adjusted(self, score):
        n, p = self.num_samples.data, np.float32(self.num_regressors)
        if not p:
            return score
        if p > n - 1:
            warnings.warn(
                "R2Score: more independent predictors than values, so the score is not adjusted.",
                stacklevel=3,
            )
            return score
        if p == n - 1:
            warnings.warn(
                "R2Score: as many independent predictors as values less one would divide by zero, "
                "so the score is not adjusted.",
                stacklevel=3,
            )
            return score
        return 1 - (1 - score) * (n - 1) / (n - p - 1)

    def get_config(self):
        return {
            **super().get_config(),
            "class_aggregation": self.class_aggregation,
            "num_regressors": self.num_regressors,
        }
