"""GradientTape: records primitives as they run, then walks them backwards.

Reverse mode in one page: each record holds the keys (numbers) of its inputs and outputs and a
`backward` closure, which turns the gradients of the outputs into those of the inputs. `gradient`
visits the records newest first, adds up what arrives at each key, and drops each closure, and
with it the arrays it kept, as soon as it has run.
"""

from __future__ import annotations

import contextlib
import functools
import math
import threading

import numpy as np

from kerasmirror import kernels
from kerasmirror._export import export
from kerasmirror.autodiff import nested
from kerasmirror.core import dtypes, tree
from kerasmirror.core.device import GPU, filled, kernels_for
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable, next_key
from kerasmirror.kernels import scalar

_kernels_of = functools.cache(kernels.for_device)


class _Active(threading.local):
    tape = None

    def __init__(self):
        self.paused = []  # what was active before each `no_grad` that is open


ACTIVE = _Active()


@export("autodiff.GradientTape")
class GradientTape:
    """Context manager that records operations, so that `gradient` can differentiate them.

    Trainable variables are watched when they are used (unless `watch_accessed_variables=False`),
    tensors after `watch`. A tape is used up by one `gradient` call unless `persistent`.
    Gradients are of first order, or of second: what `gradient` of a tape within another gives, the
    outer tape differentiates (nested.py). A third tape, or one in a jvp, raises RuntimeError.
    """

    notes = None  # what a DrawableTape keeps beside the records
    forward = nested = False
    _outer = None

    def __init__(self, persistent=False, watch_accessed_variables=True):
        self._persistent = persistent
        self._watch_variables = watch_accessed_variables
        self._records = []
        self._watched = set()
        self._start = next_key()
        self._used = False

    def __enter__(self):
        outer = ACTIVE.tape
        if outer is None:
            ACTIVE.tape = self
            return self
        if outer.nested:
            raise RuntimeError(
                "GradientTape: a tape within two tapes is not supported, gradients are of first "
                "or second order. Leave a tape, or use its stop_recording(), before another."
            )
        if outer.forward:
            raise RuntimeError("GradientTape: a tape within a jvp is not supported.")
        self._outer = outer
        ACTIVE.tape = nested.Nested(outer, self)
        return self

    def __exit__(self, *error):
        ACTIVE.tape = self._outer

    def watch(self, tensor):
        """Track one tensor or variable, or a nested structure of them."""
        for leaf in tree.flatten(tensor):
            if not isinstance(leaf, (Tensor, Variable)):
                raise ValueError(
                    "GradientTape.watch: `tensor` must be a tensor or a variable. "
                    f"Received: {leaf!r}"
                )
            if isinstance(leaf, Variable):
                leaf.watched = True
            elif leaf.key is None:
                leaf.key = next_key()
            self._watched.add(leaf.key)

    @contextlib.contextmanager
    def stop_recording(self):
        """Within it, nothing is recorded."""
        before = ACTIVE.tape
        ACTIVE.tape = before.without(self) if before is not None and before.nested else None
        try:
            yield
        finally:
            ACTIVE.tape = before

    def reset(self):
        """Forget everything recorded so far."""
        self._records.clear()
        self._used = False

    def tracks(self, value):
        """Whether gradients are wanted for `value`."""
        key = value.key
        if key is None:
            return False
        if key > self._start or key in self._watched:
            return True
        # A negative key is a variable's, or that of the tensor it was read as.
        return key < 0 and self._watch_variables and getattr(value, "trainable", True)

    def records_once(self):
        """Whether each record is for one backward pass, and all trainable variables are watched."""
        simple = not self._persistent and self._watch_variables
        return simple and all([key > 0 for key in self._watched])

    def keys_of(self, inputs):
        """The keys of a primitive's inputs, None for those not tracked, or None for none at all."""
        start, watched = self._start, self._watched
        keys = []
        some = False
        for value in inputs:
            key = None if value is None else value.key
            if key is not None:
                # As `tracks`, which would be another call for each input of each operation.
                if key > start or key in watched or (key < 0 and self.tracks(value)):
                    some = True
                else:
                    key = None
            keys.append(key)
        return tuple(keys) if some else None

    def record(self, input_keys, output_keys, backward):
        """Add one primitive; `input_keys` has None for inputs that want no gradient."""
        self._records.append((input_keys, output_keys, backward))

    def gradient(self, target, sources, output_gradients=None, unconnected_gradients="none"):
        """d sum(target) / d source for each source, nested as `sources`.

        `output_gradients` weighs the target's elements (ones by default). A source that the target
        does not depend on gets None, or zeros with `unconnected_gradients="zero"`.
        Raises: RuntimeError when the tape was used before and is not persistent.
        """
        _check_unconnected(unconnected_gradients)
        targets = tree.flatten(target)
        seeds = [None] * len(targets)
        if output_gradients is not None:
            seeds = tree.flatten(output_gradients)
        recorder = ACTIVE.tape
        if recorder is not None and (
            self._outer is not None or (recorder.nested and self is recorder.tapes[0])
        ):
            return self._recorded_gradient(targets, sources, seeds, unconnected_gradients)
        arrays = self.gradient_arrays(targets, tree.flatten(sources), seeds)
        if unconnected_gradients == "zero":
            flat = tree.flatten(sources)
            arrays = [
                filled(s.data, 0) if a is None else a for s, a in zip(flat, arrays, strict=True)
            ]
        return tree.pack_sequence_as(sources, [None if a is None else Tensor(a) for a in arrays])

    def _recorded_gradient(self, targets, sources, seeds, unconnected_gradients):
        """`gradient` where another tape records it."""
        recorder = ACTIVE.tape
        within = recorder.nested and self in recorder.tapes
        if recorder.nested and not within:
            raise RuntimeError(
                "GradientTape.gradient: gradients are of first or second order, and two other "
                "tapes are recording."
            )
        self._begin()
        if within:
            ACTIVE.tape = other = recorder.without(self)
            if other._outer is self and not self._persistent:
                other._outer = None  # a tape that is used up records no more
        flat = tree.flatten(sources)
        grads = nested.gradients(self, ACTIVE.tape, targets, flat, seeds)
        if within and self._persistent:
            ACTIVE.tape = recorder
        if not self._persistent:
            self._records.clear()
        if unconnected_gradients == "zero":
            grads = [
                Tensor(np.zeros_like(source.data)) if grad is None else grad
                for source, grad in zip(flat, grads, strict=True)
            ]
        return tree.pack_sequence_as(sources, grads)

    def jacobian(self, target, sources, unconnected_gradients="none"):
        """d target / d source for each source, nested as `sources`: (*target.shape, *source.shape).

        One walk back for each value of `target`. Arguments and errors as those of `gradient`.
        """
        target = self._single(target, "jacobian")

        def rows():
            for place in range(target.data.size):
                seed = np.zeros(target.data.size, target.data.dtype)
                seed[place] = 1
                yield seed.reshape(target.shape)

        def joined(parts, source):
            return parts.reshape(*target.shape, *source.shape)

        return self._rows(target, sources, rows(), joined, unconnected_gradients)

    def batch_jacobian(self, target, source, unconnected_gradients="none"):
        """d target[i] / d source[i] for each i of the first axis: (N, ..., ...).

        For targets whose part i depends on part i of the source alone; one walk back for each value
        of a part.
        Raises: ValueError unless target and source have one size along the first axis.
        """
        target = self._single(target, "batch_jacobian")
        if not target.shape or not source.shape or target.shape[0] != source.shape[0]:
            raise ValueError(
                "GradientTape.batch_jacobian: `target` and `source` must have one size along their "
                f"first axis. Received: target.shape={tuple(target.shape)}, "
                f"source.shape={tuple(source.shape)}"
            )
        n, inner = target.shape[0], target.shape[1:]

        def rows():
            for place in range(math.prod(inner)):
                seed = np.zeros((n, math.prod(inner)), target.data.dtype)
                seed[:, place] = 1
                yield seed.reshape(target.shape)

        def joined(parts, source):
            return np.moveaxis(parts, 0, 1).reshape(n, *inner, *source.shape[1:])

        return self._rows(target, source, rows(), joined, unconnected_gradients)

    def _single(self, target, name):
        if not isinstance(target, (Tensor, Variable)):
            raise ValueError(
                f"GradientTape.{name}: `target` must be one tensor. Received: target={target!r}"
            )
        return target

    def _rows(self, target, sources, seeds, joined, unconnected_gradients):
        _check_unconnected(unconnected_gradients)
        if self._outer is not None and ACTIVE.tape is not None:
            raise NotImplementedError(
                "GradientTape: a Jacobian cannot be computed while an outer tape records it: "
                "use `gradient`, or the outer tape's stop_recording()."
            )
        self._begin()
        flat = tree.flatten(sources)
        parts = [self._gradients([target], flat, [seed], keep=True) for seed in seeds]
        if not self._persistent:
            self._records.clear()
        results = []
        for place, source in enumerate(flat):
            given = [row[place] for row in parts]
            if all([part is None for part in given]) and unconnected_gradients == "none":
                results.append(None)
                continue
            zero = np.zeros(source.shape, source.data.dtype)
            given = np.array([zero if part is None else part for part in given], zero.dtype)
            given = given.reshape(len(parts), *source.shape)  # a target may have no values
            results.append(Tensor(joined(given, source)))
        return tree.pack_sequence_as(sources, results)

    def gradient_arrays(self, targets, sources, seeds):
        """The same on flat lists, giving raw arrays."""
        self._begin()
        return self._gradients(targets, sources, seeds, keep=self._persistent)

    def _begin(self):
        if self._used and not self._persistent:
            raise RuntimeError(
                "GradientTape.gradient: a tape that is not persistent gives gradients once. "
                "Open it with persistent=True to call gradient() again."
            )
        self._used = True
        if ACTIVE.tape is self and not self._persistent:
            ACTIVE.tape = None  # what the backward pass runs is not part of the forward pass

    def _gradients(self, targets, sources, seeds, keep):
        grads = {}
        for target, seed in zip(targets, seeds, strict=True):
            if target.key is not None:
                grad = filled(target.data, 1) if seed is None else _raw(seed)
                _accumulate(grads, target.key, grad)
        wanted = {source.key for source in sources if source.key is not None}
        self._walk(grads, wanted, keep)
        return [grads.get(source.key) for source in sources]

    def _walk(self, grads, wanted, keep):
        records = list(self._records) if keep else self._records
        while records:
            input_keys, output_keys, backward = records.pop()
            if type(output_keys) is int:
                # Nothing older adds to this key: its gradient is final, and goes unless asked for.
                if output_keys in wanted:
                    dy = grads.get(output_keys)
                else:
                    dy = grads.pop(output_keys, None)
                if dy is None:
                    continue
            else:
                dy = tuple(grads.get(k) for k in output_keys)
                if all(d is None for d in dy):
                    continue
            needs = tuple([key is not None for key in input_keys])
            for key, grad in zip(input_keys, backward(dy, needs), strict=True):
                if key is not None and grad is not None:
                    _accumulate(grads, key, grad)
            backward = dy = None


def _accumulate(grads, key, grad):
    before = grads.get(key)
    # Not in place: a rule may hand out one array twice, or a view of the gradient it got.
    if before is None:
        grads[key] = grad
    elif isinstance(grad, np.ndarray):
        grads[key] = _kernels_of("cpu").map_scalar(scalar.add, before, grad)
    elif GPU.used:
        k, (before, grad) = kernels_for("GradientTape.gradient", [before, grad])
        grads[key] = k.map_scalar(scalar.add, before, grad)
    else:
        grads[key] = np.add(before, grad)  # NumPy's arithmetic makes numbers of arrays without axes


def _raw(value):
    return value.data if isinstance(value, (Tensor, Variable)) else np.asarray(value)


def _check_unconnected(value):
    if value not in ("none", "zero"):
        raise ValueError(
            'GradientTape.gradient: `unconnected_gradients` must be "none" or "zero". '
            f"Received: unconnected_gradients={value!r}"
        )


def as_source(value):
    """`value` as what derivatives are taken in: a variable itself, else a tensor with a key.

    A tensor becomes one of its own with the same array, so that the caller's stays as it was.
    """
    if isinstance(value, Variable):
        value.watched = True
        return value
    if isinstance(value, Tensor):
        own = Tensor(value.data, next_key())
        tape = ACTIVE.tape
        if tape is not None and tape.tracks(value):
            tape.record((value.key,), own.key, lambda dy, needs: (dy,))
        return own
    array = np.asarray(value)
    if not hasattr(value, "dtype") and array.dtype.kind in "fi":
        array = array.astype(dtypes.numpy_dtype(dtypes.standardize_dtype(None)))
    return Tensor(array, next_key())


@export("autodiff.no_grad")
class no_grad(contextlib.ContextDecorator):  # noqa: N801 - it is used as a function
    """Within it, no tape records anything: `with no_grad():`, or `@no_grad` before a function."""

    def __new__(cls, function=None):
        """A context; for a function, that function within one."""
        context = super().__new__(cls)
        return context if function is None else context(function)

    def __enter__(self):
        ACTIVE.paused.append(ACTIVE.tape)
        ACTIVE.tape = None

    def __exit__(self, *error):
        ACTIVE.tape = ACTIVE.paused.pop()
