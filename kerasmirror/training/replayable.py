"""What programs are made for: models whose every part is known to compute by noted steps alone."""

from __future__ import annotations

import functools

import numpy as np

from kerasmirror import _export
from kerasmirror.core.tensor import Tensor

# Layers that compute by launches and noted functions, or not at all. A subclass is none of them.
_LAYERS = (
    "Activation",
    "Add",
    "AveragePooling1D",
    "AveragePooling2D",
    "AvgPool1D",
    "BatchNormalization",
    "Concatenate",
    "Conv1D",
    "Conv2D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Dropout",
    "ELU",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "InputLayer",
    "LeakyReLU",
    "MaxPooling1D",
    "MaxPooling2D",
    "Maximum",
    "Minimum",
    "Multiply",
    "ReLU",
    "Reshape",
    "SeparableConv1D",
    "SeparableConv2D",
    "Softmax",
    "Subtract",
)

# What calls of the methods of a model set on it, and that no pass reads.
_BESIDE = frozenset(
    (
        "history", "stop_training", "stop_evaluating", "stop_predicting", "optimizer", "loss",
        "_compile_loss", "_compile_metrics", "_loss_tracker", "_compile_arguments",
        "_compiled_trainable_state", "_programs", "compiled", "_jit_compile", "_initial_epoch",
        "steps_per_execution", "train_function", "test_function", "predict_function",
    )
)  # fmt: skip
_VALUES = (bool, int, float, str, bytes, type(None), Tensor, np.ndarray, np.generic)


def flat_layers(model):
    """Every layer of the model at any depth, itself first."""
    return model._flatten_layers()


@functools.cache
def _known():
    """Classes of models (a stack, a graph), of layers, and the activations."""
    model = _export.lookup("Model")
    models = (_export.lookup("Sequential"), model._functional_class)
    calls = {(kind.__call__, kind.call) for kind in models}
    layers = {_export.lookup(f"layers.{name}") for name in _LAYERS}
    return models, calls, layers, set(_export.family("activations").values())


def _is_graph_of_layers(layer, models, calls):
    """Whether a layer is a stack or a graph; a user's subclass that trains otherwise is one."""
    kind = type(layer)
    return isinstance(layer, models) and (kind.__call__, kind.call) in calls


def is_replayable(model):
    """Whether every part of the model is known, as it comes, to compute by noted steps alone."""
    models, calls, layers, activations = _known()
    if not _is_graph_of_layers(model, models, calls) or model._run_eagerly:
        return False
    for layer in flat_layers(model):
        kind = type(layer)
        if _is_graph_of_layers(layer, models, calls):
            if isinstance(layer, models[1]) and not all(
                hasattr(operation, "_flatten_layers") for operation in layer.operations
            ):
                return False  # operations outside of layers
        elif kind not in layers:
            return False
        policy = layer._policy
        if policy.compute_dtype != "float32" or policy.variable_dtype != "float32":
            return False
        if policy.quantization_mode is not None or vars(layer).get("lora_enabled"):
            return False
        if layer.activity_regularizer is not None or layer._losses or "call" in vars(layer):
            return False
        activation = vars(layer).get("activation")
        if activation is not None and activation not in activations:
            return False
    return True


class Guard:
    """What a model was made of when its programs were recorded."""

    def __init__(self, model):
        variables = model.variables
        self._variables = variables
        self._arrays = [variable.data for variable in variables]
        self._calls = {type(layer): type(layer).call for layer in flat_layers(model)}
        self._calls = list(self._calls.items())
        self._state = _state_of(model)

    def weights_in_place(self):
        """Whether no variable has another array than before, no class another `call`."""
        for variable, array in zip(self._variables, self._arrays, strict=True):
            if variable.data is not array:
                return False
        return all([kind.call is call for kind, call in self._calls])

    def still_holds(self, model):
        """Whether nothing that matters has changed, layer by layer."""
        if not self.weights_in_place():
            return False
        state = _state_of(model)
        return len(state) == len(self._state) and all(
            a is b for a, b in zip(state, self._state, strict=True)
        )


def _state_of(model):
    """Everything that the model and its layers keep, as a flat list to be compared by identity."""
    state, models = [], _known()[0]
    for layer in flat_layers(model):
        state.append(layer)
        # A user's subclass of a graph keeps things of its own, counters say, which no pass reads.
        own = isinstance(layer, models) and type(layer) not in models
        for name, value in vars(layer).copy().items():  # another thread may be compiling it
            if name not in _BESIDE and not (
                own and name[0] != "_" and isinstance(value, _VALUES) and name != "trainable"
            ):
                state.append(value)
    return state
