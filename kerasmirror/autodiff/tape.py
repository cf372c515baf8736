"""GradientTape: records primitives as they run, then walks them backwards.

Reverse mode in one page: each record holds the keys (numbers) of its inputs and outputs and a
`backward` closure, which turns the gradients of the outputs into those of the inputs. `gradient`
visits the records newest first, adds up what arrives at each key, and drops each closure, and
with it the arrays it kept, as soon as it has run.
"""

from __future__ import annotations

import contextlib
import threading

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import tree
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable, next_key


class _Active(threading.local):
    tape = None


ACTIVE = _Active()


@export("autodiff.GradientTape")
class GradientTape:
    """Context manager that records operations, so that `gradient` can differentiate them.

    Trainable variables are watched when they are used (unless `watch_accessed_variables=False`),
    tensors after `watch`. A tape is used up by one `gradient` call unless `persistent`.
    Gradients are first order: a tape within a tape raises RuntimeError.
    """

    notes = None  # what a DrawableTape keeps beside the records

    def __init__(self, persistent=False, watch_accessed_variables=True):
        self._persistent = persistent
        self._watch_variables = watch_accessed_variables
        self._records = []
        self._watched = set()
        self._start = next_key()
        self._used = False

    def __enter__(self):
        if ACTIVE.tape is not None:
            raise RuntimeError(
                "GradientTape: a tape within a tape is not supported, gradients are first order. "
                "Leave the outer tape (or use its stop_recording()) before opening another."
            )
        ACTIVE.tape = self
        return self

    def __exit__(self, *error):
        ACTIVE.tape = None

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
        before, ACTIVE.tape = ACTIVE.tape, None
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

    def record(self, input_keys, output_keys, backward):
        """Add one primitive; `input_keys` has None for inputs that want no gradient."""
        self._records.append((input_keys, output_keys, backward))

    def gradient(self, target, sources, output_gradients=None, unconnected_gradients="none"):
        """d sum(target) / d source for each source, nested as `sources`.

        `output_gradients` weighs the target's elements (ones by default). A source that the target
        does not depend on gets None, or zeros with `unconnected_gradients="zero"`.
        Raises: RuntimeError when the tape was used before and is not persistent.
        """
        if unconnected_gradients not in ("none", "zero"):
            raise ValueError(
                'GradientTape.gradient: `unconnected_gradients` must be "none" or "zero". '
                f"Received: unconnected_gradients={unconnected_gradients!r}"
            )
        targets = tree.flatten(target)
        seeds = [None] * len(targets)
        if output_gradients is not None:
            seeds = tree.flatten(output_gradients)
        arrays = self.gradient_arrays(targets, tree.flatten(sources), seeds)
        if unconnected_gradients == "zero":
            flat = tree.flatten(sources)
            arrays = [
                np.zeros(s.shape, s.data.dtype) if a is None else a
                for s, a in zip(flat, arrays, strict=True)
            ]
        return tree.pack_sequence_as(sources, [None if a is None else Tensor(a) for a in arrays])

    def gradient_arrays(self, targets, sources, seeds):
        """The same on flat lists, giving raw arrays."""
        if self._used and not self._persistent:
            raise RuntimeError(
                "GradientTape.gradient: a tape that is not persistent gives gradients once. "
                "Open it with persistent=True to call gradient() again."
            )
        self._used = True
        if ACTIVE.tape is self and not self._persistent:
            ACTIVE.tape = None  # what the backward pass runs is not part of the forward pass
        grads = {}
        for target, seed in zip(targets, seeds, strict=True):
            if target.key is not None:
                grad = np.ones(target.shape, target.data.dtype) if seed is None else _raw(seed)
                _accumulate(grads, target.key, grad)
        wanted = {source.key for source in sources if source.key is not None}
        self._walk(grads, wanted)
        return [grads.get(source.key) for source in sources]

    def _walk(self, grads, wanted):
        records = list(self._records) if self._persistent else self._records
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
    grads[key] = grad if before is None else np.add(before, grad)


def _raw(value):
    return value.data if isinstance(value, (Tensor, Variable)) else np.asarray(value)


@export("autodiff.no_grad")
@contextlib.contextmanager
def no_grad():
    """Within it, no tape records anything."""
    before, ACTIVE.tape = ACTIVE.tape, None
    try:
        yield
    finally:
        ACTIVE.tape = before
