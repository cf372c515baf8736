"""EarlyStopping: end training once it no longer helps."""

from __future__ import annotations

import warnings

from kerasmirror._export import export
from kerasmirror.callbacks.monitor_callback import MonitorCallback
from kerasmirror.core.console import print_msg


@export("callbacks.EarlyStopping")
class EarlyStopping(MonitorCallback):
    """Stops `fit` after `patience` epochs without an improvement of `monitor`.

    Args: `min_delta`, the least change that counts. `mode`, "min", "max" or "auto". `baseline`, a
    value that must be beaten, too. `restore_best_weights` goes back to the weights of the best
    epoch at the end. The first `start_from_epoch` epochs are not looked at. `verbose` 1 says so.
    Raises: ValueError in "auto" mode when the direction of `monitor` is unknown.
    Source: Keras 3.15 `keras.callbacks.EarlyStopping`.
    """

    def __init__(
        self,
        monitor="val_loss",
        min_delta=0,
        patience=0,
        verbose=0,
        mode="auto",
        baseline=None,
        restore_best_weights=False,
        start_from_epoch=0,
    ):
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.wait = 0
        self.stopped_epoch = 0
        self.restore_best_weights = restore_best_weights
        self.best_weights = None
        self.best_epoch = 0
        self.start_from_epoch = start_from_epoch

    def on_train_begin(self, logs=None):
        # One callback may serve several calls of `fit`.
        self.wait = 0
        self.stopped_epoch = 0
        self.best = None
        self.best_weights = None
        self.best_epoch = 0

    def on_epoch_end(self, epoch, logs=None):
        self._find_direction()
        current = self.get_monitor_value(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.best_weights is None:
            self._keep_weights(epoch)
        self.wait += 1
        if self._is_improvement(current, self.best):
            self.best = current
            self._keep_weights(epoch)
            # An epoch that is better, but still short of the baseline, does not win time.
            if self.baseline is None or self._is_improvement(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def _keep_weights(self, epoch):
        self.best_epoch = epoch
        if self.restore_best_weights:
            self.best_weights = self.model.get_weights()

    def on_train_end(self, logs=None):
        if self.stopped_epoch > 0 and self.verbose > 0:
            print_msg(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print_msg(
                    "Restoring model weights from the end of the best epoch: "
                    f"{self.best_epoch + 1}."
                )
            self.model.set_weights(self.best_weights)

    def get_monitor_value(self, logs):
        """The number to look at, or None (with a warning) when the logs have none."""
        logs = logs or {}
        value = logs.get(self.monitor)
        if value is None:
            warnings.warn(
                f"EarlyStopping: `monitor` must be one of {', '.join(logs)}. "
                f"Received: monitor={self.monitor!r}",
                stacklevel=2,
            )
        return value
