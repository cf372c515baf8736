"""Programs of a model: its forward pass, or a whole training step up to the gradients, as one call.

An eager pass spends some 10 microseconds of Python on each launch. The second pass over batches of
one shape is therefore recorded (kernels/cpu/program.py), and later ones run the recorded launches;
where the first took long, there is nothing to gain, and memory to lose.
That is done only for models whose layers, activations and loss are known to compute by launches
alone; the recorder refuses what it does not know, and each new program has to repeat its own
recording bit for bit on memory full of NaN before it is used. Everything else stays eager, and
`run_eagerly=True` keeps a model eager whatever it is made of.

A program reads weights where they are. It is dropped when a weight moves (an optimizer's flat
buffer), when a layer of the model is changed, or a global setting, or the number of threads.
"""

from __future__ import annotations

import functools
import time

import numpy as np

from kerasmirror import _export
from kerasmirror.autodiff.primitive import kernels_of
from kerasmirror.autodiff.tape import ACTIVE, GradientTape
from kerasmirror.core import config
from kerasmirror.core.scopes import in_stateless_scope
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.tracking import CHANGES
from kerasmirror.losses.loss import reduce_weighted_values

# Layers that compute by launches, or not at all. A subclass is none of them.
_LAYERS = (
    "Activation",
    "AveragePooling1D",
    "AveragePooling2D",
    "AvgPool1D",
    "Conv1D",
    "Conv2D",
    "Dense",
    "Dropout",
    "ELU",
    "Flatten",
    "InputLayer",
    "LeakyReLU",
    "MaxPooling1D",
    "MaxPooling2D",
    "ReLU",
    "Reshape",
    "Softmax",
)
_LOSSES = ("SparseCategoricalCrossentropy", "CategoricalCrossentropy")
# A pass that takes longer, in seconds, gains nothing to speak of.
_LONGEST = 0.05
# Bytes that programs may keep while the model is not at work.
_KEPT_BYTES = 64 << 20
_MOST = 16  # programs of one model

_SINGLE = np.dtype(np.float32)
_SETTINGS = [
    name
    for name, value in vars(config).items()
    if name.startswith("_")
    and name.isupper()
    and (value is None or isinstance(value, (str, int, float)))
]
_SETTINGS_NOW = vars(config)
# What stands in the place of a program.
_SEEN, _SLOW, _READY, _REFUSED = "seen", "slow", "ready", "refused"


class Programs:
    """The programs of one model, by the shape of the batch."""

    def __init__(self):
        self._reset()

    def __deepcopy__(self, memo):
        return Programs()

    def __reduce__(self):
        return Programs, ()

    def _reset(self):
        self.programs = {}
        self._tried = set()  # keys of programs that have repeated their recording
        self._started = {}  # kind of pass: key and time of the eager one that is under way
        self._arena = None
        self._stamp = None
        self._guard = None

    def release_if_large(self):
        """Give memory back at the end of a run, where it is much: the next run records anew."""
        if self._arena is not None and self._arena.n_bytes > _KEPT_BYTES:
            self._arena = None
            self.programs = {
                key: _READY if type(found) is _Pass else found
                for key, found in self.programs.items()
            }

    # Validity

    def current(self, model):
        """Whether programs can be made for the model; those it has are right for it from here on.

        They are dropped where the model is not what it was when they were recorded.
        """
        settings = [_SETTINGS_NOW[name] for name in _SETTINGS]
        stamp = [CHANGES[0], kernels_of("cpu").thread_count(), *settings]
        guard = self._guard
        if stamp == self._stamp and (guard is None or guard.weights_in_place()):
            return guard is not None
        if guard is not None and stamp[1:] == self._stamp[1:] and guard.still_holds(model):
            self._stamp = stamp
            return True
        self._reset()
        self._stamp = stamp
        if _is_replayable(model):
            self._guard = _Guard(model)
        return self._guard is not None

    # Passes

    def forward(self, model, x, eager):
        """The model's outputs for the array `x`, or None where `eager(x)` has to give them."""
        if not self.current(model):
            return None
        found = self._find(("forward", x.shape))
        if found is None:
            return None
        if type(found) is not _Pass:
            return self._record(("forward", x.shape), _Forward(eager), [x], model)
        results = found.run([x])
        return None if results is None else found.plan.output(results)

    def training(self, model, x, y):
        """(prediction, loss, weights, gradients) of a training step and a lock, or None.

        The gradients lie in the programs' memory until the lock, where there is one, is released.
        """
        if not self.current(model):
            return None
        key = ("training", x.shape, y.shape)
        found = self._find(key)
        if found is None:
            return None
        if type(found) is not _Pass:
            plan = _Training.of(model, x, y)
            if plan is None:
                self.programs[key] = _REFUSED
                return None
            y = plan.targets(y)
            step = None if y is None else self._record(key, plan, [x, y], model)
            return None if step is None else (step, None)
        if not found.plan.holds(model):
            del self.programs[key]
            return None
        y = found.plan.targets(y)
        lock = found.program.arena.lock
        if y is None or not x.flags.c_contiguous or not lock.acquire(blocking=False):
            return None
        try:
            step = found.plan.output(*found.program.run([x, y]))
        except BaseException:
            lock.release()
            raise
        return step, lock

    def _find(self, key):
        """The pass for `key`, a word when it is to be recorded, None for the eager way."""
        found = self.programs.get(key)
        if found is None:
            if len(self.programs) >= _MOST:
                self.programs.clear()
            found = self.programs[key] = _SEEN
        if found is _SEEN or found is _SLOW:
            self._started[key[0]] = key, time.perf_counter()
            return None
        return None if found is _REFUSED else found

    def eager_done(self, kind):
        """Note how long an eager pass took that began when `_find` asked for it.

        A slow one may have compiled kernels: the next is timed, too.
        """
        key, start = self._started.pop(kind, (None, 0))
        found = self.programs.get(key)
        if found is _SEEN or found is _SLOW:
            if time.perf_counter() - start <= _LONGEST:
                self.programs[key] = _READY
            else:
                self.programs[key] = _SLOW if found is _SEEN else _REFUSED

    def _record(self, key, plan, inputs, model):
        """Run the computation once, noting its launches; gives its output."""
        k = kernels_of("cpu")
        if k.is_recording() or not all([x.flags.c_contiguous for x in inputs]):
            return None
        if self._arena is None:
            self._arena = k.Arena()
        arena = self._arena
        if not arena.lock.acquire(blocking=False):
            return None
        whole = False
        try:
            output, made, whole = self._recorded(k, key, plan, inputs, model)
        finally:
            arena.lock.release()
            if not whole:
                # Somebody may hold memory of the arena: it goes with them, and what used it.
                arena.abandon()
                self._arena = None
                self.programs = {k: v for k, v in self.programs.items() if v is _REFUSED}
        self.programs[key] = made
        return output

    def _recorded(self, k, key, plan, inputs, model):
        """(output, what to keep for `key`, whether the arena's memory is all free again)."""
        states = [generator.state.data for generator in _generators(model)]
        before = [state.copy() for state in states]
        constants = [variable.data for variable in model.variables] + plan.constants
        recorder = k.Recorder(self._arena, inputs, constants)
        with recorder.open():
            fresh, kept = plan.compute(inputs)
        if fresh is None:
            return None, _REFUSED, False
        copies = [np.array(array) for array in fresh], [np.array(array) for array in kept]
        draws = _draws(k, states, before)
        if draws is None:
            recorder.refuse("two layers draw the same numbers")
        program = recorder.program_for(fresh, kept, draws or ())
        whole = recorder.is_whole(fresh, kept)
        del fresh, kept
        output = plan.output(*copies)
        if program is None:
            return output, _REFUSED, whole
        if key not in self._tried:
            if not _repeats(program, inputs, copies, states):
                return output, _REFUSED, whole
            self._tried.add(key)
        return output, _Pass(program, plan), whole


class _Pass:
    """A program with what turns its results into the computation's."""

    def __init__(self, program, plan):
        self.program = program
        self.plan = plan

    def run(self, inputs):
        """The new results for the inputs; None when another thread is at it or they do not fit."""
        for x in inputs:
            if not x.flags.c_contiguous:
                return None
        lock = self.program.arena.lock
        if not lock.acquire(blocking=False):
            return None
        try:
            return self.program.run(inputs)[0]
        finally:
            lock.release()


def _draws(k, states, before):
    """For each seed state that a pass moved on, the keys it gave; None where two gave the same."""
    draws, seen = [], set()
    for state, (s0, first) in zip(states, before, strict=True):
        if int(state[0]) != s0:
            return None
        if int(state[1]) == first:
            continue
        keys = k.keys_drawn(int(s0), int(first), int(state[1]))
        if not seen.isdisjoint(keys):
            return None
        seen.update(keys)
        draws.append((state, keys))
    return draws


def _repeats(program, inputs, copies, states):
    """Whether the program gives the recorded results again, from memory full of NaN."""
    after = [state.copy() for state in states]
    program.undo_draws()
    program.fill_memory(0xFF)
    fresh, kept = program.run(inputs)
    same = all(
        a.tobytes() == b.tobytes()
        for a, b in zip((*fresh, *kept), (*copies[0], *copies[1]), strict=True)
    )
    moved = all(np.array_equal(a, b) for a, b in zip(states, after, strict=True))
    for state, value in zip(states, after, strict=True):
        state[...] = value
    return same and moved


# --- what programs are made for ---------------------------------------------------------------


def _flat_layers(model):
    """Every layer of the model at any depth, itself first."""
    return model._flatten_layers()


def _generators(model):
    return [g for layer in _flat_layers(model) for g in layer._seed_generators]


@functools.cache
def _known():
    """Classes of models (a stack, a graph), of layers, and the activations."""
    models = (_export.lookup("Sequential"), _export.lookup("Model")._functional_class)
    layers = {_export.lookup(f"layers.{name}") for name in _LAYERS}
    return models, layers, set(_export.family("activations").values())


def _is_replayable(model):
    """Whether every part of the model is known, as it comes, to compute by launches alone."""
    models, layers, activations = _known()
    if type(model) not in models or model._run_eagerly:
        return False
    for layer in _flat_layers(model):
        kind = type(layer)
        if kind in models:
            if kind is models[1] and not all(
                hasattr(operation, "_flatten_layers") for operation in layer.operations
            ):
                return False  # operations outside of layers
        elif kind not in layers:
            return False
        policy = layer._policy
        if policy.compute_dtype != "float32" or policy.variable_dtype != "float32":
            return False
        if policy.quantization_mode is not None:
            return False
        if layer.activity_regularizer is not None or layer._losses or "call" in vars(layer):
            return False
        activation = vars(layer).get("activation")
        if activation is not None and activation not in activations:
            return False
    return True


class _Guard:
    """What a model was made of when its programs were recorded."""

    def __init__(self, model):
        variables = model.variables
        self._variables = variables
        self._arrays = [variable.data for variable in variables]
        self._calls = {type(layer): type(layer).call for layer in _flat_layers(model)}
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


# What calls of the methods of a model set on it, and that no pass reads.
_BESIDE = frozenset(
    (
        "history", "stop_training", "stop_evaluating", "stop_predicting", "optimizer", "loss",
        "_compile_loss", "_compile_metrics", "_loss_tracker", "_compile_arguments",
        "_compiled_trainable_state", "_programs", "compiled", "_jit_compile", "_initial_epoch",
        "steps_per_execution", "train_function", "test_function", "predict_function",
    )
)  # fmt: skip


def _state_of(model):
    """Everything that the model and its layers keep, as a flat list to be compared by identity."""
    state = []
    for layer in _flat_layers(model):
        state.append(layer)
        for name, value in vars(layer).items():
            if name not in _BESIDE:
                state.append(value)
    return state


class _Forward:
    """The forward pass of inference."""

    def __init__(self, eager):
        self._eager = eager
        self.constants = []

    def compute(self, inputs):
        """Arrays of the results: the output, and the logits it was computed from."""
        y = self._eager(Tensor(inputs[0]))
        self._eager = None  # holds the model
        if type(y) is not Tensor:
            return None, None
        return _with_logits(y), []

    def output(self, fresh, kept=()):
        return _tensor(fresh)


def _with_logits(y):
    logits = getattr(y, "logits", None)
    return [y.data] if logits is None else [y.data, logits.data]


def _tensor(arrays):
    y = Tensor(arrays[0])
    if len(arrays) > 1:
        y.logits = Tensor(arrays[1])
    return y


class _Training:
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
            or optimizer.loss_scale_factor is not None
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
        return [values.data, *_with_logits(y_pred)], gradients

    def output(self, fresh, kept):
        values, *rest = fresh
        # What `reduce_weighted_values` computes, in a tenth of its time.
        mean = Tensor(np.asarray(np.add.reduce(values) / values.dtype.type(values.size)))
        return _tensor(rest), mean, self._weights, kept


_FUNCTIONS = ("sparse_categorical_crossentropy", "categorical_crossentropy")


def forward(model, x, kwargs, eager):
    """What `model(x, **kwargs)` gives, from a program; None where the eager call has to give it.

    Only outside of other layers' calls, where no tape records.
    """
    programs = model.__dict__.get("_programs")
    if programs is None or ACTIVE.tape is not None or in_stateless_scope():
        return None
    if kwargs and (len(kwargs) > 1 or kwargs.get("training", 1) not in (None, False)):
        return None
    kind = type(x)
    if kind is Tensor:
        if getattr(x, "mask", None) is not None:
            return None
        x = x.data
    elif kind is not np.ndarray:
        return None
    if x.dtype is not _SINGLE or not x.size:
        return None
    return programs.forward(model, x, eager)


def eager_done(model, kind):
    """Tell that an eager pass of the model, "forward" or "training", has ended."""
    programs = model.__dict__.get("_programs")
    if programs is not None:
        programs.eager_done(kind)


def training(model, x, y, sample_weight):
    """What `Programs.training` gives, for data that it can take."""
    programs = model.__dict__.get("_programs")
    if (
        programs is None
        or sample_weight is not None
        or type(x) is not np.ndarray
        or type(y) is not np.ndarray
        or x.dtype is not _SINGLE
        or not x.size
    ):
        return None
    return programs.training(model, x, y)
