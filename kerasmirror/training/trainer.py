"""Trainer: compile, fit, evaluate, predict and the steps that a model may override."""

from __future__ import annotations

import warnings

import numpy as np

from kerasmirror import metrics as metrics_module
from kerasmirror import ops, optimizers
from kerasmirror.autodiff.tape import GradientTape, no_grad
from kerasmirror.callbacks.callback_list import CallbackList
from kerasmirror.core import checks, config, serialization, tree
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import all_or_nothing
from kerasmirror.training import ahead, program
from kerasmirror.training.compile import CompileLoss, CompileMetrics
from kerasmirror.training.data import array as array_data
from kerasmirror.training.data import batch as batches
from kerasmirror.training.epoch_iterator import EpochIterator


class Trainer:
    """The training half of a Model; see `keras.Model` for the public contract."""

    def _start_trainer(self):
        self.optimizer = None
        self.loss = None
        self.compiled = False
        self.stop_training = False
        self.stop_evaluating = False
        self.stop_predicting = False
        self.history = None
        self.steps_per_execution = 1
        self._initial_epoch = None
        self._compile_loss = None
        self._compile_metrics = None
        self._loss_tracker = None
        self._compile_arguments = None
        self._compiled_trainable_state = ()
        self.__dict__["_programs"] = program.Programs()

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        loss_weights=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=1,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
        """Set optimizer, loss and metrics.

        With `run_eagerly` every pass runs layer by layer; without, a model of known layers may run
        what it has run before as one recorded program, with the same results. `jit_compile` changes
        nothing: kernels are always compiled.
        `steps_per_execution` batches run between two calls of the callbacks.
        Raises: ValueError for unknown names; the model keeps what it was compiled with before.
        """
        optimizer = optimizers.get(optimizer)
        output_names = getattr(self, "output_names", None)
        compile_loss = None
        if loss is not None:
            compile_loss = CompileLoss(loss, loss_weights, output_names)
        compile_metrics = None
        if metrics is not None or weighted_metrics is not None:
            compile_metrics = CompileMetrics(metrics, weighted_metrics, output_names)
        if not hasattr(steps_per_execution, "__index__") or steps_per_execution < 1:
            raise ValueError(
                "Model.compile: `steps_per_execution` must be an int of at least 1. "
                f"Received: steps_per_execution={steps_per_execution!r}"
            )
        scaled = getattr(optimizers, "LossScaleOptimizer", None)
        if auto_scale_loss and optimizer is not None and scaled is not None:
            if self.dtype_policy.name == "mixed_float16" and not isinstance(optimizer, scaled):
                optimizer = scaled(optimizer, name="loss_scale_optimizer")
        self.optimizer = optimizer
        self.loss = loss
        # Plain attributes: trackers must not list these as the model's own metrics.
        self.__dict__["_compile_loss"] = compile_loss
        self.__dict__["_compile_metrics"] = compile_metrics
        self.__dict__["_loss_tracker"] = metrics_module.Mean(name="loss")
        self.run_eagerly = run_eagerly
        self.jit_compile = jit_compile
        self.steps_per_execution = steps_per_execution
        self.stop_training = False
        self.compiled = True
        self._note_trainable_state()
        self.__dict__["_compile_arguments"] = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }

    def get_compile_config(self):
        """What `compile` was given, as plain data."""
        if not self.compiled:
            return {}
        return serialization.serialize_keras_object(self._compile_arguments)

    def compile_from_config(self, config):
        """Compile as `get_compile_config` described."""
        if type(self).compile is not Trainer.compile:
            warnings.warn(
                "keras: `compile()` was not called while loading, because the model overrides it; "
                "call it yourself, or override `compile_from_config()` too.",
                stacklevel=2,
            )
            return
        self.compile(**serialization.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    # Metrics

    @property
    def metrics(self):
        found = []
        if self.compiled:
            found.append(self._loss_tracker)
            if self._compile_metrics is not None:
                found.extend(self._compile_metrics.metrics)
            if self._compile_loss is not None:
                found.extend(self._compile_loss.metrics)
        found.extend(self._metrics)
        for layer in self._flatten_layers(include_self=False):
            if not isinstance(layer, Trainer):
                found.extend(layer._metrics)
        return found

    @property
    def metrics_names(self):
        names = []
        if self.compiled:
            names.append("loss")
            if self._compile_metrics is not None:
                names.append("compile_metrics")
            if self._compile_loss is not None:
                names.extend(m.name for m in self._compile_loss.metrics)
        return names + [m.name for m in self._metrics]

    def reset_metrics(self):
        """Set every metric back to its start."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self):
        """The current value of each metric, by name."""
        results = {}
        compiled = self._compile_metrics.metrics if self._compile_metrics is not None else []
        known = {id(metric) for metric in compiled}
        for metric in self.metrics:
            if id(metric) in known:
                if "compile" not in results:
                    results["compile"] = None
                    results.update(self._compile_metrics.result())
                continue
            value = metric.result()
            if isinstance(value, dict):
                results.update(value)
            else:
                results[metric.name] = value
        results.pop("compile", None)
        return results

    # What a model may override

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch: that of `compile`, plus add_loss's and the regularizers'.

        Raises: ValueError when there is neither.
        """
        total = None
        if self._compile_loss is not None and y is not None:
            total = self._compile_loss(y, y_pred, sample_weight)
        for extra in self.losses:
            if getattr(extra, "ndim", 0):
                extra = ops.sum(extra)
            total = extra if total is None else ops.add(total, extra)
        if total is None:
            raise ValueError(
                "Model.compute_loss: there must be a loss, from `compile(loss=...)` with targets "
                "`y`, or from `add_loss()`. "
                f"Received: loss={self.loss!r}, y={'None' if y is None else 'given'}"
            )
        return total

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Update the compiled metrics with a batch; the current value of every metric, by name."""
        self._update_metrics(x, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _update_metrics(self, x, y, y_pred, sample_weight):
        if self._compile_metrics is not None and y is not None:
            with no_grad():
                self._compile_metrics.update_state(y, y_pred, sample_weight)

    def train_step(self, data):
        """One update from one batch; the metrics' values by name."""
        x, y, sample_weight = batches.unpack(data)
        return self._train_on(x, y, sample_weight, self.compute_metrics)

    def _train_on(self, x, y, sample_weight, compute_metrics):
        """Forward, loss, backward, metrics, update; gives what `compute_metrics` gives.

        The update comes last and what the forward pass assigned (moving statistics) is taken back
        on an error, so that data which does not fit leaves the model as it was.
        """
        with all_or_nothing():
            y_pred, weights, gradients = self._gradients(x, y, sample_weight)
            results = compute_metrics(x, y, y_pred, sample_weight=sample_weight)
            if gradients is not None:
                self.optimizer.apply(gradients, weights)
        return results

    def _gradients(self, x, y, sample_weight):
        """The prediction, and the trainable weights with their gradients."""
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=True
            )
            with tape.stop_recording():
                self._loss_tracker.update_state(loss, sample_weight=_batch_length(x))
            if self.optimizer is not None:
                loss = self.optimizer.scale_loss(loss)
        weights = self.trainable_weights
        if not weights:
            warnings.warn("The model does not have any trainable weights.", stacklevel=5)
            return y_pred, weights, None
        if self.optimizer is None:
            raise ValueError(
                "Model.fit: `optimizer` must be given to compile() for training. "
                "Received: optimizer=None"
            )
        return y_pred, weights, tape.gradient_arrays([loss], weights, [None])

    def test_step(self, data):
        """Loss and metrics of one batch, without an update."""
        x, y, sample_weight = batches.unpack(data)
        y_pred = self(x, training=False)
        own_loss = type(self).compute_loss is not Trainer.compute_loss
        if self._compile_loss is not None or own_loss or self.losses:
            loss = self.compute_loss(
                x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=False
            )
            self._loss_tracker.update_state(loss, sample_weight=_batch_length(x))
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data):
        """The outputs for one batch."""
        x, _, _ = batches.unpack(data)
        return self(x, training=False)

    # Loops

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

        `x` and `y` are arrays (or nests of them), or `x` is a generator or PyDataset of batches.
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
            val_x, val_y, val_weight = _unpack_validation(validation_data)
            validation = EpochIterator(
                val_x,
                val_y,
                val_weight,
                batch_size if validation_batch_size is None else validation_batch_size,
                validation_steps,
                steps_per_execution=self.steps_per_execution,
                steps_name="validation_steps",
            )
            _should_evaluate(0, validation_freq)
        self._prepare(batches_of_epoch.peek())
        ahead.announce(self, batches_of_epoch.peek())
        callbacks = self._callbacks(callbacks, verbose, epochs, batches_of_epoch, history=True)
        self.stop_training = False
        callbacks.on_train_begin()
        logs, epoch_logs = {}, None
        try:
            for epoch in range(self._initial_epoch or initial_epoch, epochs):
                self.reset_metrics()
                callbacks.on_epoch_begin(epoch)
                for first, last, data in batches_of_epoch:
                    callbacks.on_train_batch_begin(first)
                    logs = self._run_train_step(data)
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

    def _run_train_step(self, data):
        """All batches of one execution; the logs, or a function that gives them when asked."""
        if type(self).train_step is not Trainer.train_step or (
            type(self).compute_metrics is not Trainer.compute_metrics
        ):
            for one in data:
                logs = self.train_step(_as_tensors(one))
            return logs
        for one in data:
            if not self._train_by_program(*one):
                x, y, sample_weight = _as_tensors(one)
                self._train_on(x, y, sample_weight, self._update_metrics)
                program.eager_done(self, "training")
        return self.get_metrics_result

    def _train_by_program(self, x, y, sample_weight):
        """One update from one batch of arrays, where a program of the step is at hand."""
        found = program.training(self, x, y, sample_weight)
        if found is None:
            return False
        (y_pred, loss, weights, gradients), lock = found
        try:
            self._loss_tracker.update_state(loss, sample_weight=x.shape[0])
            self._update_metrics(Tensor(x), Tensor(y), y_pred, None)
            self.optimizer.apply(gradients, weights)
        finally:
            if lock is not None:
                lock.release()
        return True

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
        self._prepare(data.peek())
        callbacks = self._callbacks(callbacks, verbose, 1, data)
        logs = self._evaluate(data, callbacks)
        self._programs.release_if_large()
        return logs if return_dict else self._in_order(logs)

    def _evaluate(self, data, callbacks):
        if self.stop_evaluating:
            self.stop_evaluating = False
        callbacks.on_test_begin()
        self.reset_metrics()
        logs = {}
        for first, last, group in data:
            callbacks.on_test_batch_begin(first)
            for one in group:
                logs = self.test_step(_as_tensors(one))
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
        if self.stop_predicting:
            self.stop_predicting = False
        callbacks.on_predict_begin()
        collected = []
        for first, last, group in data:
            callbacks.on_predict_batch_begin(first)
            for one in group:
                collected.append(self.predict_step(_as_tensors(one)))
            callbacks.on_predict_batch_end(last, {"outputs": collected[-1]})
            if self.stop_predicting:
                break
        callbacks.on_predict_end()
        self._programs.release_if_large()
        return _joined(collected)

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
        data = _one_batch(x, y, sample_weight)
        self._prepare(data)
        self.reset_metrics()
        return self._results_of_batch(self.train_step(_as_tensors(data)), return_dict)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """The loss and metrics of one batch."""
        self._require_compiled("test_on_batch")
        data = _one_batch(x, y, sample_weight)
        self._prepare(data)
        self.reset_metrics()
        return self._results_of_batch(self.test_step(_as_tensors(data)), return_dict)

    def predict_on_batch(self, x):
        """The model's outputs for one batch, as NumPy arrays."""
        data = _as_tensors(_one_batch(x, None, None))
        return _joined([self.predict_step(data)])

    # Parts of the loops

    def _require_compiled(self, method):
        if not self.compiled:
            raise ValueError(
                f"Model.{method}: `compile()` must be called before. "
                f"Received: model '{self.name}', which is not compiled"
            )
        changed = [
            layer.name for layer, was in self._compiled_trainable_state if layer.trainable != was
        ]
        if changed:
            warnings.warn(
                "keras: `trainable` has changed since the model was compiled; call `compile()` "
                f"again for it to take full effect. Changed layers: {changed}",
                stacklevel=3,
            )
            self._note_trainable_state()

    def _note_trainable_state(self):
        # Not by assignment, which would track the layers, this model among them, as sublayers.
        self.__dict__["_compiled_trainable_state"] = tuple(
            (layer, layer.trainable) for layer in self._flatten_layers()
        )

    def _prepare(self, data):
        """Build the model, from a batch's shapes, and the optimizer, where they are not built."""
        if not self.built:
            self(tree.map_structure(_placeholder, data[0]), training=False)
        if self.optimizer is not None and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

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
        return {name: _plain(value) for name, value in (logs or {}).items()}

    def _in_order(self, logs):
        names = [metric.name for metric in self.metrics]
        ordered = [logs[name] for name in names if name in logs]
        ordered += [logs[name] for name in sorted(logs) if name not in names]
        return ordered[0] if len(ordered) == 1 else ordered

    def _results_of_batch(self, logs, return_dict):
        logs = {name: _plain(value) for name, value in logs.items()}
        return logs if return_dict else self._in_order(logs)


def _should_evaluate(epoch, validation_freq):
    if isinstance(validation_freq, int) and validation_freq > 0:
        return (epoch + 1) % validation_freq == 0
    if isinstance(validation_freq, (list, tuple, set)):
        return epoch + 1 in validation_freq
    raise ValueError(
        "Model.fit: `validation_freq` must be an int of at least 1 or a list of epochs. "
        f"Received: validation_freq={validation_freq!r}"
    )


def _unpack_validation(data):
    if isinstance(data, (tuple, list)):
        return batches.unpack(tuple(data))
    return data, None, None


def _one_batch(x, y, sample_weight):
    data = tuple(
        array_data.to_arrays(part, name)
        for part, name in ((x, "x"), (y, "y"), (sample_weight, "sample_weight"))
    )
    batches.check_same_length(*data)
    return data


def _as_tensors(data):
    return tuple([_tensor(part) for part in data])


def _tensor(part):
    if isinstance(part, np.ndarray):
        return Tensor(part)
    return None if part is None else tree.map_structure(_tensor, part)


def _placeholder(value):
    if value is None:
        return None
    return KerasTensor((None, *value.shape[1:]), value.dtype, record_history=False)


def _batch_length(x):
    return tree.flatten(x)[0].shape[0]


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array


def _joined(collected):
    """The batches' outputs, one after the other along the first axis."""
    if not collected:
        raise ValueError("Model.predict: `x` must contain at least one batch. Received: none")

    def join(*parts):
        if len(parts) == 1:
            return np.array(parts[0].data)
        return np.concatenate([part.data for part in parts])

    return tree.map_structure(join, *collected)
