"""Trainer: what `compile` sets, and how a model is made ready for data."""

from __future__ import annotations

import warnings

from kerasmirror import metrics as metrics_module
from kerasmirror import optimizers
from kerasmirror.core import serialization, tree
from kerasmirror.training import program
from kerasmirror.training.compile import CompileLoss, CompileMetrics
from kerasmirror.training.data import batch as batches
from kerasmirror.training.data.settling import placeholder
from kerasmirror.training.loops import Loops
from kerasmirror.training.steps import Steps


class Trainer(Loops, Steps):
    """The training half of a Model; see `keras.Model` for the public contract."""

    # Of a model whose constructor has not run to its end.
    _run_eagerly = False
    _jit_compile = None
    train_function = test_function = predict_function = None

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
        `steps_per_execution` batches run between two calls of the callbacks. With
        `auto_scale_loss`, the optimizer of a "mixed_float16" model becomes a LossScaleOptimizer.
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
        if jit_compile is True and run_eagerly:
            warnings.warn(
                "Model.compile: `jit_compile` must not be True with `run_eagerly=True`. It is "
                "taken as False.",
                stacklevel=2,
            )
            jit_compile = False
        arguments = {
            "optimizer": optimizer,
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
            "run_eagerly": run_eagerly,
            "steps_per_execution": steps_per_execution,
            "jit_compile": jit_compile,
        }
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
        self.jit_compile = None if jit_compile == "auto" else jit_compile
        self.steps_per_execution = steps_per_execution
        self.stop_training = False
        self.train_function = self.test_function = self.predict_function = None
        self.compiled = True
        self._note_trainable_state()
        self.__dict__["_compile_arguments"] = arguments

    @property
    def run_eagerly(self):
        """Whether every pass runs layer by layer."""
        return self._run_eagerly

    @run_eagerly.setter
    def run_eagerly(self, value):
        self._run_eagerly = value

    @property
    def jit_compile(self):
        """What `compile` was told; "auto" is whether the model does not run eagerly."""
        if self._jit_compile is None:
            return not self._run_eagerly
        return self._jit_compile

    @jit_compile.setter
    def jit_compile(self, value):
        self._jit_compile = value

    def get_compile_config(self):
        """What `compile` was given, as plain data."""
        if not self.compiled:
            return {}
        return serialization.serialize_keras_object(self._compile_arguments)

    def compile_from_config(self, config):
        """Compile as `get_compile_config` described."""
        if type(self).compile is not Trainer.compile:
            warnings.warn(
                "`compile()` was not called as part of model loading because the model's "
                "`compile()` method is custom. Call it yourself, or override "
                "`compile_from_config()` too.",
                stacklevel=2,
            )
            return
        self.compile(**serialization.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)

    # Ready for data

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

    def _prepare(self, data, step):
        """Build the model, from a batch's shapes, and the optimizer, where they are not built.

        `step` is the name of the method that runs: one of the user's own may call the layers
        itself, or this model with something else than the first part of a batch.
        """
        own = getattr(type(self), step) is not getattr(Trainer, step)
        if not self.built and not own and self._has_call():
            self(tree.map_structure(placeholder, data[0]), training=False)
        if self.optimizer is not None and self.built and not self.optimizer.built:
            self.optimizer.build(self.trainable_variables)

    def _symbolic_build(self, iterator=None, data_batch=None):
        """Build model, optimizer, compiled loss and metrics from a batch's shapes alone."""
        if data_batch is None:
            data_batch = next(iter(iterator))[2][0]
        x, y, _ = batches.unpack(data_batch)
        self._prepare((x,), "train_step")
        y_pred = self(tree.map_structure(placeholder, x), training=False)
        targets = tree.map_structure(placeholder, y)
        for part in (self._compile_loss, self._compile_metrics):
            if part is not None and not part.built:
                part.build(targets, y_pred)
