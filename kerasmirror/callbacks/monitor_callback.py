"""What callbacks share that watch one number of the logs and ask whether it got better."""

from __future__ import annotations

import warnings

import numpy as np

from kerasmirror import _export, ops
from kerasmirror.callbacks.callback import Callback


class MonitorCallback(Callback):
    """Compares `logs[monitor]` with the best value so far.

    `mode` is "min", "max", or "auto": losses go down, metrics in the direction they declare.
    A change smaller than `min_delta` is no improvement; `baseline` is the first best value.
    """

    def __init__(self, monitor="val_loss", mode="auto", baseline=None, min_delta=0):
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warnings.warn(
                f'{type(self).__name__}: `mode` must be "auto", "min" or "max"; "auto" is used, as '
                f"{type(self).__name__} mode '{mode}' is unknown. Received: mode={mode!r}",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self._direction = None
        self.monitor_op = None  # ops.less or ops.greater, once it is known

    def _find_direction(self):
        """Settle whether less or more is better; a model's metrics are known once it trains."""
        if self._direction is None:
            self._direction = self._known_direction()
            self.monitor_op = ops.less if self._direction == "min" else ops.greater

    def _known_direction(self):
        if self.mode != "auto":
            return self.mode
        name = self.monitor.removeprefix("val_")
        found = "min" if name == "loss" else None
        for metric in _all_metrics(getattr(self.model, "metrics", ())):
            if metric.name == name:
                found = direction_of(metric) or found
        if found is None:
            raise ValueError(
                f'{type(self).__name__}: `mode` must be "min" or "max", as it cannot be told from '
                f"the name whether less or more of {self.monitor!r} is better. "
                f"Received: monitor={self.monitor!r}, mode='auto'"
            )
        return found

    def _is_improvement(self, value, reference):
        if reference is None:
            return True
        # Keras compares in float32, where two losses that differ in the last bits are equal.
        reference = np.float32(reference)
        if self._direction == "min":
            return bool(np.float32(value + self.min_delta) < reference)
        return bool(np.float32(value - self.min_delta) > reference)


# Metrics of which more is better, and those of which less is, with their subclasses.
_MORE = (
    "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "SparseCategoricalAccuracy",
    "TopKCategoricalAccuracy", "SparseTopKCategoricalAccuracy", "Precision", "Recall",
    "SensitivityAtSpecificity", "SpecificityAtSensitivity", "PrecisionAtRecall",
    "RecallAtPrecision", "AUC", "PearsonCorrelation", "ConcordanceCorrelation", "FBetaScore",
    "IoU", "MeanIoU", "OneHotIoU", "OneHotMeanIoU", "BinaryIoU", "CosineSimilarity", "R2Score",
)  # fmt: skip
_LESS = (
    "Hinge", "SquaredHinge", "CategoricalHinge", "BinaryCrossentropy", "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy", "KLDivergence", "Poisson", "MeanSquaredError",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredLogarithmicError",
    "RootMeanSquaredError", "LogCoshError",
)  # fmt: skip


def direction_of(metric):
    """ "max" or "min", as more or less of a metric is better; None where that is not known.

    A metric of the user's own says so by its attribute `_direction`, "up" or "down".
    """
    own = getattr(metric, "_direction", None)
    if own is not None:
        return "max" if own == "up" else "min"
    for names, direction in ((_MORE, "max"), (_LESS, "min")):
        if isinstance(metric, tuple(_export.lookup(f"metrics.{name}") for name in names)):
            return direction
    # Any function of losses as a metric.
    is_loss = getattr(metric, "_fn", None) in set(_export.family("losses").values())
    return "min" if is_loss else None


def _all_metrics(metrics):
    """The metrics of a model, those inside of containers too."""
    for metric in metrics:
        yield metric
        yield from _all_metrics(getattr(metric, "metrics", None) or ())
