"""What programs compute: the forward pass, and a whole training step up to the gradients."""

from __future__ import annotations

import numpy as np

from kerasmirror import _export
from kerasmirror.autodiff.tape import GradientTape
from kerasmirror.core.tensor import Tensor
from kerasmirror.losses.loss import reduce_weighted_values
from kerasmirror.optimizers.optimizer import Optimizer
from kerasmirror.training import nests

_LOSSES = ("SparseCategoricalCrossentropy", "CategoricalCrossentropy")
_FUNCTIONS = ("sparse_categorical_crossentropy", "categorical_crossentropy")
_SINGLE = np.dtype(np.float32)


def _scales_losses(optimizer):
    """Whether what is differentiated is not the loss itself."""
    own = type(optimizer).scale_loss is not Optimizer.scale_loss
    return own or optimizer.loss_scale_factor is not None


class Forward:
    """The forward pass of inference."""

    def __init__(self, eager, arrangement, options):
        self._eager = eager
        self._arrangement = arrangement
        self._options = options
        self._outputs = None
        self.constants = []

    def compute(self, inputs):
        """Arrays of the results: the outputs, and the logits they were computed from."""
        x = nests.arranged([Tensor(array) for array in inputs], self._arrangement)
        self._outputs = nests.Outputs(self._eager(x, **self._options))
        self._eager = None  # holds the model
        arrays, _ = self._outputs.take()
        return arrays if self._outputs.are_tensors else None, []

    def output(self, fresh, kept=()):
        return self._outputs.of(fresh)


class Training:
    """Forward pass, loss of each sample, backward pass."""

    def __init__(self, model, loss, sparse, weights, n):
        self._model = model
        self._loss = loss
        self._compile_loss = model._compile_loss
        self._optimizer = model.optimizer
        # The optimizer's own list, which it need not compare, where it is the same.
        own = getattr(model.optimizer, "_trainable_variables", ())
        same = len(own) == len(weights) and all(a is b for a, b in zip(own, weights, strict=True))
        self._weights = own if same else weights
        self._flags = [(v, v._trainable, v._regularizer) for v in model.variables]
        self._rows = n
        self._classes = None
        self._sparse = sparse
        self._outputs = None
        # The gradient of the mean: the same for any values.
        values = Tensor(np.zeros(n, np.float32))
        with GradientTape() as tape:
            tape.watch(values)
            mean = reduce_weighted_values(values, None, None, loss.reduction, loss.dtype)
        (self._seed,) = tape.gradient_arrays([mean], [values], [None])
        self._seed = np.array(self._seed, np.float32)
        self.constants = [self._seed]

    @classmethod
    def of(cls, model, x, y):
        """The plan for batches like these; None for a model whose step is not known."""
        compiled = model._compile_loss
        kinds = [_export.lookup(f"losses.{name}") for name in _LOSSES]
        if compiled is None or not compiled.built or len(compiled.losses) != 1:
            return None
        loss, weights = compiled.losses[0], model.trainable_weights
        options = getattr(loss, "_fn_kwargs", None)
        functions = [_export.lookup(f"losses.{name}") for name in _FUNCTIONS]
        known = type(loss) in kinds or (options == {} and getattr(loss, "fn", None) in functions)
        optimizer = model.optimizer
        if (
            not known
            or compiled.weights[0] is not None
            or loss.reduction != "sum_over_batch_size"
            or loss.dtype != "float32"
            or options.get("ignore_class") is not None
            or options.get("label_smoothing")
            or options.get("axis", -1) != -1
            or not weights
            or any(v._regularizer is not None for v in model.variables)
            or optimizer is None
            or not type(optimizer).__module__.startswith("kerasmirror.optimizers.")
            or _scales_losses(optimizer)
        ):
            return None
        sparse = loss.fn is functions[0]
        if sparse != (y.dtype.kind in "iu") or y.shape[0] != x.shape[0]:
            return None
        return cls(model, loss, sparse, weights, x.shape[0])

    def holds(self, model):
        """Whether the step is still this one."""
        if model._compile_loss is not self._compile_loss or model.optimizer is not self._optimizer:
            return False
        if _scales_losses(self._optimizer):
            return False
        return all([v._trainable is t and v._regularizer is r for v, t, r in self._flags])

    def targets(self, y):
        """The targets as the loss takes them; None where they are not right."""
        if not self._sparse:
            return y if y.dtype is _SINGLE and y.flags.c_contiguous else None
        labels = y if y.dtype == np.int64 else y.astype(np.int64)
        if labels.shape != (self._rows,):
            if labels.shape != (self._rows, 1):
                return None
            labels = labels.reshape(self._rows)
        # As unsigned numbers, negative ones are huge. What is wrong is told by the eager step.
        if self._classes is not None and labels.view(np.uint64).max() >= self._classes:
            return None
        return np.ascontiguousarray(labels)

    def compute(self, inputs):
        x, y = inputs
        model, self._model = self._model, None
        with GradientTape() as tape:
            y_pred = model(Tensor(x), training=True)
            if type(y_pred) is not Tensor or y_pred.ndim != 2:
                return None, None
            values = self._loss.call(Tensor(y), y_pred)
        gradients = tape.gradient_arrays([values], self._weights, [self._seed])
        if any(g is None for g in gradients):
            return None, None
        self._classes = y_pred.shape[-1]
        self._outputs = nests.Outputs(y_pred)
        arrays, _ = self._outputs.take()
        return [values.data, *arrays], gradients

    def output(self, fresh, kept):
        values, *rest = fresh
        # What `reduce_weighted_values` computes, in a tenth of its time.
        mean = Tensor(np.asarray(np.add.reduce(values) / values.dtype.type(values.size)))
        return self._outputs.of(rest), mean, self._weights, kept
