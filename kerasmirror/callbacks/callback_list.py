"""CallbackList: many callbacks behind one set of hooks."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.callbacks.callback import HOOKS, Callback, overridden
from kerasmirror.callbacks.history import History
from kerasmirror.callbacks.progbar_logger import ProgbarLogger
from kerasmirror.core import tree

_NO_HOOKS = dict.fromkeys(HOOKS, ())


def plain_logs(logs):
    """`logs` as one flat dict in the order of its keys, numbers and 0-d arrays as floats."""
    if callable(logs):
        logs = logs()
    if not logs:
        return {}
    plain = {}
    for key in sorted(logs):
        value = logs[key]
        if isinstance(value, dict):
            plain.update(plain_logs(value))
            continue
        if getattr(value, "ndim", 0):
            plain[key] = value  # the arrays of `predict`
            continue
        try:
            plain[key] = float(value)
        except (TypeError, ValueError):
            plain[key] = value
    return plain


@export("callbacks.CallbackList")
class CallbackList(Callback):
    """Calls each hook of all its callbacks, in their order.

    A hook that no callback overrides costs one look at an empty list. The batch hooks also take
    `logs` as a function that gives the dict: it is called only when a callback wants the numbers.

    Args: callbacks, a callback or a nested list of them. `add_history` and `add_progbar` append a
    `History` and a `ProgbarLogger` unless there is one. `params` go to every callback.
    Raises: ValueError when an `on_..._end` comes without its `on_..._begin`.
    Source: Keras 3.15 `keras.callbacks.CallbackList`.
    """

    def __init__(self, callbacks=None, add_history=False, add_progbar=False, model=None, **params):
        super().__init__()
        self.callbacks = tree.flatten(callbacks) if callbacks else []
        self._open_blocks = 0
        self._hooks = {}
        self._history = self._last_of(History)
        self._progbar = self._last_of(ProgbarLogger)
        if add_history and self._history is None:
            self._history = History()
            self.callbacks.append(self._history)
        if add_progbar and self._progbar is None:
            self._progbar = ProgbarLogger()
            self.callbacks.append(self._progbar)
        self.set_model(model)
        self.set_params(params)
        self._find_hooks()

    def _last_of(self, kind):
        found = [callback for callback in self.callbacks if isinstance(callback, kind)]
        return found[-1] if found else None

    def _find_hooks(self):
        if not self.callbacks:
            self._hooks = _NO_HOOKS
            return
        self._hooks = {}
        for hook in HOOKS:
            methods = [overridden(callback, hook) for callback in self.callbacks]
            self._hooks[hook] = [method for method in methods if method is not None]

    def append(self, callback):
        """Add a callback at the end; it gets the model and the parameters of the others."""
        self.callbacks.append(callback)
        if self.params:
            callback.set_params(self.params)
        if self._model is not None:
            callback.set_model(self._model)
        self._find_hooks()

    def set_params(self, params):
        self.params = params
        if params:
            for callback in self.callbacks:
                callback.set_params(params)

    def set_model(self, model):
        if model is None:
            return
        super().set_model(model)
        if self._history is not None:
            model.history = self._history
        for callback in self.callbacks:
            callback.set_model(model)

    def listens(self, hook):
        """Whether any callback overrides `hook` ("on_train_batch_end")."""
        return bool(self._hooks[hook])

    def _begin(self, hook, logs):
        self._open_blocks += 1
        self._find_hooks()  # callbacks may have been added or given hooks since
        self._call(hook, (), logs)

    def _end(self, hook, logs):
        if self._open_blocks == 0:
            raise ValueError(f"CallbackList: `{hook}` called without `{hook[:-3]}begin` before it.")
        self._call(hook, (), logs)
        self._open_blocks -= 1

    def _call(self, hook, position, logs):
        plain = plain_logs(logs)
        for method in self._hooks[hook]:
            method(*position, plain)

    def _call_batch(self, hook, batch, logs):
        methods = self._hooks[hook]
        if not methods:
            return
        if callable(logs):
            made = []

            def once():
                if not made:
                    made.append(plain_logs(logs))
                return made[0]

        else:
            plain = plain_logs(logs)
            once = None
        for method in methods:
            if once is None:
                method(batch, logs=plain)
            elif getattr(method, "takes_lazy_logs", False):
                method(batch, logs=once)
            else:
                method(batch, logs=once())

    def on_train_begin(self, logs=None):
        self._begin("on_train_begin", logs)

    def on_train_end(self, logs=None):
        self._end("on_train_end", logs)

    def on_test_begin(self, logs=None):
        self._begin("on_test_begin", logs)

    def on_test_end(self, logs=None):
        self._end("on_test_end", logs)

    def on_predict_begin(self, logs=None):
        self._begin("on_predict_begin", logs)

    def on_predict_end(self, logs=None):
        self._end("on_predict_end", logs)

    def on_epoch_begin(self, epoch, logs=None):
        self._find_hooks()
        self._call("on_epoch_begin", (epoch,), logs)

    def on_epoch_end(self, epoch, logs=None):
        self._call("on_epoch_end", (epoch,), logs)

    def on_batch_begin(self, batch, logs=None):
        self._call_batch("on_batch_begin", batch, logs)

    def on_batch_end(self, batch, logs=None):
        self._call_batch("on_batch_end", batch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        self._call_batch("on_train_batch_begin", batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        self._call_batch("on_train_batch_end", batch, logs)

    def on_test_batch_begin(self, batch, logs=None):
        self._call_batch("on_test_batch_begin", batch, logs)

    def on_test_batch_end(self, batch, logs=None):
        self._call_batch("on_test_batch_end", batch, logs)

    def on_predict_batch_begin(self, batch, logs=None):
        self._call_batch("on_predict_batch_begin", batch, logs)

    def on_predict_batch_end(self, batch, logs=None):
        self._call_batch("on_predict_batch_end", batch, logs)
