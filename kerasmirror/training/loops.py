"""Loops: fit, evaluate, predict and their forms for one batch."""

from __future__ import annotations

import warnings

from kerasmirror.callbacks.callback_list import CallbackList
from kerasmirror.core import checks, config, tree
from kerasmirror.training import ahead
from kerasmirror.training.compile import CompileMetrics
from kerasmirror.training.data import array as array_data
from kerasmirror.training.data import batch as batches
from kerasmirror.training.data.settling import as_tensors, joined, one_batch, plain
from kerasmirror.training.epoch_iterator import EpochIterator


class Loops:
    """What `Trainer` does with all the data; see `keras.Model` for the public contract."""

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Train for `epochs` passes over the data; gives the History callback.

        `x` and `y` are arrays (or nests of them), or `x` is a generator, a PyDataset or another
        object that gives batches when it is looped over.
        `verbose` is "auto", 0 (silent), 1 (progress bar) or 2 (a line per epoch).
        Raises: ValueError for data that does not fit the model; its weights are unchanged then.
        """
        self._require_compiled("fit")
        epochs = checks.count(epochs, "epochs", owner="Model.fit", minimum=0)
        initial_epoch = checks.count(initial_epoch, "initial_epoch", owner="Model.fit", minimum=0)
        cap = config.max_epochs()
        if cap and cap < epochs:
            warnings.warn(f"Limiting epochs to {cap}", stacklevel=2)
            epochs = cap
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = array_data.split_for_validation(
                (x, y, sample_weight), validation_split
            )
        batches_of_epoch = EpochIterator(
            x,
            y,
            sample_weight,
            batch_size,
            steps_per_epoch,
            shuffle,
            class_weight,
            self.steps_per_execution,
        )
        validation = None
        if validation_data is not None:
            if validation_batch_size is None:
                validation_batch_size = batch_size
            validation = self._validation(validation_data, validation_batch_size, validation_steps)
            _should_evaluate(0, validation_freq)
        self._prepare(batches_of_epoch.peek(), "train_step")
        ahead.announce(self, batches_of_epoch.peek())
        callbacks = self._callbacks(callbacks, verbose, epochs, batches_of_epoch, history=True)
        step = self._step_of("train", batches_of_epoch.pack)
        self.stop_training = False
        callbacks.on_train_begin()
        logs, epoch_logs = {}, None
        try:
            for epoch in range(self._initial_epoch or initial_epoch, epochs):
                self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                for first, last, data in batches_of_epoch:
                    callbacks.on_train_batch_begin(first)
                    logs = step(data)
                    callbacks.on_train_batch_end(last, logs)
                    if self.stop_training:
                        break
                epoch_logs = self._plain_results(logs)
                if validation is not None and _should_evaluate(epoch, validation_freq):
                    validation.restart()
                    values = self._evaluate(validation, callbacks)
                    epoch_logs.update({f"val_{name}": v for name, v in values.items()})
                callbacks.on_epoch_end(epoch, epoch_logs)
                if self.stop_training:
                    break
        except KeyboardInterrupt:
            # Batches are whole: callbacks finish, history stays, the model can train on.
            callbacks.on_train_end(logs=epoch_logs)
            raise
        if self.optimizer is not None and epochs > 0:
            self.optimizer.finalize_variable_values(self.trainable_weights)
        self._programs.release_if_large()
        callbacks.on_train_end(logs=epoch_logs)
        return self.history

    def _validation(self, data, batch_size, steps):
        if isinstance(data, (tuple, list)):
            x, y, sample_weight = batches.unpack(tuple(data))
        else:
            x, y, sample_weight = data, None, None
        return EpochIterator(
            x,
            y,
            sample_weight,
            batch_size,
            steps,
            steps_per_execution=self.steps_per_execution,
            steps_name="validation_steps",
        )

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        **kwargs,
    ):
        """The loss and metrics on the data: a list in the order of the metrics, or a dict."""
        self._require_compiled("evaluate")
        if kwargs:
            raise ValueError(f"Model.evaluate: unknown arguments. Received: {sorted(kwargs)}")
        data = EpochIterator(
            x,
            y,
            sample_weight,
            batch_size,
            steps,
            steps_per_execution=self.steps_per_execution,
            steps_name="steps",
        )
        self._prepare(data.peek(), "test_step")
        callbacks = self._callbacks(callbacks, verbose, 1, data)
        logs = self._evaluate(data, callbacks)
        self._programs.release_if_large()
        return logs if return_dict else self._in_order(logs)

    def _evaluate(self, data, callbacks):
        step = self._step_of("test", data.pack)
        if self.stop_evaluating:
            self.stop_evaluating = False
        callbacks.on_test_begin()
        self.reset_metrics()
        logs = {}
        for first, last, group in data:
            callbacks.on_test_batch_begin(first)
            logs = step(group)
            callbacks.on_test_batch_end(last, logs)
            if self.stop_evaluating:
                break
        logs = self._plain_results(logs)
        callbacks.on_test_end(logs)
        return logs

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """The model's outputs for all samples of `x`, as NumPy arrays."""
        data = EpochIterator(
            x,
            batch_size=batch_size,
            steps_per_epoch=steps,
            steps_per_execution=self.steps_per_execution,
            steps_name="steps",
        )
        callbacks = self._callbacks(callbacks, verbose, 1, data)
        step = self._step_of("predict", data.pack)
        if self.stop_predicting:
            self.stop_predicting = False
        callbacks.on_predict_begin()
        collected = []
        for first, last, group in data:
            callbacks.on_predict_batch_begin(first)
            collected.extend(step(group))
            callbacks.on_predict_batch_end(last, {"outputs": collected[-1]})
            if self.stop_predicting:
                break
        callbacks.on_predict_end()
        self._programs.release_if_large()
        return joined(collected)

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """One update from one batch; the loss and metrics of this batch."""
        self._require_compiled("train_on_batch")
        if class_weight is not None:
            if sample_weight is not None:
                raise ValueError(
                    "Model.train_on_batch: only one of `class_weight` and `sample_weight` can be "
                    f"given. Received: sample_weight={sample_weight}, class_weight={class_weight}"
                )
            y = array_data.to_arrays(y, "y")
            sample_weight = batches.class_weights_to_sample_weights(y, class_weight)
        data = one_batch(x, y, sample_weight)
        self._prepare(data, "train_step")
        self.reset_metrics()
        return self._results_of_batch(self._run_train_step([data], _as_it_is), return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """The loss and metrics of one batch."""
        self._require_compiled("test_on_batch")
        data = one_batch(x, y, sample_weight)
        self._prepare(data, "test_step")
        self.reset_metrics()
        return self._results_of_batch(self.test_step(as_tensors(data)), return_dict)

    def predict_on_batch(self, x):
        """The model's outputs for one batch, as NumPy arrays."""
        data = as_tensors(one_batch(x, None, None))
        return joined([self.predict_step((data[0],))])

    # What runs one execution of `steps_per_execution` batches

    def make_train_function(self, force=False):
        """Set `train_function`, which takes an iterator of batches and gives the logs of a step.

        A model with a method of its own here has `fit` run the function that it sets.
        """
        if self.train_function is None or force:
            self.train_function = self._taking_batches(self.train_step)
        return self.train_function

    def make_test_function(self, force=False):
        """Set `test_function`, as `make_train_function` does for `evaluate`."""
        if self.test_function is None or force:
            self.test_function = self._taking_batches(self.test_step)
        return self.test_function

    def make_predict_function(self, force=False):
        """Set `predict_function`, as `make_train_function` does for `predict`."""
        if self.predict_function is None or force:
            self.predict_function = self._taking_batches(self.predict_step)
        return self.predict_function

    def _taking_batches(self, step):
        def run(iterator):
            """`step` on the next `steps_per_execution` batches."""
            results = [step(next(iterator))]
            for _, data in zip(range(self.steps_per_execution - 1), iterator, strict=False):
                results.append(step(data))
            if step == self.predict_step and len(results) > 1:
                return joined(results)
            return results[-1]

        return run

    def _step_of(self, kind, pack):
        """What `fit`, `evaluate` and `predict` do with the batches of one execution."""
        method = f"make_{kind}_function"
        if getattr(type(self), method) is not getattr(Loops, method):
            getattr(self, method)()
            function = getattr(self, f"{kind}_function")

            def run(group):
                logs = function(iter([pack(as_tensors(one)) for one in group]))
                return [logs] if kind == "predict" else logs

        elif kind == "train":

            def run(group):
                return self._run_train_step(group, pack)

        elif kind == "test":

            def run(group):
                for one in group:
                    logs = self.test_step(pack(as_tensors(one)))
                return logs

        else:

            def run(group):
                return [self.predict_step(pack(as_tensors(one))) for one in group]

        return run

    # Results

    def _callbacks(self, callbacks, verbose, epochs, data, history=False):
        if isinstance(callbacks, CallbackList):
            return callbacks
        for callback in tree.flatten(callbacks):
            if callback is not None and not hasattr(callback, "set_model"):
                raise ValueError(
                    "keras: `callbacks` must be instances of `keras.callbacks.Callback`. "
                    f"Received: {callback!r} (of type {type(callback)})"
                )
        return CallbackList(
            callbacks,
            add_history=history,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=data.num_batches,
            model=self,
        )

    def _plain_results(self, logs):
        """The epoch's results as floats: the metrics', or the last logs of a custom step."""
        logs = logs() if callable(logs) else logs
        results = self.get_metrics_result()
        if isinstance(logs, dict) and set(logs) == set(results):
            logs = results
        return _flat(logs or {})

    def _in_order(self, logs):
        names = []
        for metric in self.metrics:
            group = metric.metrics if isinstance(metric, CompileMetrics) else [metric]
            names.extend(one.name for one in group)
        ordered = [logs[name] for name in names if name in logs]
        ordered += [logs[name] for name in sorted(logs) if name not in names]
        return ordered[0] if len(ordered) == 1 else ordered

    def _results_of_batch(self, logs, return_dict):
        logs = logs() if callable(logs) else logs
        logs = _flat(logs)
        return logs if return_dict else self._in_order(logs)


def _flat(logs):
    """Plain results sorted by name; a dict's (the compiled metrics') by their own, at its place."""
    flat = {}
    for name, value in sorted(logs.items()):
        value = plain(value)
        flat.update(_flat(value) if isinstance(value, dict) else {name: value})
    return flat


def _as_it_is(data):
    return data


def _should_evaluate(epoch, validation_freq):
    if isinstance(validation_freq, int) and validation_freq > 0:
        return (epoch + 1) % validation_freq == 0
    if isinstance(validation_freq, (list, tuple, set)):
        return epoch + 1 in validation_freq
    raise ValueError(
        "Model.fit: `validation_freq` must be an int of at least 1 or a list of epochs. "
        f"Received: validation_freq={validation_freq!r}"
    )
