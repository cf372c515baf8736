"""Correlations between targets and predictions."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import config
from kerasmirror.losses.regression import aligned
from kerasmirror.metrics.reduction import NamedMean


@export("metrics.pearson_correlation")
def pearson_correlation(y_true, y_pred, axis=-1):
    """`mean((t - mean(t)) / std(t) * (p - mean(p)) / std(p))` along `axis`."""
    y_true, y_pred = aligned(y_true, y_pred)
    return ops.mean(_standardized(y_true, axis) * _standardized(y_pred, axis), axis=axis)


def _standardized(x, axis):
    centered = x - ops.mean(x, axis=axis, keepdims=True)
    return centered / ops.std(centered, axis=axis, keepdims=True)


@export("metrics.concordance_correlation")
def concordance_correlation(y_true, y_pred, axis=-1):
    """`2 * cov / (var(t) + var(p) + (mean(t) - mean(p))^2)` along `axis`.

    Source: Lin 1989, https://doi.org/10.2307/2532051.
    """
    y_true, y_pred = aligned(y_true, y_pred)
    mean_true = ops.mean(y_true, axis=axis, keepdims=True)
    mean_pred = ops.mean(y_pred, axis=axis, keepdims=True)
    variances = ops.var(y_true, axis=axis, keepdims=True) + ops.var(
        y_pred, axis=axis, keepdims=True
    )
    # Both less the mean prediction, as in Keras: p's deviations sum to 0, so the mean is the same.
    products = (y_true - mean_pred) * (y_pred - mean_pred)
    whole = variances + ops.square(mean_true - mean_pred) + config.epsilon()
    return ops.mean(2 * products / whole, axis=axis)


@export("metrics.PearsonCorrelation")
class PearsonCorrelation(NamedMean):
    """The mean of Pearson's correlation along `axis`.

    Source: Keras 3.15 `keras.metrics.PearsonCorrelation`.
    """

    def __init__(self, name="pearson_correlation", dtype=None, axis=-1):
        super().__init__(pearson_correlation, name=name, dtype=dtype, axis=axis)
        self.axis = axis


@export("metrics.ConcordanceCorrelation")
class ConcordanceCorrelation(NamedMean):
    """The mean of the concordance correlation along `axis`.

    Source: Keras 3.15 `keras.metrics.ConcordanceCorrelation`.
    """

    def __init__(self, name="concordance_correlation", dtype=None, axis=-1):
        super().__init__(concordance_correlation, name=name, dtype=dtype, axis=axis)
        self.axis = axis
