"""trace_flow: what happens to signals on their way forward and to gradients on their way back.

One forward and one backward pass over a batch, watched from outside: for the time of the pass each
layer's `call` is wrapped, so that its results are kept and asked the tape about.
"""

from __future__ import annotations

import contextlib
import functools
import random as python_random
from typing import Any, NamedTuple

import numpy as np

from kerasmirror import ops, random
from kerasmirror._export import export
from kerasmirror.autodiff.tape import GradientTape
from kerasmirror.core import checks, config, scopes, tree
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.tracking import CHANGES
from kerasmirror.layers.core.input_layer import InputLayer
from kerasmirror.layers.layer import Layer
from kerasmirror.models.model import Model
from kerasmirror.training.compile import CompileLoss
from kerasmirror.training.data import array as array_data
from kerasmirror.training.data import batch as batches
from kerasmirror.utils.flow_report import FlowTrace, Signal, statistics_of


@export("utils.trace_flow")
def trace_flow(
    model, x, y=None, sample_weight=None, *, loss=None, training=True, bins=20, operations=True
):
    """A FlowTrace: how large signals and gradients are, layer by layer, for one batch.

    The batch goes through the model once and its loss' gradient comes back once. For the input,
    each layer's output at each of its calls, and each weight, the trace has the values' and the
    gradient's mean, standard deviation, share of zeros, numbers of NaNs and infinities, and
    histogram. Layers inside of layers are listed under their path, "encoder/dense".

    The model stays as it is: weights, moving statistics, metrics, optimizer and random states are
    those of before. A model that is not built yet is built from the batch.

    Args: `x`, `y`, `sample_weight`, one batch, as `train_on_batch` takes it. `loss`, a loss as
    `compile` takes it; by default the compiled one. `training`, whether dropout is on and batch
    normalization uses the batch. `bins` of the histograms. `operations`, whether a Functional
    model's operations that are no layers (`x + y`) are listed too.
    Raises: TypeError for what is no model, ValueError without a loss or for data that does not fit.
    Source: our own, after Klesk 2024, https://doi.org/10.3390/app14219972, section 5.
    """
    if not isinstance(model, Model):
        checks.fail("trace_flow", "model", "a keras.Model", model, TypeError)
    checks.boolean(training, "training", owner="trace_flow")
    checks.boolean(operations, "operations", owner="trace_flow")
    bins = checks.count(bins, "bins", owner="trace_flow")
    if loss is None and not model.compiled:
        raise ValueError(
            "trace_flow: `loss` must be given for a model that is not compiled. "
            f"Received: loss=None for model '{model.name}'"
        )
    x, y, sample_weight = _batch(x, y, sample_weight)
    if y is None and loss is not None:
        checks.fail("trace_flow", "y", "given where `loss` is", y)
    if not model.built:
        model(x, training=False)
    with _unchanged(model), config.fusion(False):
        calls, tape, value = _run(model, x, y, sample_weight, loss, training, operations)
    return FlowTrace(model.name, float(value.data), training, _signals(model, calls, tape, bins))


class _Call(NamedTuple):
    """One call of a layer: its number, and one of the tensors it gave."""

    layer: Any
    path: str
    depth: int
    number: int
    tensor: Tensor


class _Tape(NamedTuple):
    """The gradients of the pass, by the number that a tensor or variable has on the tape."""

    gradients: dict

    def of(self, value):
        return None if value.key is None else self.gradients.get(value.key)


def _batch(x, y, sample_weight):
    parts = [
        array_data.to_arrays(part, name)
        for part, name in ((x, "x"), (y, "y"), (sample_weight, "sample_weight"))
    ]
    if x is None:
        checks.fail("trace_flow", "x", "an array or a nest of arrays", x)
    if batches.check_same_length(*parts) == 0:
        raise ValueError(
            "trace_flow: `x` must contain at least one sample. Received: arrays of length 0"
        )
    return [tree.map_structure(_tensor, part) for part in parts]


def _tensor(leaf):
    return None if leaf is None else Tensor(leaf)


def _run(model, x, y, sample_weight, loss, training, operations):
    """The calls of one pass, the gradients, and the loss."""
    recorder = _Recorder(model)
    inputs = [leaf for leaf in tree.flatten(x) if leaf is not None]
    with GradientTape() as tape, recorder.watching(operations):
        recorder.tape = tape
        tape.watch([leaf for leaf in inputs if leaf.data.dtype.kind == "f"])
        y_pred = model(x, training=training)
        recorder.note_outputs(y_pred)
        value = _loss_of(model, x, y, y_pred, sample_weight, loss, training)
    for number, leaf in enumerate(inputs):
        name = "input" if len(inputs) == 1 else f"input_{number}"
        recorder.calls.insert(number, _Call(None, name, 0, 0, leaf))
    asked = [call.tensor for call in recorder.calls] + list(model.trainable_weights)
    asked += [t.logits for t in asked if isinstance(getattr(t, "logits", None), Tensor)]
    arrays = tape.gradient_arrays([value], asked, [None])
    pairs = zip(asked, arrays, strict=True)
    return recorder.calls, _Tape({one.key: g for one, g in pairs if g is not None}), value


def _loss_of(model, x, y, y_pred, sample_weight, loss, training):
    if loss is None:
        value = model.compute_loss(
            x=x, y=y, y_pred=y_pred, sample_weight=sample_weight, training=training
        )
    else:
        names = getattr(model, "output_names", None)
        value = CompileLoss(loss, None, names)(y, y_pred, sample_weight)
        for extra in model.losses:
            value = ops.add(value, ops.sum(extra))
    if not isinstance(value, Tensor) or value.size != 1:
        raise ValueError(
            "trace_flow: the loss must be a scalar tensor. "
            f"Received: {getattr(value, 'shape', value)!r}"
        )
    return value


class _Recorder:
    """Notes what layers give while their calls are wrapped."""

    def __init__(self, model):
        self.model = model
        self.tape = None
        self.calls = []
        self._open = []
        self._numbers = {}

    @contextlib.contextmanager
    def watching(self, operations):
        """Within it, every layer of the model, and every operation of its graphs, is watched."""
        layers = self.model._flatten_layers()
        watched = [layer for layer in layers[1:] if not isinstance(layer, InputLayer)]
        if operations:
            for layer in layers:
                graph = layer.__dict__.get("_graph")
                found = graph.operations if graph is not None else ()
                watched += [one for one in found if not isinstance(one, Layer)]
        wrapped = [(one, _entry_of(one)) for one in watched]
        before = [one.__dict__.get(name) for one, name in wrapped]
        CHANGES[0] += 1  # what was planned for the layers' own calls does not hold for these
        try:
            for one, name in wrapped:
                one.__dict__[name] = self._wrap(one, getattr(one, name))
            yield
        finally:
            for (one, name), own in zip(wrapped, before, strict=True):
                if own is None:
                    one.__dict__.pop(name, None)
                else:
                    one.__dict__[name] = own
            CHANGES[0] += 1

    def _wrap(self, layer, call):
        @functools.wraps(call)
        def watched(*args, **kwargs):
            self._open.append(layer.name)
            path, depth = "/".join(self._open), len(self._open) - 1
            try:
                outputs = call(*args, **kwargs)
            finally:
                self._open.pop()
            self._note(layer, path, depth, outputs)
            return outputs

        return watched

    def _note(self, layer, path, depth, outputs):
        tensors = [leaf for leaf in tree.flatten(outputs) if isinstance(leaf, Tensor)]
        if not tensors:
            return  # placeholders, while a layer is being built
        number = self._numbers.get(path, 0)
        self._numbers[path] = number + 1
        for tensor in tensors:
            if tensor.key is None and tensor.data.dtype.kind == "f":
                self.tape.watch(tensor)
            self.calls.append(_Call(layer, path, depth, number, tensor))

    def note_outputs(self, outputs):
        """Add those of the model's outputs that no layer gave."""
        known = {id(call.tensor) for call in self.calls}
        for tensor in tree.flatten(outputs):
            if isinstance(tensor, Tensor) and id(tensor) not in known:
                self._note(self.model, "output", 0, tensor)


def _entry_of(operation):
    """The name of the method that a call of the layer or operation ends in."""
    if "run" in operation.__dict__:
        return "run"  # it stands for a function
    quantized = getattr(operation, "quantization_mode", None) is not None
    return "quantized_call" if quantized else "call"


def _signals(model, calls, tape, bins):
    """The rows of the trace: calls as they happened, a layer's weights below its first call."""
    rows, seen = [], set()
    for call in calls:
        kind = "input" if call.layer is None else "output"
        gradient, of = tape.of(call.tensor), "output"
        logits = getattr(call.tensor, "logits", None)
        if gradient is None and isinstance(logits, Tensor) and tape.of(logits) is not None:
            # A cross-entropy reads what softmax was computed from; nothing comes back through it.
            gradient, of = tape.of(logits), "logits"
        rows.append(
            Signal(
                call.path,
                kind,
                _type_of(call.layer),
                call.number,
                call.depth,
                statistics_of(call.tensor.data, bins),
                None if gradient is None else statistics_of(gradient, bins),
                of,
            )
        )
        if call.layer is model:
            continue
        own = getattr(call.layer, "_trainable_variables", [])
        own = own + getattr(call.layer, "_non_trainable_variables", [])
        rows += _weight_rows(call.path, call.depth + 1, own, tape, bins, seen)
    return rows + _weight_rows(model.name, 1, model.weights, tape, bins, seen)


def _type_of(layer):
    if layer is None:
        return ""
    return getattr(layer, "kind", type(layer).__name__)


def _weight_rows(path, depth, variables, tape, bins, seen):
    rows = []
    for variable in variables:
        if id(variable) in seen:
            continue
        seen.add(id(variable))
        gradient = tape.of(variable)
        rows.append(
            Signal(
                f"{path}/{variable.name}",
                "weight",
                "" if variable.trainable else "not trainable",
                0,
                depth,
                statistics_of(variable.data, bins),
                None if gradient is None else statistics_of(gradient, bins),
                "output",
            )
        )
    return rows


@contextlib.contextmanager
def _unchanged(model):
    """Afterwards, variables, losses and random states are what they were."""
    variables = {id(v): v for v in [*model.variables, *model.metrics_variables]}.values()
    values = [(variable, variable.data.copy()) for variable in variables]
    layers = [(layer, list(layer._losses)) for layer in model._flatten_layers()]
    generator = random._GLOBAL["generator"]
    state = None if generator is None else generator.state.data.copy()
    python_state, numpy_state = python_random.getstate(), np.random.get_state()
    compile_loss = model._compile_loss
    if compile_loss is not None:
        # Its first use would make trackers for the outputs, which metrics list.
        model.__dict__["_compile_loss"] = CompileLoss(
            compile_loss.given, compile_loss.given_weights, compile_loss.output_names
        )
    try:
        yield
    finally:
        model.__dict__["_compile_loss"] = compile_loss
        for variable, value in values:
            np.copyto(variable.data, value)
        for layer, losses in layers:
            layer._losses[:] = losses
        scopes.WRITES.called = scopes.nothing
        random._GLOBAL["generator"] = generator
        if generator is not None:
            np.copyto(generator.state.data, state)
        np.random.set_state(numpy_state)
        python_random.setstate(python_state)
