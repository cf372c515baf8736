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

import time

import numpy as np

from kerasmirror.autodiff.primitive import kernels_of
from kerasmirror.autodiff.tape import ACTIVE, GradientTape
from kerasmirror.core import config
from kerasmirror.core.device import GPU, current_device
from kerasmirror.core.scopes import in_stateless_scope
from kerasmirror.core.tracking import CHANGES
from kerasmirror.training import graphs, nests, passes, taped
from kerasmirror.training.replayable import Guard, is_replayable
from kerasmirror.training.written import Written, tell_before_writing

# A pass that takes longer, in seconds, gains nothing to speak of.
_LONGEST = 0.05
# Bytes that programs may keep while the model is not at work.
_KEPT_BYTES = 64 << 20
_MOST = 16  # programs of one model
_TRIES = 2  # recordings without a program

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


class _Generation:
    """The programs of a model as it is: of its layers, of settings, of where its weights are.

    Once the model is another, another generation takes its place as a whole. So threads that are
    at work with this one, recording say, cannot leave in the next what is not right for it.
    """

    def __init__(self, stamp, guard):
        self.stamp = stamp
        self.guard = guard  # None where no programs can be made
        self.programs = {}
        self.tried = set()  # keys of programs that have repeated their recording
        self.misses = {}  # recordings without a program that may be tried again
        self.arena = None

    def locked_arena(self):
        """The arena, locked; None while another thread is at it."""
        arena = self.arena
        if arena is None:
            arena = self.arena = kernels_of("cpu").Arena()
        return arena if self.locks(arena) else None

    def locks(self, arena):
        """Whether the lock of a program's arena could be taken, and the arena is still this one."""
        if not arena.lock.acquire(blocking=False):
            return False
        if self.arena is arena:
            return True
        arena.lock.release()  # left by another thread since the program was looked up
        return False

    def leave(self, arena):
        """Start anew: somebody may hold memory of the arena, which goes with them.

        The arena is locked, and nothing runs in it any more.
        """
        arena.abandon()
        if arena is self.arena:
            self.arena = None
            kept = self.programs.copy()
            self.programs = {k: v for k, v in kept.items() if v is _REFUSED}


class Programs:
    """The programs of one model, by the shape of the batch."""

    def __init__(self):
        self._now = _Generation(None, None)
        self._started = {}  # kind of pass: programs, key and time of the eager one under way

    def __deepcopy__(self, memo):
        return Programs()

    def __reduce__(self):
        return Programs, ()

    @property
    def programs(self):
        """The programs, or words in their place, by the kind of pass and shapes."""
        return self._now.programs

    @property
    def arena(self):
        """The memory of the programs, None where there are none."""
        return self._now.arena

    def release_if_large(self):
        """Give memory back at the end of a run, where it is much: the next run records anew."""
        now = self._now
        arena = now.arena
        if arena is not None and arena.n_bytes > _KEPT_BYTES:
            now.arena = None
            now.programs = {
                key: _READY if type(found) in (_Pass, taped.Pass) else found
                for key, found in now.programs.copy().items()
            }

    # Validity

    def current(self, model):
        """The generation of programs that is right for the model from here on.

        None where none can be made for it. A generation is dropped where the model is not what it
        was when it began.
        """
        settings = [_SETTINGS_NOW[name] for name in _SETTINGS]
        stamp = [CHANGES[0], kernels_of("cpu").thread_count(), current_device(), *settings]
        now = self._now
        guard = now.guard
        if stamp == now.stamp and (guard is None or guard.weights_in_place()):
            return None if guard is None else now
        if guard is not None and stamp[1:] == now.stamp[1:] and guard.still_holds(model):
            now.stamp = stamp
            return now
        guard = Guard(model) if is_replayable(model) else None
        if CHANGES[0] != stamp[0]:
            guard = None  # another thread is changing layers: the next call looks again
        now = self._now = _Generation(stamp, guard)
        return None if guard is None else now

    # Passes

    def forward(self, model, arrays, arrangement, options, eager):
        """The model's outputs for the arrays, or None where `eager` has to give them."""
        now = self.current(model)
        if now is None:
            return None
        key = ("forward", options.get("training"), arrangement, *[x.shape for x in arrays])
        found = self._find(now.programs, key, "call")
        if found is None:
            return None
        if type(found) is not _Pass:
            plan = passes.Forward(eager, arrangement, options)
            return self._record(now, key, plan, arrays, model)
        results = found.run(now, arrays)
        return None if results is None else found.plan.output(results)

    def under_tape(self, call):
        """The same for a call within a tape, whose record the outputs are."""
        now = self.current(call.model)
        if now is None:
            return None
        key = call.key()
        found = self._find(now.programs, key, "call")
        if found is None or not all([array.flags.c_contiguous for array in call.arrays]):
            return None
        if type(found) is not taped.Pass:
            if kernels_of("cpu").is_recording():
                return None
            arena = now.locked_arena()
            return None if arena is None else taped.Recording(self, now, arena, call).run()
        if found.is_wrong or not found.holds():
            now.programs[key] = _REFUSED if found.is_wrong else _SEEN
            return None
        return found.run(now, call)

    def taped_done(self, now, key, arena, made, whole):
        """Take the Pass that a recording of a call made, or None, and unlock the arena."""
        current = arena is now.arena
        if not whole:
            now.leave(arena)
        if current:
            now.programs[key] = made or self._missed(now, key)
        arena.lock.release()

    def _missed(self, now, key):
        # Whether the gradients of a call are asked for may differ, and who else is at work with the
        # model; so often it is tried.
        now.misses[key] = now.misses.get(key, 0) + 1
        return _READY if now.misses[key] < _TRIES else _REFUSED

    def training(self, model, x, y):
        """(prediction, loss, weights, gradients) of a training step and what holds them, or None.

        The gradients lie in a program's memory until its `release`, where there is a program.
        """
        now = self.current(model)
        if now is None:
            return None
        programs = now.programs
        key = ("training", x.shape, y.shape)
        found = self._find(programs, key, "training")
        if found is None:
            return None
        if type(found) is not _Pass:
            plan = passes.Training.of(model, x, y)
            if plan is None:
                programs[key] = _REFUSED
                return None
            y = plan.targets(y)
            step = None if y is None else self._record(now, key, plan, [x, y], model)
            return None if step is None else (step, None)
        if not found.plan.holds(model):
            programs.pop(key, None)
            return None
        y = found.plan.targets(y)
        if y is None or not x.flags.c_contiguous or not now.locks(found.program.arena):
            return None
        try:
            tell_before_writing(found.touched)
            step = found.plan.output(*found.program.run([x, y]))
        except BaseException:
            found.release()
            raise
        return step, found

    def _find(self, programs, key, kind):
        """The pass for `key`, a word when it is to be recorded, None for the eager way."""
        found = programs.get(key)
        if found is None:
            if len(programs) >= _MOST:
                programs.clear()
            found = programs[key] = _SEEN
        if found is _SEEN or found is _SLOW:
            self._started[kind] = programs, key, time.perf_counter()
            return None
        return None if found is _REFUSED else found

    def eager_done(self, kind):
        """Note how long an eager pass took that began when `_find` asked for it.

        A slow one may have compiled kernels: the next is timed, too.
        """
        programs, key, start = self._started.pop(kind, ({}, None, 0))
        found = programs.get(key)
        if found is _SEEN or found is _SLOW:
            longest = (
                _LONGEST / 3 if key[0] == "taped" else _LONGEST
            )  # the backward pass is to come
            if time.perf_counter() - start <= longest:
                programs[key] = _READY
            else:
                programs[key] = _SLOW if found is _SEEN else _REFUSED

    def _record(self, now, key, plan, inputs, model):
        """Run the computation once, noting its launches; gives its output."""
        k = kernels_of("cpu")
        if k.is_recording() or not all([x.flags.c_contiguous for x in inputs]):
            return None
        arena = now.locked_arena()
        if arena is None:
            return None
        whole = False
        try:
            output, made, whole = self._recorded(k, now, arena, key, plan, inputs, model)
            current = arena is now.arena
        finally:
            if not whole:
                now.leave(arena)
            arena.lock.release()
        if current:
            now.programs[key] = made
        return output

    def _recorded(self, k, now, arena, key, plan, inputs, model):
        """(output, what to keep for `key`, whether the arena's memory is all free again)."""
        written = Written(model)
        constants = [variable.data for variable in model.variables] + plan.constants
        recorder = k.Recorder(arena, inputs, constants)
        with recorder.open(), written.noted():
            fresh, kept = plan.compute(inputs)
        if fresh is None:
            written.restore()
            return None, _REFUSED, False
        copies = [np.array(array) for array in fresh], [np.array(array) for array in kept]
        program = recorder.program_for(fresh, kept, written.draws(k, model, recorder))
        whole = recorder.is_whole(fresh, kept)
        del fresh, kept
        output = plan.output(*copies)
        if program is None:
            disturbed = written.is_disturbed()  # by a thread that trains the model, say
            return output, self._missed(now, key) if disturbed else _REFUSED, whole
        if key not in now.tried:
            runs = [(inputs, [*copies[0], *copies[1]])]
            if not written.repeats(program, runs):
                return output, _REFUSED, whole
            now.tried.add(key)
        return output, _Pass(program, plan, written.changed()), whole


class _Pass:
    """A program with what turns its results into the computation's."""

    def __init__(self, program, plan, touched):
        self.program = program
        self.plan = plan
        self.touched = touched

    def run(self, now, inputs):
        """The new results for the inputs; None when another thread is at it or they do not fit."""
        for x in inputs:
            if not x.flags.c_contiguous:
                return None
        if not now.locks(self.program.arena):
            return None
        try:
            tell_before_writing(self.touched)
            return self.program.run(inputs)[0]
        finally:
            self.release()

    def release(self):
        """Unlock the arena: what the last run left in it is needed no longer."""
        self.program.arena.lock.release()


def outputs(model, x, options, eager):
    """What `model(x, **options)` gives, from a program; None where the eager call has to give it.

    Only outside of other layers' calls.
    """
    programs = model.__dict__.get("_programs")
    if programs is None or in_stateless_scope():
        return None
    if options and (len(options) > 1 or options.get("training", 1) not in (None, False, True)):
        return None
    tape = ACTIVE.tape
    if tape is None:
        if options.get("training"):
            return None
    elif type(tape) is not GradientTape or not tape.records_once():
        return None
    settled = nests.arrays_in(x)
    if settled is None:
        return None
    if GPU.used and (graphs.on_gpu() or any([type(x) is not np.ndarray for x in settled[0]])):
        return graphs.forward(programs, model, *settled, options, eager) if tape is None else None
    if tape is None:
        return programs.forward(model, *settled, options, eager)
    return programs.under_tape(taped.Call(model, tape, x, *settled, options, eager))


def eager_done(model, kind):
    """Tell that an eager pass of the model, "call" or "training", has ended."""
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
