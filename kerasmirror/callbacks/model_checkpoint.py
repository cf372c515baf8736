"""ModelCheckpoint: the model, or its weights, on disk while it trains."""

from __future__ import annotations

import os
import warnings

from kerasmirror._export import export, lookup
from kerasmirror.callbacks.monitor_callback import MonitorCallback
from kerasmirror.core.console import print_msg


@export("callbacks.ModelCheckpoint")
class ModelCheckpoint(MonitorCallback):
    """Saves the model after each epoch, or every `save_freq` batches.

    Args: `filepath` may hold `{epoch}`, `{batch}` and names of logs ("{epoch:02d}-{val_loss:.2f}");
    it ends in ".weights.h5" with `save_weights_only`, else in ".keras" or ".h5".
    `save_best_only` writes only when `monitor` is better than ever (direction: `mode`) and than
    `initial_value_threshold`. `verbose` 1 prints what is done.
    Raises: ValueError for another ending or `save_freq`, KeyError for a name that the logs lack.
    Source: Keras 3.15 `keras.callbacks.ModelCheckpoint`.
    """

    def __init__(
        self,
        filepath,
        monitor="val_loss",
        verbose=0,
        save_best_only=False,
        save_weights_only=False,
        mode="auto",
        save_freq="epoch",
        initial_value_threshold=None,
    ):
        super().__init__(monitor, mode, initial_value_threshold)
        self.verbose = verbose
        self.filepath = os.fspath(filepath)
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = save_freq
        self._current_epoch = 0
        self._batches_since_saving = 0
        self._last_batch = None
        if save_freq != "epoch" and not isinstance(save_freq, int):
            raise ValueError(
                'ModelCheckpoint: `save_freq` must be "epoch" or a number of batches (Unrecognized '
                "save_freq). "
                f"Received: save_freq={save_freq!r}"
            )
        if save_weights_only:
            endings, expected = (".weights.h5",), '".weights.h5" with `save_weights_only=True`'
        else:
            endings, expected = (".keras", ".h5"), '".keras" or ".h5"'
        if not self.filepath.endswith(endings):
            raise ValueError(
                f"ModelCheckpoint: `filepath` must end in {expected}. "
                f"Received: filepath={self.filepath!r}"
            )
        if not save_weights_only and lookup("saving.save_model") is None:
            raise NotImplementedError(
                "ModelCheckpoint: whole models cannot be saved yet. Pass `save_weights_only=True` "
                'and a `filepath` that ends in ".weights.h5". '
                f"Received: filepath={self.filepath!r}, save_weights_only=False"
            )

    def on_epoch_begin(self, epoch, logs=None):
        self._current_epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self._due_after(batch):
            self._find_direction()
            self._save(self._current_epoch, batch, logs or {})

    def on_epoch_end(self, epoch, logs=None):
        self._find_direction()
        if self.save_freq == "epoch":
            self._save(epoch, None, logs or {})

    def _due_after(self, batch):
        """Whether `save_freq` batches have passed; hooks may skip some (steps_per_execution)."""
        if self.save_freq == "epoch":
            return False
        new_epoch = self._last_batch is None or batch <= self._last_batch
        self._batches_since_saving += batch + 1 if new_epoch else batch - self._last_batch
        self._last_batch = batch
        if self._batches_since_saving < self.save_freq:
            return False
        self._batches_since_saving = 0
        return True

    def _save(self, epoch, batch, logs):
        filepath = self._path_for(epoch, batch, logs)
        if not self._worth_saving(epoch, logs, filepath):
            return
        if os.path.isdir(filepath):
            raise OSError(
                "ModelCheckpoint: `filepath` must not be a directory. "
                f"Received: filepath={filepath!r}"
            )
        folder = os.path.dirname(filepath)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(filepath, overwrite=True)
        else:
            self.model.save(filepath, overwrite=True)
        if self.verbose > 0:
            print_msg(f"\nEpoch {epoch + 1}: finished saving model to {filepath}")

    def _worth_saving(self, epoch, logs, filepath):
        if not self.save_best_only:
            self._say(epoch, f"saving model to {filepath}")
            return True
        current = logs.get(self.monitor)
        if current is None or getattr(current, "ndim", 0) > 0:
            warnings.warn(
                "ModelCheckpoint: `monitor` must name a number of the logs to tell the best model; "
                f"this one is saved. Received: monitor={self.monitor!r}, whose value is {current}",
                stacklevel=2,
            )
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self._is_improvement(current, self.best):
            self._say(epoch, f"{self.monitor} did not improve from {best}")
            return False
        self._say(
            epoch,
            f"{self.monitor} improved from {best} to {current:.5f}, saving model to {filepath}",
        )
        self.best = current
        return True

    def _say(self, epoch, message):
        if self.verbose > 0:
            print_msg(f"\nEpoch {epoch + 1}: {message}")

    def _path_for(self, epoch, batch, logs):
        values = {} if batch is None else {"batch": batch + 1}
        try:
            return self.filepath.format(epoch=epoch + 1, **{**values, **logs})
        except KeyError as error:
            raise KeyError(
                "ModelCheckpoint: `filepath` must name only epoch, batch and logs "
                f"({', '.join(logs)}). Received: filepath={self.filepath!r}, "
                f"which names {error.args[0]!r}"
            ) from None
