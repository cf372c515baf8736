"""Areas under curves of rates against one another."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks, config
from kerasmirror.core.device import CPU, device, host
from kerasmirror.core.tensor import Tensor
from kerasmirror.metrics.confusion import (
    PRECISION,
    RECALL,
    Counting,
    counts,
    even_thresholds,
    ratio,
)
from kerasmirror.metrics.on_host import on_host
from kerasmirror.metrics.reduction import as_array

_CURVES = ("ROC", "PR", "PRGAIN")
_SUMMATIONS = ("interpolation", "majoring", "minoring")


@export("metrics.AUC")
class AUC(Counting):
    """The area under a curve drawn through `num_thresholds` points.

    Args: curve is "ROC" (recall over false positive rate), "PR" (precision over recall) or
    "PRGAIN". summation_method takes a step's height as the mean of its ends ("interpolation"; for
    PR, precision is interpolated by the counts), the larger ("majoring") or the smaller
    ("minoring"). `thresholds` replaces the even ones. `multi_label` keeps labels apart and
    averages them, by `label_weights` if given; else these weigh the predictions.
    Raises: ValueError for other choices, one threshold, or `num_labels` without `multi_label`.
    Source: Davis and Goadrich 2006, https://doi.org/10.1145/1143844.1143874 (PR); Flach and Kull
    2015, https://papers.nips.cc/paper/5867 (PRGAIN); Keras 3.15 `keras.metrics.AUC`.
    """

    def __init__(
        self,
        num_thresholds=200,
        curve="ROC",
        summation_method="interpolation",
        name=None,
        dtype=None,
        thresholds=None,
        multi_label=False,
        num_labels=None,
        label_weights=None,
        from_logits=False,
    ):
        super().__init__(name=name, dtype=dtype)
        self.curve = _one_of(curve, str.upper, _CURVES, "AUC curve")
        self.summation_method = _one_of(
            summation_method, str.lower, _SUMMATIONS, "AUC summation method"
        )
        epsilon = config.epsilon()
        self._init_from_thresholds = thresholds is not None
        if thresholds is not None:
            self.num_thresholds = len(thresholds) + 2
            self._thresholds = np.array([0.0 - epsilon, *sorted(thresholds), 1.0 + epsilon])
        else:
            if num_thresholds <= 1:
                raise ValueError(
                    "AUC: Argument `num_thresholds` must be an integer > 1. "
                    f"Received: num_thresholds={num_thresholds!r}"
                )
            self.num_thresholds = num_thresholds
            self._thresholds = np.array(even_thresholds(num_thresholds, epsilon))
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None
        if label_weights is not None:
            with device(CPU):
                self.label_weights = Tensor(host(as_array(label_weights, self.dtype)))
        self._from_logits = from_logits
        self._built = False
        if num_labels and not multi_label:
            checks.fail("AUC", "num_labels", "None unless `multi_label` is True", num_labels)
        if num_labels or not multi_label:
            self._build((None, num_labels))

    @property
    def thresholds(self):
        return list(self._thresholds)

    def _build(self, shape):
        if len(shape) != 2:
            raise ValueError(
                "AUC: `y_pred` must have shape (samples, labels) with `multi_label=True`. "
                f"Received: y_pred.shape={tuple(shape)}"
            )
        self._add_counts((self.num_thresholds, shape[1])[: 1 + bool(self.multi_label)])
        self._built = True

    @on_host
    def update_state(self, y_true, y_pred, sample_weight=None):
        y_pred = as_array(y_pred, self._dtype)
        if not self._built:
            self._build(y_pred.shape)
        if self._from_logits:
            y_pred = 0.5 * (np.tanh(0.5 * y_pred) + 1)  # the sigmoid, without overflow
        weights = self.label_weights
        self._add(
            counts(
                y_true,
                y_pred,
                self._thresholds,
                sample_weight,
                None if weights is None or self.multi_label else weights.data,
                per_label=self.multi_label,
            )
        )

    @on_host
    def result(self):
        if not self._built:
            raise ValueError("AUC.result: there must have been data. Call `update_state` first.")
        if self.curve == "PR" and self.summation_method == "interpolation":
            return self.interpolate_pr_auc()
        x, y = getattr(self, f"_{self.curve.lower()}")()
        height = {
            "interpolation": lambda a, b: (a + b) / 2,
            "minoring": np.minimum,
            "majoring": np.maximum,
        }[self.summation_method](y[:-1], y[1:])
        return self._mean_of_labels((x[:-1] - x[1:]) * height)

    def _roc(self):
        return self._rates(("false_positives", "true_negatives"), RECALL)

    def _pr(self):
        return self._rates(RECALL, PRECISION)

    def _prgain(self):
        tp, fp, tn, fn = (getattr(self, name).data for name in self.kept)
        scale = ratio(tp + fn, tn + fp)
        recall_gain = np.where(tp == 0, 0, 1 - scale * ratio(fn, tp))
        precision_gain = np.where(tp == 0, 1, 1 - scale * ratio(fp, tp))
        return np.maximum(recall_gain, 0), precision_gain

    @on_host
    def interpolate_pr_auc(self):
        """The area under the precision-recall curve, right between the thresholds too.

        Between two points TP grows linearly with TP + FP, so precision is a hyperbola there: with
        slope s = dTP / dP and b = TP - s P, its part is s (dTP + b log(P_A / P_B)) / (TP + FN).
        Source: Davis and Goadrich 2006, https://doi.org/10.1145/1143844.1143874.
        """
        return self._mean_of_labels(self._interpolated_pr())

    def _interpolated_pr(self):
        tp, fn = self.true_positives.data, self.false_negatives.data
        positive = tp + self.false_positives.data
        dtp, dp = tp[:-1] - tp[1:], positive[:-1] - positive[1:]
        slope = ratio(dtp, np.maximum(dp, 0))
        intercept = tp[1:] - slope * positive[1:]
        both = (positive[:-1] > 0) & (positive[1:] > 0)
        quotient = np.where(both, ratio(positive[:-1], np.maximum(positive[1:], 0)), 1)
        return ratio(slope * (dtp + intercept * np.log(quotient)), np.maximum(tp[1:] + fn[1:], 0))

    def _mean_of_labels(self, areas):
        total = areas.sum(0)
        if self.multi_label:
            weights = self.label_weights
            if weights is None:
                total = total.mean()
            else:
                total = ratio((total * weights.data).sum(), weights.data.sum())
        return Tensor(np.asarray(total, self.true_positives.data.dtype))

    def get_config(self):
        weights = self.label_weights
        own = {
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if weights is None else weights.tolist(),
            "from_logits": self._from_logits,
        }
        if self._init_from_thresholds:
            own["thresholds"] = [float(t) for t in self._thresholds[1:-1]]
        return {**super().get_config(), **own}


def _one_of(given, change, allowed, what):
    """`given`, or the value of an enumeration's member, with capitals as they are kept here."""
    value = getattr(given, "value", given)
    value = change(value) if isinstance(value, str) else value
    if value not in allowed:
        raise ValueError(
            f'Invalid {what} value: "{given}". It must be one of {", ".join(map(repr, allowed))}.'
        )
    return value
