"""Metrics of right and wrong positives and negatives, at one or many thresholds."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import budget, checks, config
from kerasmirror.core.tensor import Tensor
from kerasmirror.metrics.on_host import HostMetric, on_host
from kerasmirror.metrics.reduction import as_array, same_rank

# Below every score: stands for the scores that are not among the top k.
_NEVER = -1e10
# In the order in which Keras saves them.
KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")


def counts(
    y_true, y_pred, thresholds, sample_weight=None, label_weights=None, top_k=None, class_id=None,
    per_label=False, dtype="float32",
):  # fmt: skip
    """How much weight is of each of the four kinds at each threshold, by name.

    A score above the threshold is positive. Shapes: (thresholds,), with `per_label` (thresholds,
    labels).
    """
    y_pred, y_true = same_rank(as_array(y_pred, dtype), as_array(y_true, dtype))
    weights = _weights(sample_weight, y_true, dtype)
    if top_k is not None:
        y_pred = _only_top(y_pred, top_k)
    if class_id is not None:
        if y_pred.ndim == 1:
            raise ValueError(
                "metrics: When class_id is provided, y_pred must be a 2D array with shape "
                f"(num_samples, num_classes), found shape: {y_pred.shape}"
            )
        y_true, y_pred = y_true[..., class_id, None], y_pred[..., class_id, None]
    weights = np.broadcast_to(weights, y_pred.shape)
    if label_weights is not None:
        weights = weights * label_weights
    labels = y_pred.shape[-1] if per_label else 1
    # A score in place i is above thresholds 0 ... i - 1; sums from the end give all above each.
    place = _places(y_pred, np.asarray(thresholds, dtype)) * labels
    if per_label:
        place = place + np.arange(labels)
    positive = y_true.astype(bool)
    size = (len(thresholds) + 1) * labels
    found = {}
    for name, chosen in (("positives", positive), ("negatives", ~positive)):
        sums = np.bincount(place[chosen], weights[chosen], size).reshape(-1, labels)
        above = np.cumsum(sums[::-1], 0)[::-1]
        found[name] = above[1:], above[0] - above[1:]
    order = np.argsort(np.argsort(thresholds, kind="stable"), kind="stable")
    (tp, fn), (fp, tn) = found["positives"], found["negatives"]
    arrays = (part[order] if per_label else part[order, 0] for part in (tp, fp, tn, fn))
    return dict(zip(KINDS, arrays, strict=True))


def _weights(sample_weight, y_true, dtype):
    if sample_weight is None:
        return np.ones((), dtype)
    weights = as_array(sample_weight, dtype)[..., None]
    if weights.ndim == y_true.ndim + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    return weights


def _only_top(scores, k):
    kept = np.argsort(-scores, axis=-1, kind="stable")[..., :k]
    result = np.full_like(scores, _NEVER)
    np.put_along_axis(result, kept, np.take_along_axis(scores, kept, -1), -1)
    return result


def _places(scores, thresholds):
    """How many thresholds are below each score."""
    if not evenly_distributed(thresholds):
        return np.searchsorted(np.sort(thresholds), scores, side="left")
    # The same by one product, in the order of Keras's rounding.
    steps = scores.dtype.type(len(thresholds) - 1)
    place = np.ceil(np.clip(scores, 0, 1) * steps).astype(np.int64)
    with_margin = thresholds[0] < 0 or thresholds[-1] > 1
    return np.maximum(place, 1) if with_margin else place


def evenly_distributed(thresholds):
    """Whether at least three thresholds go from 0 to 1 in equal steps."""
    n = len(thresholds)
    even = np.arange(n, dtype=np.float32) / max(n - 1, 1)
    return n >= 3 and np.allclose(thresholds, even, atol=config.epsilon())


def ratio(part, whole):
    """part / whole, 0 where whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole != 0)


def _thresholds(owner, thresholds, default):
    if thresholds is None:
        return [default]
    items = list(thresholds) if isinstance(thresholds, (list, tuple, np.ndarray)) else [thresholds]
    outside = [t for t in items if t is None or not 0 <= t <= 1]
    if outside:
        raise ValueError(f"{owner}: Threshold values must be in [0, 1]. Received: {outside}")
    return items


class Counting(HostMetric):
    """A metric that keeps some of the four counts in variables of their names."""

    kept = KINDS

    def _add_counts(self, shape):
        for name in self.kept:
            setattr(self, name, self.add_variable(shape, "zeros", name=name))

    def _add(self, found):
        for name in self.kept:
            getattr(self, name).accumulate(found[name])

    def _rates(self, *names):
        """share(a, b) = a / (a + b) for pairs of kinds."""
        return [
            ratio(getattr(self, a).data, getattr(self, a).data + getattr(self, b).data)
            for a, b in names
        ]


RECALL = ("true_positives", "false_negatives")
PRECISION = ("true_positives", "false_positives")
SPECIFICITY = ("true_negatives", "false_positives")


class _Count(HostMetric):
    """The weight of one of the four kinds."""

    kind = ""

    def __init__(self, thresholds=None, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.thresholds = _thresholds(type(self).__name__, thresholds, 0.5)
        self.accumulator = self.add_variable((len(self.thresholds),), "zeros", name="accumulator")

    @on_host
    def update_state(self, y_true, y_pred, sample_weight=None):
        found = counts(y_true, y_pred, self.thresholds, sample_weight)
        self.accumulator.accumulate(found[self.kind])

    @on_host
    def result(self):
        values = self.accumulator.numpy()
        return Tensor(np.asarray(values[0]) if len(self.thresholds) == 1 else values)

    def get_config(self):
        return {**super().get_config(), "thresholds": self.init_thresholds}


@export("metrics.TruePositives")
class TruePositives(_Count):
    """How many ones are predicted above the threshold (0.5, or a list).

    Source: Keras 3.15 `keras.metrics.TruePositives`.
    """

    kind = "true_positives"


@export("metrics.TrueNegatives")
class TrueNegatives(_Count):
    """How many zeros are not predicted above the threshold (0.5, or a list).

    Source: Keras 3.15 `keras.metrics.TrueNegatives`.
    """

    kind = "true_negatives"


@export("metrics.FalsePositives")
class FalsePositives(_Count):
    """How many zeros are predicted above the threshold (0.5, or a list).

    Source: Keras 3.15 `keras.metrics.FalsePositives`.
    """

    kind = "false_positives"


@export("metrics.FalseNegatives")
class FalseNegatives(_Count):
    """How many ones are not predicted above the threshold (0.5, or a list).

    Source: Keras 3.15 `keras.metrics.FalseNegatives`.
    """

    kind = "false_negatives"


class _Share(Counting):
    """True positives by a whole, at one or several thresholds, of the top k or of one class."""

    def __init__(self, thresholds=None, top_k=None, class_id=None, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        default = 0.5 if top_k is None else _NEVER
        self.thresholds = _thresholds(type(self).__name__, thresholds, default)
        self._add_counts((len(self.thresholds),))

    @on_host
    def update_state(self, y_true, y_pred, sample_weight=None):
        options = {"top_k": self.top_k, "class_id": self.class_id}
        self._add(counts(y_true, y_pred, self.thresholds, sample_weight, **options))

    @on_host
    def result(self):
        (values,) = self._rates(self.kept)
        return Tensor(np.asarray(values[0]) if len(self.thresholds) == 1 else values)

    def get_config(self):
        return {
            **super().get_config(),
            "thresholds": self.init_thresholds,
            "top_k": self.top_k,
            "class_id": self.class_id,
        }


@export("metrics.Precision")
class Precision(_Share):
    """`TP / (TP + FP)`: the share of positive predictions that are right.

    Args: with `top_k` only the k best scores of a sample are positive, with `class_id` one class
    counts. Source: Keras 3.15 `keras.metrics.Precision`.
    """

    kept = PRECISION


@export("metrics.Recall")
class Recall(_Share):
    """`TP / (TP + FN)`: the share of positives that are found.

    Args: with `top_k` only the k best scores of a sample are positive, with `class_id` one class
    counts. Source: Keras 3.15 `keras.metrics.Recall`.
    """

    kept = RECALL


class _BestUnderConstraint(Counting):
    """The best of one rate, over thresholds at which another is at least `value`."""

    constrained = dependent = ()

    def __init__(self, value, option, num_thresholds, class_id, name, dtype):
        owner = type(self).__name__
        checks.real_in(value, 0, 1, option, owner=owner, expected="in the range [0, 1]")
        super().__init__(name=name, dtype=dtype)
        if not isinstance(num_thresholds, int) or num_thresholds <= 0:
            raise ValueError(
                f"{owner}: Argument `num_thresholds` must be an integer > 0. "
                f"Received: num_thresholds={num_thresholds!r}"
            )
        self.value = value
        self._option = option
        setattr(self, option, value)
        self.num_thresholds = num_thresholds
        self.class_id = class_id
        self.thresholds = [0.5] if num_thresholds == 1 else even_thresholds(num_thresholds, 0.0)
        self._add_counts((len(self.thresholds),))

    @on_host
    def update_state(self, y_true, y_pred, sample_weight=None):
        self._add(counts(y_true, y_pred, self.thresholds, sample_weight, class_id=self.class_id))

    @on_host
    def result(self):
        constrained, dependent = self._rates(self.constrained, self.dependent)
        best = np.max(dependent, initial=0, where=constrained >= constrained.dtype.type(self.value))
        return Tensor(np.asarray(best, dependent.dtype))

    def get_config(self):
        return {
            **super().get_config(),
            "class_id": self.class_id,
            "num_thresholds": self.num_thresholds,
            self._option: self.value,
        }


def even_thresholds(n, margin):
    """0 - margin, 1 / (n - 1), 2 / (n - 1), ..., 1 + margin."""
    # A file that is being loaded may ask for billions; a number of Python's takes 32 bytes.
    budget.spend((n, 4), "float64", "thresholds")
    return [-margin + 0.0, *((i + 1) * 1.0 / (n - 1) for i in range(n - 2)), 1.0 + margin]


@export("metrics.SensitivityAtSpecificity")
class SensitivityAtSpecificity(_BestUnderConstraint):
    """The best `TP / (TP + FN)` where `TN / (TN + FP)` is at least `specificity`.

    Source: Keras 3.15 `keras.metrics.SensitivityAtSpecificity`.
    """

    constrained, dependent = SPECIFICITY, RECALL

    def __init__(self, specificity, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(specificity, "specificity", num_thresholds, class_id, name, dtype)


@export("metrics.SpecificityAtSensitivity")
class SpecificityAtSensitivity(_BestUnderConstraint):
    """The best `TN / (TN + FP)` where `TP / (TP + FN)` is at least `sensitivity`.

    Source: Keras 3.15 `keras.metrics.SpecificityAtSensitivity`.
    """

    constrained, dependent = RECALL, SPECIFICITY

    def __init__(self, sensitivity, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(sensitivity, "sensitivity", num_thresholds, class_id, name, dtype)


@export("metrics.PrecisionAtRecall")
class PrecisionAtRecall(_BestUnderConstraint):
    """The best `TP / (TP + FP)` where `TP / (TP + FN)` is at least `recall`.

    Source: Keras 3.15 `keras.metrics.PrecisionAtRecall`.
    """

    constrained, dependent = RECALL, PRECISION

    def __init__(self, recall, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(recall, "recall", num_thresholds, class_id, name, dtype)


@export("metrics.RecallAtPrecision")
class RecallAtPrecision(_BestUnderConstraint):
    """The best `TP / (TP + FN)` where `TP / (TP + FP)` is at least `precision`.

    Source: Keras 3.15 `keras.metrics.RecallAtPrecision`.
    """

    constrained, dependent = PRECISION, RECALL

    def __init__(self, precision, num_thresholds=200, class_id=None, name=None, dtype=None):
        super().__init__(precision, "precision", num_thresholds, class_id, name, dtype)
