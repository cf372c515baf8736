"""CUDA graphs of a model: a training step up to the gradients, launched as one.

An eager step spends Python's time on each of its launches, often more than the card needs for the
work. The second step on batches of one shape is therefore recorded
(kernels/cuda/graph.py), for models of layers and losses that are known to compute by launches
alone. What advances on the host from step to step, the seeds of dropout, is given to the graph
before each run. Everything else stays eager.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from kerasmirror._export import lookup
from kerasmirror.autodiff.tape import GradientTape
from kerasmirror.core.device import CPU, GPU, copied, current_device
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops.nn.loss import checked_labels
from kerasmirror.training import nests
from kerasmirror.training.written import generators

_SEEN, _REFUSED = "seen", "refused"


class Step(NamedTuple):
    """A training step before the update: the batch, what came of it, the weights' gradients."""

    x: Tensor
    y: Tensor
    y_pred: Tensor
    loss: Tensor
    weights: list
    gradients: list


def on_gpu():
    """Whether models compute on a GPU now."""
    return GPU.used and current_device() != CPU


def check_labels(model, y):
    """Refuse class numbers that are none while they are on the host: a GPU would compute NaN.

    For the labels of one batch, where the model's loss is one cross-entropy of class numbers.
    Raises: ValueError as the loss does on the CPU.
    """
    compiled = model._compile_loss
    if type(y) is not np.ndarray or compiled is None or not compiled.built:
        return
    loss = compiled.losses[0] if len(compiled.losses) == 1 else None
    options = getattr(loss, "_fn_kwargs", None) or {}
    if getattr(loss, "fn", None) is not lookup("losses.sparse_categorical_crossentropy"):
        return
    outputs = getattr(model, "outputs", None)  # of a stack or graph
    if options.get("ignore_class") is None and outputs and options.get("axis", -1) == -1:
        owner = "keras.ops.sparse_categorical_crossentropy"
        if outputs[0].shape[-1] is not None:
            checked_labels(y, y.shape, outputs[0].shape[-1], owner)


def training(programs, model, x, y, compute_loss):
    """The Step of one batch of host arrays, by a graph; None where the eager step has to do it.

    `compute_loss` is the method of a model that computes its loss as this package does.
    """
    now = programs.current(model)
    if now is None or not _is_known(model, compute_loss):
        return None
    key = ("graph", x.shape, x.dtype.str, y.shape, y.dtype.str)
    found = now.programs.get(key)
    if found is None:
        now.programs[key] = _SEEN  # the eager step compiles and builds what is missing
        return None
    if found is _REFUSED:
        return None
    if found is _SEEN:
        found = now.programs[key] = _recorded(model, x, y)
        if found is _REFUSED:
            return None
    elif not found.holds(model):
        now.programs.pop(key, None)
        return None
    return found.run(x, y)


def forward(programs, model, arrays, arrangement, options, eager):
    """The outputs for device arrays, by a graph; None where the eager call has to give them."""
    on_host = [array for array in arrays if not hasattr(array, "to_host")]
    if not on_gpu() or on_host or GPU.kernels.graph.recorded():
        return None
    now = programs.current(model)
    if now is None:
        return None
    key = ("graph", options.get("training"), arrangement, *[x.shape for x in arrays])
    found = now.programs.get(key)
    if found is None:
        now.programs[key] = _SEEN
        return None
    if found is _SEEN:
        try:
            found = _ForwardGraph(eager, arrays, arrangement, options)
        except RuntimeError:  # what cannot be recorded
            found = _REFUSED
        now.programs[key] = found
    return None if found is _REFUSED else found.run(arrays)


def _is_known(model, compute_loss):
    """Whether loss and optimizer are the package's own."""
    compiled, optimizer = model._compile_loss, model.optimizer
    if compiled is None or not compiled.built or optimizer is None or not optimizer.built:
        return False
    if type(model).compute_loss is not compute_loss:
        return False
    parts = [optimizer, *compiled.losses]
    return all(type(part).__module__.startswith("kerasmirror.") for part in parts)


def _recorded(model, x, y):
    """The graph of the model's step on arrays like these, or the word for none."""
    states = _States(model)
    if states.are_unclear():
        return _REFUSED
    try:
        return _TrainingGraph(model, x, y, states)
    except RuntimeError:  # what cannot be recorded: the eager step does it, and tells of errors
        states.restore()
        return _REFUSED


class _States:
    """The seed states of a model's generators, and how many draws a step makes of each."""

    def __init__(self, model):
        self._states = list({id(g.state): g.state for g in generators(model)}.values())
        self._before = [state.data.tolist() for state in self._states]
        self.draws = []

    def are_unclear(self):
        """Whether two generators have one seed: a key would not tell whose it is."""
        return len({seed for seed, _ in self._before}) < len(self._before)

    def restore(self):
        """Set all states back to what they were."""
        for state, values in zip(self._states, self._before, strict=True):
            state.data[...] = values

    def settle(self, pairs):
        """Note which draw of which state each of `pairs` is; whether all are known."""
        self.draws = []
        places = {seed: number for number, (seed, _) in enumerate(self._before)}
        for seed, count in pairs:
            number = places.get(seed)
            if number is None:
                return False
            self.draws.append((number, count - self._before[number][1]))
        self._steps = [
            state.data.tolist()[1] - count
            for state, (_, count) in zip(self._states, self._before, strict=True)
        ]
        return all(0 <= draw < self._steps[number] for number, draw in self.draws)

    def next_pairs(self):
        """The seeds of a further step, in the order of `pairs`; the states move on."""
        starts = [state.data.tolist() for state in self._states]
        for state, steps in zip(self._states, self._steps, strict=True):
            state.data[1] += steps
        return [(starts[number][0], starts[number][1] + draw) for number, draw in self.draws]


class _ForwardGraph:
    """A recorded pass of inference on inputs of one shape."""

    def __init__(self, eager, arrays, arrangement, options):
        k = GPU.kernels
        self._inputs = [k.empty(array.shape, array.dtype) for array in arrays]
        self._graph = k.graph.Graph()
        with self._graph.recording():
            tensors = [Tensor(array) for array in self._inputs]
            self._outputs = nests.Outputs(eager(nests.arranged(tensors, arrangement), **options))
        self._results, _ = self._outputs.take()
        if not self._outputs.are_tensors or self._graph.pairs:
            raise RuntimeError("outputs that are no tensors, or random ones")

    def run(self, arrays):
        """The outputs for other inputs, in arrays of their own."""
        k = GPU.kernels
        with self._graph.device.lock:  # from the inputs to the copies, no other thread's run
            for own, array in zip(self._inputs, arrays, strict=True):
                k.memory.copy_into(own, array)
            self._graph.run()
            results = [copied(array) for array in self._results]
        return self._outputs.of(results)


class _TrainingGraph:
    """A recorded step of one model on batches of one shape."""

    def __init__(self, model, x, y, states):
        k = GPU.kernels
        self._compile_loss, self._optimizer = model._compile_loss, model.optimizer
        self._scale = self._optimizer.scale_loss(1.0)  # a number of the host, which is recorded
        self._flags = [(v, v._trainable, v._regularizer) for v in model.variables]
        self._weights = model.trainable_weights
        if not self._weights:
            raise RuntimeError("a model without trainable weights")
        self._x, self._y = k.empty(x.shape, x.dtype), k.empty(y.shape, y.dtype)
        self._graph = k.graph.Graph()
        with self._graph.recording():
            with GradientTape() as tape:
                y_pred = model(Tensor(self._x), training=True)
                loss = model._compute_loss(
                    Tensor(self._x), Tensor(self._y), y_pred, None, training=True
                )
                scaled = model.optimizer.scale_loss(loss)
            gradients = tape.gradient_arrays([scaled], self._weights, [None])
        if type(y_pred) is not Tensor or any(g is None for g in gradients):
            raise RuntimeError("several outputs, or weights without a gradient")
        if not states.settle(self._graph.pairs):
            raise RuntimeError("random numbers of an unknown generator")
        states.restore()
        self._states = states
        self._y_pred, self._loss, self._gradients = y_pred, loss, gradients

    def holds(self, model):
        """Whether the step is still this one."""
        if model._compile_loss is not self._compile_loss or model.optimizer is not self._optimizer:
            return False
        if self._optimizer.scale_loss(1.0) != self._scale:
            return False
        return all([v._trainable is t and v._regularizer is r for v, t, r in self._flags])

    def run(self, x, y):
        """The Step of a batch; its tensors hold until the next run."""
        k = GPU.kernels
        k.staging.overwrite(self._x, x)
        k.staging.overwrite(self._y, y)
        pairs = self._states.next_pairs()
        self._graph.run([k.random.key_and_counter(pair) for pair in pairs])
        tensors = Tensor(self._x), Tensor(self._y), self._y_pred, self._loss
        return Step(*tensors, self._weights, self._gradients)
