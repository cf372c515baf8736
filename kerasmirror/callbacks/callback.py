"""Callback: what user code may hook into training, evaluation and prediction."""

from __future__ import annotations

from kerasmirror._export import export

HOOKS = (
    "on_train_begin",
    "on_train_end",
    "on_test_begin",
    "on_test_end",
    "on_predict_begin",
    "on_predict_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
    "on_predict_batch_begin",
    "on_predict_batch_end",
    "on_batch_begin",
    "on_batch_end",
)


@export("callbacks.Callback")
class Callback:
    """Base of all callbacks: override the hooks of interest, the others cost nothing.

    `model` is the model at work, `params` a dict with "verbose", "epochs" and "steps".
    A hook gets `logs`, a dict of floats by metric name: for `on_epoch_end` the epoch's results
    (validation under "val_..."), for `on_..._batch_end` the running ones, else it is empty.
    `on_batch_begin` and `on_batch_end` are older names of the `on_train_batch_...` hooks.
    Source: Keras 3.15 `keras.callbacks.Callback`.
    """

    def __init__(self):
        self.params = None
        self._model = None

    def set_params(self, params):
        self.params = params

    def set_model(self, model):
        self._model = model

    @property
    def model(self):
        return self._model

    def on_batch_begin(self, batch, logs=None):
        """Older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch, logs=None):
        """Older name of `on_train_batch_end`."""

    def on_epoch_begin(self, epoch, logs=None):
        """Before epoch number `epoch` (from 0) of `fit`."""

    def on_epoch_end(self, epoch, logs=None):
        """After epoch number `epoch` of `fit` and its validation."""

    def on_train_batch_begin(self, batch, logs=None):
        """Before a training step; `batch` counts from 0 in each epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch, logs=None):
        """After a training step, with the running results of the epoch."""
        self.on_batch_end(batch, logs=logs)

    def on_test_batch_begin(self, batch, logs=None):
        """Before a step of `evaluate` or of `fit`'s validation."""

    def on_test_batch_end(self, batch, logs=None):
        """After a step of `evaluate` or of `fit`'s validation."""

    def on_predict_batch_begin(self, batch, logs=None):
        """Before a step of `predict`."""

    def on_predict_batch_end(self, batch, logs=None):
        """After a step of `predict`; `logs["outputs"]` holds its results."""

    def on_train_begin(self, logs=None):
        """Before the first epoch of `fit`."""

    def on_train_end(self, logs=None):
        """After `fit`, with the logs of its last epoch."""

    def on_test_begin(self, logs=None):
        """Before `evaluate`, and before each validation in `fit`."""

    def on_test_end(self, logs=None):
        """After `evaluate`, and after each validation in `fit`."""

    def on_predict_begin(self, logs=None):
        """Before `predict`."""

    def on_predict_end(self, logs=None):
        """After `predict`."""


def overridden(callback, hook):
    """The bound `hook` of `callback` when it does something, else None."""
    method = getattr(callback, hook)
    if getattr(method, "__func__", None) is not getattr(Callback, hook):
        return method
    if hook in ("on_train_batch_begin", "on_train_batch_end"):
        return overridden(callback, hook.replace("train_", ""))
    return None
