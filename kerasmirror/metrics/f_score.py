"""F-scores: the harmonic mean of precision and recall."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks, config
from kerasmirror.core.tensor import Tensor
from kerasmirror.metrics.metric import Metric
from kerasmirror.metrics.reduction import as_array


@export("metrics.FBetaScore")
class FBetaScore(Metric):
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
        checks.one_of(average, (None, "micro", "macro", "weighted"), "average", owner=owner)
        if not isinstance(beta, float) or beta <= 0:
            checks.fail(owner, "beta", "a float above 0", beta)
        if threshold is not None and not (isinstance(threshold, float) and 0 < threshold <= 1):
            checks.fail(owner, "threshold", "a float above 0 and at most 1, or None", threshold)
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self._built = False

    def _build(self, y_true, y_pred):
        if y_true.ndim != 2 or y_pred.ndim != 2:
            raise ValueError(
                f"{type(self).__name__}: `y_true` and `y_pred` must have shape (batch, classes). "
                f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
            )
        shape = () if self.average == "micro" else (y_pred.shape[-1],)
        for name in ("true_positives", "false_positives", "false_negatives"):
            setattr(self, name, self.add_variable(shape, "zeros", self.dtype, name=name))
        self.intermediate_weights = self.add_variable(
            shape, "zeros", self.dtype, name="intermediate_weights"
        )
        self._built = True

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred = as_array(y_true, self._dtype), as_array(y_pred, self._dtype)
        if not self._built:
            self._build(y_true, y_pred)
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
