"""A forward pass under a tape, and its backward pass, as a program of two phases.

`model(x)` within a GradientTape, in a `train_step` of the user's own or in a loop written by hand,
becomes one record of the tape: the launches of the forward pass run at once, those of the backward
pass when the tape has come to the gradients of the outputs. Whatever is between them, losses,
weights, penalties, is the tape's own affair and stays eager.

From the one to the other the arena is locked, as what the forward pass left in it is needed: other
passes of the model are eager for as long.
"""

from __future__ import annotations

import numpy as np

from kerasmirror.autodiff.primitive import kernels_of
from kerasmirror.autodiff.tape import ACTIVE, GradientTape
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import next_key, trial
from kerasmirror.training import nests
from kerasmirror.training.written import Written, generators, tell_before_writing

_SINGLE = np.dtype(np.float32)


class Call:
    """What is known of a call of a model within a tape.

    `leaves` are the inputs as the caller gave them, `arrays` their values, `tracked` which of them
    the tape follows, `eager` the model's call layer by layer.
    """

    def __init__(self, model, tape, x, arrays, arrangement, options, eager):
        self.model = model
        self.tape = tape
        self.leaves = nests.leaves_of(x)
        self.arrays = arrays
        self.arrangement = arrangement
        self.options = options
        self.eager = eager
        self.tracked = tuple([type(x) is Tensor and tape.tracks(x) for x in self.leaves])

    def key(self):
        """What calls must have in common to share a program."""
        shapes = [array.shape for array in self.arrays]
        return ("taped", self.options.get("training"), self.tracked, self.arrangement, *shapes)

    def record(self, weight_keys, tracked_outputs, backward):
        """A record on the tape: the keys of the outputs."""
        keys = [next_key() if tracked else None for tracked in tracked_outputs]
        inputs = [x.key for x, tracked in zip(self.leaves, self.tracked, strict=True) if tracked]
        tape, self.tape = self.tape, None  # which keeps `backward`, and that this call
        tape.record((*weight_keys, *inputs), keys[0] if len(keys) == 1 else tuple(keys), backward)
        return keys


class _Inner:
    """The call of a model on a tape of its own."""

    def __init__(self, call, persistent=False):
        self._tape = GradientTape(persistent)
        tensors = [Tensor(array) for array in call.arrays]
        self._inputs = [t for t, wanted in zip(tensors, call.tracked, strict=True) if wanted]
        self._tape.watch(self._inputs)
        before, ACTIVE.tape = ACTIVE.tape, None
        try:
            with self._tape:
                y = call.eager(nests.arranged(tensors, call.arrangement), **call.options)
        finally:
            ACTIVE.tape = before
        self.outputs = nests.Outputs(y)
        self.arrays, self.keys = self.outputs.take()
        used = {}
        for keys, _, _ in self._tape._records:
            for key in keys:
                if key is not None:
                    used[key] = used.get(key, 0) + 1
        self.weight_keys = [v.key for v in call.model.trainable_variables if v.key in used]
        wanted = [*self.weight_keys, *[x.key for x in self._inputs]]
        # Two gradients of one weight would be added to each other before they are to others.
        self.adds_up = any(used.get(key, 0) > 1 for key in wanted)

    def gradients(self, dys):
        """The gradients of the weights and of watched inputs, from those of the outputs.

        None where there is none.
        """
        given = [(key, dy) for key, dy in zip(self.keys, dys, strict=True) if dy is not None]
        sources = [*map(_Key, self.weight_keys), *self._inputs]
        return self._tape.gradient_arrays(
            [_Key(key) for key, _ in given], sources, [dy for _, dy in given]
        )

    def join(self, call):
        """Put the records on the caller's tape, as if they had been made there."""
        records = call.tape._records
        leaves = [x for x, wanted in zip(call.leaves, call.tracked, strict=True) if wanted]
        for x, leaf in zip(self._inputs, leaves, strict=True):
            records.append(((leaf.key,), x.key, lambda dy, needs: (dy,)))
        records.extend(self._tape._records)


class _Key:
    """Stands for a tensor of which the tape need not know more."""

    def __init__(self, key):
        self.key = key


class _Again:
    """Gradients of a call that has run, by running it once more, layer by layer.

    For what a record of a program cannot give: the gradients of other outputs than recorded, or
    one backward pass after another (a Jacobian's rows).
    """

    def __init__(self, call, states):
        self._call = call
        self._states = [(state, state.copy()) for state in states]
        self._inner = None

    def gradients(self, dys):
        if self._inner is None:
            now = [state.copy() for state, _ in self._states]
            for state, value in self._states:
                state[...] = value
            with trial():
                self._inner = _Inner(self._call, persistent=True)
            for (state, _), value in zip(self._states, now, strict=True):
                state[...] = value
        return self._inner.gradients(dys)


class Recording:
    """The two phases of a call while they are recorded."""

    def __init__(self, programs, now, arena, call):
        self._programs = programs
        self._now = now
        self._arena = arena
        self._call = call
        self._open = True

    def run(self):
        """The call's outputs. `arena` is locked, until the gradients are known or this is gone."""
        call, model = self._call, self._call.model
        k = kernels_of("cpu")
        self._written = Written(model)
        self._again = _Again(call, [g.state.data for g in generators(model)])
        constants = [variable.data for variable in model.variables]
        self._recorder = recorder = k.Recorder(self._arena, call.arrays, constants)
        with recorder.open(), self._written.noted():
            inner = _Inner(call)
        self._draws = self._written.draws(k, model, recorder)
        tracked = [key is not None for key in inner.keys]
        if inner.adds_up:
            recorder.refuse("a weight has two gradients")
        if recorder.refusal is not None or not any(tracked):
            inner.join(call)
            recorder.forget()
            self._finish(None, False)
            return inner.outputs.of(inner.arrays, inner.keys)
        self._copies = [np.array(array) for array in inner.arrays]
        keys = call.record(inner.weight_keys, tracked, self._backward)
        self._inner = inner
        return inner.outputs.of([np.array(array) for array in self._copies], keys)

    def _backward(self, dy, needs):
        if not self._open:
            return self._again.gradients(_settled(dy)[0])
        try:
            return self._gradients(dy)
        finally:
            if self._open:
                self._finish(None, False)

    def _gradients(self, dy):
        call, recorder, inner = self._call, self._recorder, self._inner
        given, pattern, fits = _settled(dy)
        if not fits:
            recorder.refuse("gradients of the outputs are not float32")
        dys = [d for d in given if d is not None]
        recorder.add_inputs(dys)
        with recorder.open():
            gradients = inner.gradients(given)
        copies = [None if g is None else np.array(g) for g in gradients]
        there = [g is not None for g in gradients]
        arrays = [*inner.arrays, *[g for g in gradients if g is not None]]
        tracked = [key is not None for key in inner.keys]
        parts = (inner.outputs, inner.weight_keys, tracked, pattern, there)
        inner = gradients = self._inner = None
        program = recorder.program_for(arrays, [], self._draws, len(self._copies))
        whole = recorder.is_whole(arrays, [])
        del arrays
        made = None
        if program is not None:
            backward = dys, [c for c in copies if c is not None]
            if self._written.repeats(program, [(call.arrays, self._copies), backward]):
                made = Pass(program, call.model, self._written.changed(), *parts)
            program.release()
        self._finish(made, whole)
        return copies

    def _finish(self, made, whole):
        self._open = False
        self._programs.taped_done(self._now, self._call.key(), self._arena, made, whole)

    def __del__(self):
        # Nobody asked for the gradients, or the forward pass raised an error.
        if self.__dict__.get("_open"):
            self._inner = None
            self._finish(None, False)


class Pass:
    """A program of two phases, with what makes tensors and gradients of its results."""

    def __init__(self, program, model, touched, outputs, weight_keys, tracked, pattern, there):
        self.program = program
        self.outputs = outputs
        self.pattern = pattern  # which outputs have a gradient
        self.there = there  # which sources get one
        self.is_wrong = False
        self._weight_keys = weight_keys
        self._tracked = tracked
        self._touched = touched
        self._trainable = [(v, v._trainable) for v in model.variables]

    def holds(self):
        """Whether the same variables are trainable."""
        return all([v._trainable is trainable for v, trainable in self._trainable])

    def run(self, now, call):
        """The call's outputs; None while the program is at work for another one."""
        if not now.locks(self.program.arena):
            return None
        gradients = _Gradients(self, call)  # from here on it sees to the lock
        tell_before_writing(self._touched)
        fresh, _ = self.program.run(call.arrays)
        return self.outputs.of(fresh, call.record(self._weight_keys, self._tracked, gradients))


class _Gradients:
    """The second phase of a program whose first is about to run."""

    def __init__(self, pass_, call):
        self._pass = pass_
        self._again = _Again(call, [state for state, _ in pass_.program.draws])

    def __call__(self, dy, needs):
        given, pattern, fits = _settled(dy)
        done = self._pass
        if done is None:
            return self._again.gradients(given)
        if not fits or pattern != done.pattern:
            done.is_wrong = True
            self._close()
            return self._again.gradients(given)
        fresh, _ = done.program.run([d for d in given if d is not None], 1)
        self._close()
        if len(fresh) == len(done.there):
            return fresh
        remaining = iter(fresh)
        return [next(remaining) if there else None for there in done.there]

    def _close(self):
        done, self._pass = self._pass, None
        if done is not None:
            done.program.release()
            done.program.arena.lock.release()

    def __del__(self):
        self._close()


def _settled(dy):
    """(the outputs' gradients, which there are, whether they are such as a program takes)."""
    given, fits = [], True
    for d in dy if type(dy) is tuple else (dy,):
        if d is not None:
            fits = fits and d.dtype is _SINGLE
            if not d.flags.c_contiguous or any([d is other for other in given]):
                d = np.array(d, order="C")  # inputs of a program are arrays of their own
        given.append(d)
    return given, [d is not None for d in given], fits
