"""Steps: loss, metrics and what happens with one batch; the parts that a model may override."""

from __future__ import annotations

import inspect
import warnings

import numpy as np

from kerasmirror import ops
from kerasmirror.autodiff.tape import GradientTape, no_grad
from kerasmirror.core import config, dtypes, tree
from kerasmirror.core.stateless import StatelessScope
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import all_or_nothing
from kerasmirror.training import graphs, program
from kerasmirror.training.compile import CompileMetrics
from kerasmirror.training.data import batch as batches
from kerasmirror.training.data.settling import as_tensors


class Steps:
    """What `Trainer` does with one batch; see `keras.Model` for the public contract."""

    # Metrics

    @property
    def metrics(self):
        """The loss's mean, the compiled metrics, the losses of outputs, the model's and layers'."""
        found = []
        if self.compiled:
            found.append(self._loss_tracker)
            if self._compile_metrics is not None:
                found.append(self._compile_metrics)
            if self._compile_loss is not None:
                found.extend(self._compile_loss.metrics)
        found.extend(self._metrics)
        for layer in self._flatten_layers(include_self=False):
            if not isinstance(layer, Steps):
                found.extend(layer._metrics)
        return found

    @property
    def metrics_names(self):
        return [metric.name for metric in self.metrics]

    def reset_metrics(self):
        """Set every metric back to its start."""
        for metric in self.metrics:
            metric.reset_state()

    def get_metrics_result(self):
        """The current value of each metric, by name."""
        results = {}
        for metric in self.metrics:
            if isinstance(metric, CompileMetrics) and not metric.built:
                continue  # a train_step of the user's own that does without them
            value = metric.result()
            if isinstance(value, dict):
                results.update(value)
            else:
                results[metric.name] = value
        return results

    # Loss and metrics of a batch

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """The loss of a batch: that of `compile`, plus add_loss's and the regularizers'.

        Raises: ValueError when there is neither.
        """
        total = None
        if self._compile_loss is not None and y is not None:
            total = self._compile_loss(y, y_pred, sample_weight)
        for extra in self.losses:
            if not dtypes.is_float_dtype(extra.dtype):
                extra = ops.cast(extra, config.floatx())
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

    def _compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """`compute_loss`, also where a model's own has no `training`."""
        own = type(self).compute_loss
        if own is not Steps.compute_loss and not _takes_training(own):
            return self.compute_loss(x, y, y_pred, sample_weight)
        return self.compute_loss(x, y, y_pred, sample_weight, training=training)

    def stateless_compute_loss(
        self,
        trainable_variables,
        non_trainable_variables,
        metrics_variables,
        x=None,
        y=None,
        y_pred=None,
        sample_weight=None,
        training=True,
    ):
        """`compute_loss` for given values of the variables, which themselves stay as they are.

        Gives (loss, (trainable, non-trainable, metrics values)); the latter two as they became.
        """
        parts = (
            ("trainable_variables", self.trainable_variables, trainable_variables),
            ("non_trainable_variables", self.non_trainable_variables, non_trainable_variables),
            ("metrics_variables", self.metrics_variables, metrics_variables),
        )
        for name, own, given in parts:
            if len(own) != len(given):
                raise ValueError(
                    f"Model.stateless_compute_loss: `{name}` must hold {len(own)} values, one for "
                    f"each variable. Received: {len(given)} values"
                )
        mapping = [pair for _, own, given in parts for pair in zip(own, given, strict=True)]
        with StatelessScope(mapping) as scope:
            loss = self._compute_loss(x, y, y_pred, sample_weight, training)
        after = [[scope.get_current_value(variable) for variable in own] for _, own, _ in parts[1:]]
        return loss, (trainable_variables, *after)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """Update the compiled metrics with a batch; the current value of every metric, by name."""
        self._update_metrics(x, y, y_pred, sample_weight)
        return self.get_metrics_result()

    def _update_metrics(self, x, y, y_pred, sample_weight):
        if self._compile_metrics is not None and y is not None:
            with no_grad():
                self._compile_metrics.update_state(y, y_pred, sample_weight)

    # Steps

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
            loss = self._compute_loss(x, y, y_pred, sample_weight, training=True)
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
        own_loss = type(self).compute_loss is not Steps.compute_loss
        if self._compile_loss is not None or own_loss or self.losses:
            loss = self._compute_loss(x, y, y_pred, sample_weight, training=False)
            self._loss_tracker.update_state(loss, sample_weight=_batch_length(x))
        return self.compute_metrics(x, y, y_pred, sample_weight=sample_weight)

    def predict_step(self, data):
        """The outputs for one batch."""
        x, _, _ = batches.unpack(data)
        return self(x, training=False)

    # Several batches of one execution

    def _run_train_step(self, data, pack):
        """All batches of one execution; the logs, or a function that gives them when asked."""
        kind = type(self)
        if (
            kind.train_step is not Steps.train_step
            or kind.compute_metrics is not Steps.compute_metrics
        ):
            for one in data:
                logs = self.train_step(pack(as_tensors(one)))
            return logs
        for one in data:
            if graphs.on_gpu():
                graphs.check_labels(self, one[1])
            if not self._train_by_program(*one):
                x, y, sample_weight = as_tensors(one)
                self._train_on(x, y, sample_weight, self._update_metrics)
                program.eager_done(self, "training")
        return self.get_metrics_result

    def _train_by_program(self, x, y, sample_weight):
        """One update from one batch of arrays, where a program of the step is at hand."""
        with all_or_nothing():
            if graphs.on_gpu():
                return self._train_by_graph(x, y, sample_weight)
            found = program.training(self, x, y, sample_weight)
            if found is None:
                return False
            (y_pred, loss, weights, gradients), holder = found
            try:
                self._loss_tracker.update_state(loss, sample_weight=x.shape[0])
                self._update_metrics(Tensor(x), Tensor(y), y_pred, None)
                self.optimizer.apply(gradients, weights)
            finally:
                if holder is not None:
                    holder.release()
            return True

    def _train_by_graph(self, x, y, sample_weight):
        """The same on a GPU, where a graph of the step is at hand."""
        if sample_weight is not None or type(x) is not np.ndarray or type(y) is not np.ndarray:
            return False
        programs = self.__dict__.get("_programs")
        if programs is None:
            return False
        step = graphs.training(programs, self, x, y, Steps.compute_loss)
        if step is None:
            return False
        self._loss_tracker.update_state(step.loss, sample_weight=x.shape[0])
        self._update_metrics(step.x, step.y, step.y_pred, None)
        self.optimizer.apply(step.gradients, step.weights)
        return True


def _takes_training(function):
    parameters = inspect.signature(function).parameters.values()
    return any(p.name == "training" or p.kind is p.VAR_KEYWORD for p in parameters)


def _batch_length(x):
    return next(leaf.shape[0] for leaf in tree.flatten(x) if leaf is not None)
