"""Tapes within tapes: gradients that can be differentiated once more.

Within two tapes a `Nested` stands in the active tape's place. Each call of a primitive then becomes
a `Step`, recorded on both. `gradient` of the inner tape, called where the outer one records, walks
back over the steps with tensors, and each step leaves a record on the outer tape: with y = P(x),
dx = J(x)' dy, and u the gradient that comes back for dx, the gradient of <u, dx> is

- in dy: J(x) u, which is the tangent that P has for u (tangents.py);
- in x: that of <dy, J(x) u>, which is nothing for a linear P (curvature.py).

A primitive that has no second derivative of its own may have an expansion into others that do: it
then runs in its place. Source: Pearlmutter 1994, Fast Exact Multiplication by the Hessian.
"""

from __future__ import annotations

import numpy as np

from kerasmirror.autodiff.curvature import curvature
from kerasmirror.autodiff.tangents import Call, conjugated, plus, settled
from kerasmirror.core.device import filled, kernels_at
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable, next_key

EXPANSIONS = {}  # by a primitive's name: a function of its inputs and options


def expands(name):
    """Let the decorated function run in the place of the primitive `name` within two tapes."""

    def register(function):
        EXPANSIONS[name] = function
        return function

    return register


class Nested:
    """Two recording tapes, outer and inner, as one."""

    forward = True  # for primitives to hand over their calls
    nested = True
    notes = None

    def __init__(self, outer, inner):
        self.tapes = outer, inner

    def without(self, tape):
        """The other one of the two tapes."""
        outer, inner = self.tapes
        return outer if tape is inner else inner

    def tracks(self, value):
        return any([tape.tracks(value) for tape in self.tapes])

    def keys_of(self, inputs):
        keys = tuple([v.key if v is not None and self.tracks(v) else None for v in inputs])
        return keys if any([key is not None for key in keys]) else None

    def record(self, input_keys, output_keys, backward):
        """Add what is no primitive to both."""
        for tape in self.tapes:
            tape.record(input_keys, output_keys, backward)

    def run(self, primitive, inputs, arrays, options, y, backward):
        """The result of a call of a primitive as tensors, recorded as a step."""
        many = type(y) is tuple
        found = [(tape, tape.keys_of(inputs)) for tape in self.tapes]
        if found[1][1] is not None and primitive.name in EXPANSIONS:
            return EXPANSIONS[primitive.name](*inputs, **options)
        if all([keys is None for _, keys in found]):
            return tuple([Tensor(part) for part in y]) if many else Tensor(y)
        step = Step(primitive, inputs, arrays, options, y, backward)
        out = tuple([Tensor(part, next_key()) for part in (y if many else (y,))])
        output_keys = tuple([part.key for part in out]) if many else out[0].key
        for tape, keys in found:
            if keys is not None:
                tape.record(keys, output_keys, step)
                if tape.notes is not None:
                    tape.note(primitive.name, inputs, out)
        return out if many else out[0]


class Step:
    """A call of a primitive: its backward pass, on arrays or recorded by another tape."""

    def __init__(self, primitive, inputs, arrays, options, y, backward):
        self._primitive = primitive
        self._inputs = inputs
        self._arrays = arrays
        self._options = options
        self._y = y
        self._single = type(y) is not tuple
        if self._single and y.dtype.kind == "c" and primitive.holomorphic:
            backward = conjugated(backward)
        self._backward = backward

    def __call__(self, dy, needs):
        return self._backward(dy, needs)

    def taped(self, recorder, dys, needs):
        """The gradients of the inputs as tensors, from those of the results, on the recorder."""
        given = tuple([None if dy is None else dy.data for dy in dys])
        found = self._backward(given[0] if self._single else given, needs)
        gradients = [
            Tensor(settled(grad), next_key()) if wanted and grad is not None else None
            for grad, wanted in zip(found, needs, strict=True)
        ]
        keys = recorder.keys_of([*self._inputs, *dys])
        if keys is None:
            return [None if grad is None else Tensor(grad.data) for grad in gradients]
        self._check_real()
        places = [place for place, grad in enumerate(gradients) if grad is not None]

        def second(us, needs):
            changes = [None] * len(self._inputs)
            for place, u in zip(places, us, strict=True):
                changes[place] = u
            return self._second(changes, given, needs)

        recorder.record(keys, tuple([gradients[place].key for place in places]), second)
        return gradients

    def _second(self, changes, dys, needs):
        k = kernels_at(self._y if self._single else self._y[0])
        n = len(self._inputs)
        call = Call(
            self._primitive.name,
            self._primitive.rule,
            self._arrays,
            changes,
            self._options,
            self._y,
            self._backward,
        )
        results = [None] * (n + len(dys))
        with np.errstate(all="ignore"):
            if any(needs[n:]):
                change = self._primitive.tangent(k, call)
                parts, ys = ((change,), (self._y,)) if self._single else (change, self._y)
                for place, (part, y) in enumerate(zip(parts, ys, strict=True)):
                    if part is not None and needs[n + place]:
                        results[n + place] = settled(part, y.dtype)
            if any(needs[:n]):
                kind = self._primitive.tangent
                results[:n] = curvature(k, call, kind, dys, needs[:n])
        return results

    def _check_real(self):
        for array in [*self._arrays, *([self._y] if self._single else self._y)]:
            if array is not None and array.dtype.kind == "c":
                raise NotImplementedError(
                    f"GradientTape: second derivatives of complex tensors are not supported, here "
                    f"of {self._primitive.name!r}."
                )


def gradients(tape, recorder, targets, sources, seeds):
    """The gradients of `tape` as tensors on the recorder, None for what has none."""
    grads = {}
    for target, seed in zip(targets, seeds, strict=True):
        if target.key is not None:
            if isinstance(seed, Variable):
                seed = seed.value
            if not isinstance(seed, Tensor):
                seed = Tensor(filled(target.data, 1) if seed is None else settled(seed))
            _accumulate(recorder, grads, target.key, seed)
    reached = _reached(tape, {source.key for source in sources if source.key is not None})
    for input_keys, output_keys, step in reversed(tape._records):
        single = type(output_keys) is int
        dys = [grads.get(key) for key in ((output_keys,) if single else output_keys)]
        needs = tuple([key in reached for key in input_keys])
        if not any(needs) or all([dy is None for dy in dys]):
            continue
        if not hasattr(step, "taped"):
            raise NotImplementedError(
                "GradientTape.gradient: second derivatives through `keras.remat`, or through a "
                "part that runs on a tape of its own, are not supported."
            )
        for key, grad in zip(input_keys, step.taped(recorder, dys, needs), strict=True):
            if key is not None and grad is not None:
                _accumulate(recorder, grads, key, grad)
    return [grads.get(source.key) for source in sources]


def _reached(tape, keys):
    """The keys of what depends on the sources: gradients of all else are not computed."""
    reached = set(keys)
    for input_keys, output_keys, _ in tape._records:
        if any([key in reached for key in input_keys]):
            reached.update((output_keys,) if type(output_keys) is int else output_keys)
    return reached


def _accumulate(recorder, grads, key, grad):
    before = grads.get(key)
    if before is None:
        grads[key] = grad
        return
    total = Tensor(settled(plus(before.data, grad.data)), next_key())
    keys = recorder.keys_of([before, grad])
    if keys is None:
        total.key = None
    else:
        recorder.record(keys, total.key, lambda dy, needs: (dy, dy))
    grads[key] = total
