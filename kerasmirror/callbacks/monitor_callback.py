"""What callbacks share that watch one number of the logs and ask whether it got better."""

from __future__ import annotations

import warnings

import numpy as np

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
                f'{type(self).__name__}: `mode` must be "auto", "min" or "max"; "auto" is used. '
                f"Received: mode={mode!r}",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = baseline
        self.min_delta = abs(min_delta)
        self._direction = None

    def _find_direction(self):
        """Settle whether less or more is better; a model's metrics are known once it trains."""
        if self._direction is not None:
            return
        if self.mode != "auto":
            self._direction = self.mode
            return
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            self._direction = "min"
        for metric in _all_metrics(getattr(self.model, "metrics", ())):
            if metric.name == name and getattr(metric, "_direction", None) is not None:
                self._direction = "max" if metric._direction == "up" else "min"
        if self._direction is None:
            raise ValueError(
                f'{type(self).__name__}: `mode` must be "min" or "max", as it cannot be told from '
                f"the name whether less or more of {self.monitor!r} is better. "
                f"Received: monitor={self.monitor!r}, mode='auto'"
            )

    def _is_improvement(self, value, reference):
        if reference is None:
            return True
        # Keras compares in float32, where two losses that differ in the last bits are equal.
        reference = np.float32(reference)
        if self._direction == "min":
            return bool(np.float32(value + self.min_delta) < reference)
        return bool(np.float32(value - self.min_delta) > reference)


def _all_metrics(metrics):
    """The metrics of a model, those inside of containers too."""
    for metric in metrics:
        yield metric
        yield from _all_metrics(getattr(metric, "metrics", None) or ())
