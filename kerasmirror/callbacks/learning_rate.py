"""LearningRateScheduler and ReduceLROnPlateau: callbacks that set the learning rate."""

from __future__ import annotations

import warnings

import numpy as np

from kerasmirror._export import export
from kerasmirror.callbacks.callback import Callback
from kerasmirror.callbacks.monitor_callback import MonitorCallback
from kerasmirror.core.console import print_msg


def _named_optimizers(model):
    """(name, optimizer) pairs: the parts of a MultiOptimizer, or ("", the only one)."""
    optimizer = model.optimizer
    if hasattr(optimizer, "optimizers"):
        return [(part.name, part) for part in optimizer.optimizers]
    return [("", optimizer)]


def _learning_rate(optimizer):
    return float(np.asarray(optimizer.learning_rate))


def _log_learning_rates(model, logs):
    for name, optimizer in _named_optimizers(model):
        logs[f"learning_rate_{name}" if name else "learning_rate"] = _learning_rate(optimizer)


@export("callbacks.LearningRateScheduler")
class LearningRateScheduler(Callback):
    """Sets the learning rate to `schedule(epoch, learning_rate)` before each epoch, and logs it.

    `schedule` may also take the epoch only. `verbose` 1 prints each new rate.
    Raises: ValueError when `schedule` gives no float or the optimizer has no learning rate.
    Source: Keras 3.15 `keras.callbacks.LearningRateScheduler`.
    """

    def __init__(self, schedule, verbose=0):
        super().__init__()
        self.schedule = schedule
        self.verbose = verbose

    def on_epoch_begin(self, epoch, logs=None):
        for name, optimizer in _named_optimizers(self.model):
            learning_rate = self._next_rate(optimizer, epoch)
            optimizer.learning_rate = learning_rate
            if self.verbose > 0:
                print_msg(
                    f"\nEpoch {epoch + 1}: LearningRateScheduler setting "
                    f"{name + ' ' if name else ''}learning rate to {learning_rate}."
                )

    def _next_rate(self, optimizer, epoch):
        if not hasattr(optimizer, "learning_rate"):
            raise ValueError(
                "LearningRateScheduler: the optimizer must have a `learning_rate`. "
                f"Received: optimizer={optimizer!r}"
            )
        try:
            learning_rate = self.schedule(epoch, _learning_rate(optimizer))
        except TypeError:  # a schedule of the epoch alone, as in Keras 1
            learning_rate = self.schedule(epoch)
        if not isinstance(learning_rate, (float, np.float32, np.float64)):
            raise ValueError(
                "LearningRateScheduler: `schedule` must return a float. "
                f"Received: {learning_rate!r} for epoch {epoch}"
            )
        return learning_rate

    def on_epoch_end(self, epoch, logs=None):
        if logs is not None:
            _log_learning_rates(self.model, logs)


@export("callbacks.ReduceLROnPlateau")
class ReduceLROnPlateau(MonitorCallback):
    """Multiplies the learning rate by `factor` after `patience` epochs without improvement.

    Args: `monitor`, `mode` and `min_delta` as in `EarlyStopping`. After a reduction, `cooldown`
    epochs are not counted. The rate stays at or above `min_lr`. `verbose` 1 prints reductions.
    Raises: ValueError for a `factor` of 1 or more, or an unknown direction in "auto" mode.
    Source: Keras 3.15 `keras.callbacks.ReduceLROnPlateau`.
    """

    def __init__(
        self,
        monitor="val_loss",
        factor=0.1,
        patience=10,
        verbose=0,
        mode="auto",
        min_delta=1e-4,
        cooldown=0,
        min_lr=0.0,
        **kwargs,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ValueError(
                f"ReduceLROnPlateau: `factor` must be below 1. Received: factor={factor!r}"
            )
        if kwargs:
            # Keras takes and drops them; a script that passes some still runs.
            warnings.warn(
                f"ReduceLROnPlateau: unknown arguments have no effect: {sorted(kwargs)}",
                stacklevel=2,
            )
        self.factor = factor
        self.min_lr = min_lr
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs=None):
        self.best = None
        self.cooldown_counter = 0
        self.wait = 0

    def on_epoch_end(self, epoch, logs=None):
        self._find_direction()
        logs = {} if logs is None else logs
        _log_learning_rates(self.model, logs)
        current = logs.get(self.monitor)
        if current is None:
            warnings.warn(
                f"ReduceLROnPlateau: `monitor` must be one of {', '.join(logs)}. "
                f"Received: monitor={self.monitor!r}",
                stacklevel=2,
            )
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self._is_improvement(current, self.best):
            self.best = current
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def in_cooldown(self):
        """Whether epochs are not counted now."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch):
        """Lower the rate of every optimizer that is above the bound; whether there was one."""
        reduced = False
        for name, optimizer in _named_optimizers(self.model):
            old = _learning_rate(optimizer)
            if old <= np.float32(self.min_lr):
                continue
            new = max(old * self.factor, self.min_lr)
            optimizer.learning_rate = new
            reduced = True
            if self.verbose > 0:
                print_msg(
                    f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing"
                    f"{' ' + name if name else ''} learning rate to {new}."
                )
        return reduced
