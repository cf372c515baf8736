"""F-scores: the harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import config
from kerasmirror.core.tensor import Tensor
from kerasmirror.metrics.on_host import HostMetric, on_host
from kerasmirror.metrics.reduction import as_array


def _check_number(owner, name, value, text, is_good):
    if not isinstance(value, float):
        raise ValueError(
            f"{owner}: Invalid `{name}` argument value. It should be a Python float. "
            f"Received: {name}={value} of type '{type(value)}'"
        )
    if not is_good(value):
        should = f"be {text}" if text.startswith(">") else text
        raise ValueError(
            f"{owner}: Invalid `{name}` argument value. It should {should}. "
            f"Received: {name}={value}"
        )


@export("metrics.FBetaScore")
class FBetaScore(HostMetric):
    """`(1 + b^2) * precision * recall / (b^2 * precision + recall)` of each class.

    Args: average is None (one score a class), "micro" (all classes counted together), "macro"
    (their mean) or "weighted" (by how often each occurs). A score above `threshold` is positive;
    without one, the largest of a sample is.
    Shapes: y_true and y_pred (batch, classes).
    Raises: ValueError for another average, a beta that is no positive float, a threshold outside
    (0, 1], or other shapes.
    Source: Keras 3.15 `keras.metrics.FBetaScore`.
    """

    def __init__(self, average=None, beta=1.0, threshold=None, name="fbeta_score", dtype=None):
        super().__init__(name=name, dtype=dtype)
        owner = type(self).__name__
        if average not in (None, "micro", "macro", "weighted"):
            raise ValueError(
                f"{owner}: Invalid `average` argument value. Expected one of: "
                f"{{None, 'micro', 'macro', 'weighted'}}. Received: average={average}"
            )
        _check_number(owner, "beta", beta, "> 0", lambda value: value > 0)
        if threshold is not None:
            text = "verify 0 < threshold <= 1"
            _check_number(owner, "threshold", threshold, text, lambda value: 0 < value <= 1)
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._built = False

    def _build(self, y_true_shape, y_pred_shape):
        known = None not in (y_true_shape[-1], y_pred_shape[-1])
        if len(y_pred_shape) != 2 or len(y_true_shape) != 2 or not known:
            fully = "" if known else ", with output_dim fully defined (not None)"
            raise ValueError(
                f"{type(self).__name__} expects 2D inputs with shape (batch_size, output_dim)"
                f"{fully}. Received input shapes: y_pred.shape={y_pred_shape} and "
                f"y_true.shape={y_true_shape}."
            )
        shape = () if self.average == "micro" else (y_pred_shape[-1],)
        for name in ("true_positives", "false_positives", "false_negatives"):
            setattr(self, name, self.add_variable(shape, "zeros", self.dtype, name=name))
        self.intermediate_weights = self.add_variable(
            shape, "zeros", self.dtype, name="intermediate_weights"
        )
        self._built = True

    @on_host
    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = as_array(y_true, self._dtype), as_array(y_pred, self._dtype)
        if not self._built:
            self._build(y_true.shape, y_pred.shape)
        if self.threshold is None:
            largest = y_pred.max(-1, keepdims=True)
            positive = (y_pred >= largest) & (np.abs(y_pred) > 1e-9)
        else:
            positive = y_pred > y_pred.dtype.type(self.threshold)
        positive = positive.astype(y_pred.dtype)
        weights = 1 if sample_weight is None else as_array(sample_weight, self._dtype)[:, None]
        axis = None if self.average == "micro" else 0
        for variable, values in (
            (self.true_positives, positive * y_true),
            (self.false_positives, positive * (1 - y_true)),
            (self.false_negatives, (1 - positive) * y_true),
            (self.intermediate_weights, y_true),
        ):
            variable.accumulate((values * weights).sum(axis))

    @on_host
    def result(self):
        if not self._built:
            raise ValueError(
                f"{type(self).__name__}.result: there must have been data. "
                "Call `update_state` first."
            )
        tp, epsilon = self.true_positives.data, config.epsilon()
        precision = tp / (tp + self.false_positives.data + epsilon)
        recall = tp / (tp + self.false_negatives.data + epsilon)
        square = self.beta**2
        score = precision * recall / (square * precision + recall + epsilon) * (1 + square)
        if self.average == "weighted":
            weights = self.intermediate_weights.data
            score = (score * (weights / (weights.sum() + epsilon))).sum()
        elif self.average is not None:
            score = score.mean()
        return Tensor(np.asarray(score, tp.dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "average": self.average,
            "beta": self.beta,
            "threshold": self.threshold,
        }


@export("metrics.F1Score")
class F1Score(FBetaScore):
    """`2 * precision * recall / (precision + recall)` of each class.

    Source: Keras 3.15 `keras.metrics.F1Score`.
    """

    def __init__(self, average=None, threshold=None, name="f1_score", dtype=None):
        super().__init__(average=average, beta=1.0, threshold=threshold, name=name, dtype=dtype)

    def get_config(self):
        own = super().get_config()
        del own["beta"]
        return own
