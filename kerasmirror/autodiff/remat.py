"""remat: a function that keeps its arguments alone for the backward pass, and runs again there.

The first run is noted, not recorded: which recorded values it read (they become the inputs of one
record on the tape), and what variables held before it wrote to them, random states among them. The
backward pass runs the function a second time, on a tape of its own, from those same states, in a
StatelessScope: nothing that the second run assigns is kept.
"""

from __future__ import annotations

import functools

from kerasmirror._export import export
from kerasmirror.autodiff.tape import ACTIVE, GradientTape
from kerasmirror.core import scopes, tree
from kerasmirror.core.stateless import StatelessScope, replace_loss
from kerasmirror.core.symbolic import any_symbolic
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import WriteLog, next_key


@export("remat")
def remat(f):
    """`f`, with intermediate values computed again for the gradient instead of kept for it.

    A segment of a deep network then needs memory for its inputs and outputs only, and its forward
    pass runs twice. Values, gradients, dropout masks and what `f` assigns are as without. Tensors
    that `f` stores elsewhere than in its result and by `add_loss` get no gradient.
    Source: Chen et al. 2016, https://arxiv.org/abs/1604.06174; Keras 3.15 `keras.remat`.
    """

    @functools.wraps(f, updated=())
    def rematerialized(*args, **kwargs):
        tape = ACTIVE.tape
        if tape is None or tape.forward or any_symbolic(args) or any_symbolic(kwargs):
            return f(*args, **kwargs)
        return _Segment(f, args, kwargs).run()

    return rematerialized


class _Footprint:
    """Stands in the place of a tape; notes which recorded values are read, and keeps nothing."""

    notes = None
    forward = nested = False

    def __init__(self, tape):
        self._tape = tape
        self._made = set()
        self.read = {}  # a dict for its order

    def tracks(self, value):
        return self._tape.tracks(value)

    def keys_of(self, inputs):
        return self._tape.keys_of(inputs)

    def record(self, input_keys, output_keys, backward):
        for key in input_keys:
            if key is not None and key not in self._made:
                self.read[key] = None
        self._made.update((output_keys,) if type(output_keys) is int else output_keys)

    def made(self, tensor):
        """Whether `tensor` was computed here from recorded values."""
        return type(tensor) is Tensor and tensor.key in self._made


class _Segment:
    """One call of a function, to be run again."""

    def __init__(self, f, args, kwargs):
        self._f = f
        self._args = args
        self._kwargs = kwargs

    def run(self):
        tape = ACTIVE.tape
        footprint = _Footprint(tape)
        # The second run may come when a StatelessScope around this one has long ended.
        scope = scopes.WRITES.stateless
        lent = [] if scope is None else scope.lent()
        with WriteLog() as log:
            outputs, losses = self._call(footprint)
        if not footprint.read:
            return outputs
        self._keys = tuple(footprint.read)
        self._before = lent + [
            (v, Tensor(values, v.key if v.key in footprint.read else None))
            for v, values in log.entries
        ]
        # Which of the results are on the tape: the second run has them in the same places.
        results = _results(outputs, losses)
        self._places = [i for i, tensor in enumerate(results) if footprint.made(tensor)]
        renewed = {i: Tensor(results[i].data, next_key()) for i in self._places}
        keys = tuple(tensor.key for tensor in renewed.values())
        tape.record(self._keys, keys, self._backward)
        return _renewed(outputs, losses, results, renewed)

    def _call(self, tape):
        """(outputs, [(layer, loss)]) of the function with `tape` recording."""
        before, ACTIVE.tape = ACTIVE.tape, tape
        outer, scopes.WRITES.losses = scopes.WRITES.losses, []
        try:
            outputs = self._f(*self._args, **self._kwargs)
            return outputs, scopes.WRITES.losses
        finally:
            ACTIVE.tape = before
            if outer is not None:
                outer.extend(scopes.WRITES.losses)
            scopes.WRITES.losses = outer

    def _backward(self, dys, needs):
        tape = GradientTape(watch_accessed_variables=False)
        tape._watched.update(self._keys)
        with StatelessScope(self._before, collect_losses=True):
            results = _results(*self._call(tape))
        pairs = zip(self._places, dys, strict=True)
        targets, seeds = zip(*[(results[i], dy) for i, dy in pairs if dy is not None], strict=True)
        sources = [Tensor(None, key) for key in self._keys]
        return tape.gradient_arrays(targets, sources, [Tensor(dy) for dy in seeds])


def _results(outputs, losses):
    """All that gradients can come in by: the outputs, the logits they keep, the losses added."""
    leaves = tree.flatten(outputs)
    return [*leaves, *[getattr(leaf, "logits", None) for leaf in leaves], *[x for _, x in losses]]


def _renewed(outputs, losses, results, renewed):
    """The outputs with those at the places `renewed` as new tensors; the losses likewise."""
    leaves = tree.flatten(outputs)
    count = len(leaves)
    fresh = []
    for i, leaf in enumerate(leaves):
        new = renewed.get(i)
        if new is None:
            fresh.append(leaf)
            continue
        if getattr(leaf, "mask", None) is not None:
            new.mask = leaf.mask
        if getattr(leaf, "logits", None) is not None:
            new.logits = renewed.get(count + i, leaf.logits)
        fresh.append(new)
    for i, (layer, loss) in enumerate(losses, 2 * count):
        if i in renewed:
            replace_loss(layer, loss, renewed[i])
    return tree.pack_sequence_as(outputs, fresh)
