"""ProgbarLogger: the progress line of `fit`, `evaluate` and `predict`."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.callbacks.callback import Callback
from kerasmirror.callbacks.progress_bar import Progbar
from kerasmirror.core import console
from kerasmirror.core.console import print_msg


def lazy_logs(method):
    """Mark a batch hook that takes `logs` as a callable too, and calls it only when it needs them.

    Metrics are sums in arrays; turning them into floats for each batch costs more than a small
    model's step.
    """
    method.takes_lazy_logs = True
    return method


@export("callbacks.ProgbarLogger")
class ProgbarLogger(Callback):
    """Prints a `Progbar` for each epoch, evaluation or prediction, as `verbose` asks for.

    Validation inside `fit` is silent: its results join the epoch's line.
    Source: Keras 3.15 `keras.callbacks.ProgbarLogger`.
    """

    def __init__(self):
        super().__init__()
        self.seen = 0
        self.progbar = None
        self.target = None
        self.verbose = 1
        self.epochs = 1
        self._called_in_fit = False

    def set_params(self, params):
        super().set_params(params)
        self.verbose = params["verbose"]
        if self.verbose == "auto":
            # A file gets a line per epoch, not the hundreds of states of a bar.
            self.verbose = 1 if console.can_redraw() else 2
        self.epochs = params["epochs"]
        self.target = params["steps"]

    def on_train_begin(self, logs=None):
        self._called_in_fit = True

    def on_test_begin(self, logs=None):
        if not self._called_in_fit:
            self._new_progbar()

    def on_predict_begin(self, logs=None):
        self._new_progbar()

    def on_epoch_begin(self, epoch, logs=None):
        self._new_progbar()
        if self.verbose and self.epochs > 1:
            print_msg(f"Epoch {epoch + 1}/{self.epochs}")

    @lazy_logs
    def on_train_batch_end(self, batch, logs=None):
        self._update(batch, logs)

    @lazy_logs
    def on_test_batch_end(self, batch, logs=None):
        if not self._called_in_fit:
            self._update(batch, logs)

    @lazy_logs
    def on_predict_batch_end(self, batch, logs=None):
        self._update(batch, None)

    def on_epoch_end(self, epoch, logs=None):
        self._finish(logs)

    def on_test_end(self, logs=None):
        if not self._called_in_fit:
            self._finish(logs)

    def on_predict_end(self, logs=None):
        self._finish(logs)

    def _new_progbar(self):
        self.seen = 0
        self.progbar = Progbar(
            target=self.target, verbose=self.verbose, unit_name="step", stateless_metrics=set()
        )

    def _update(self, batch, logs):
        if self.progbar is None:
            self._new_progbar()
        self.seen = batch + 1
        if self.verbose != 1:
            return
        values = []
        if logs is not None and self.progbar.due():
            values = list((logs() if callable(logs) else logs).items())
        self.progbar.update(self.seen, values, finalize=False)

    def _finish(self, logs):
        if self.target is None:
            self.target = self.seen
            self.progbar.target = self.target
        self.progbar.update(self.target, list((logs or {}).items()), finalize=True)
