"""Kinds of tangent rules: how a small change of a primitive's inputs changes its result.

A kind is `tangent(k, call) -> dy` (a tuple of arrays, or Nones, where there are several results),
with a `Call` of the primitive whose `tangents` are arrays like its inputs, None where an input does
not change. Much of it follows from what the primitive has already:

- linear: the rule itself, run on the tangents.
- multilinear: the rule run once for each factor, on that factor's tangent.
- diagonal: each value of y depends on the one value of x at its place, so that the matrix of
  derivatives is diagonal, its own transpose, and `backward` applies it.
- symmetric: the matrix of derivatives is symmetric for another reason; `backward` applies it.
- reducing: each value of x is part of one value of y, so that `backward` of ones is the derivative.

What fits none of them has a function of its own beside the rule. `without_gradient(reason)` says
that there is nothing to follow, in both directions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


class Call(NamedTuple):
    """One call of a primitive, on arrays."""

    name: str
    rule: Callable
    inputs: list
    tangents: list
    options: dict
    y: Any
    backward: Callable


def undeclared(k, call):
    """The kind of a primitive that does not say which it is."""
    raise NotImplementedError(
        f"kerasmirror.autodiff.jvp: the primitive {call.name!r} has no rule for tangents."
    )


class WithoutGradient:
    """The kind of primitives that nothing can be differentiated through."""

    def __init__(self, reason):
        self.reason = reason

    def __call__(self, k, call):
        """No tangent."""
        return tuple([None] * len(call.y)) if type(call.y) is tuple else None


def without_gradient(reason):
    """The kind of a primitive without a gradient, for a `reason` that completes "as ..."."""
    return WithoutGradient(reason)


class Refused(WithoutGradient):
    """The kind of primitives whose gradient is not there: to ask for it is an error."""

    def __call__(self, k, call):
        """Raise NotImplementedError with the reason."""
        raise NotImplementedError(f"keras.ops.{call.name} has no gradient here: {self.reason}.")


def refused(reason):
    """The kind of a primitive that raises where its gradient is asked for, in both directions."""
    return Refused(reason)


def linear(k, call):
    """The rule on the tangents of all inputs."""
    return _linear(k, call, range(len(call.inputs)))


def linear_in(*places):
    """The rule on the tangents of the inputs at `places`; the others stay (indices, conditions)."""

    def tangent(k, call):
        return _linear(k, call, places)

    tangent.places = places
    return tangent


def _linear(k, call, places):
    inputs = list(call.inputs)
    for place in places:
        if inputs[place] is not None:
            given = call.tangents[place]
            inputs[place] = np.zeros_like(inputs[place]) if given is None else given
    return call.rule(k, *inputs, **call.options)[0]


def multilinear(k, call):
    """The sum over the inputs of the rule with one of them replaced by its tangent."""
    total = None
    for place, given in enumerate(call.tangents):
        if given is not None:
            inputs = [*call.inputs[:place], given, *call.inputs[place + 1 :]]
            total = plus(total, call.rule(k, *inputs, **call.options)[0])
    return total


def diagonal(k, call):
    """`backward` of each tangent, on inputs that are stretched to the result's shape."""
    shape, backward = call.y.shape, call.backward
    if any([x is not None and x.shape != shape for x in call.inputs]):
        stretched = [None if x is None else np.broadcast_to(x, shape) for x in call.inputs]
        _, backward = call.rule(k, *stretched, **call.options)
    total = None
    for place, given in enumerate(call.tangents):
        if given is not None:
            needs = tuple([i == place for i in range(len(call.inputs))])
            given = np.broadcast_to(given, shape)
            total = plus(total, backward(given, needs)[place])
    return total


def symmetric(k, call):
    """`backward` of the tangent of the one input."""
    return call.backward(call.tangents[0], (True,))[0]


def reducing(axes_of):
    """The derivatives times the tangents, summed over the axes that `axes_of(options)` gives.

    All axes for None; the sum is given the shape of the result.
    """

    def tangent(k, call):
        needs = tuple([given is not None for given in call.tangents])
        slopes = call.backward(np.ones_like(call.y), needs)
        total = None
        for slope, given in zip(slopes, call.tangents, strict=True):
            if given is not None:
                total = plus(total, k.sum(slope * given, axes_of(call.options)))
        return settled(total, call.y.dtype).reshape(call.y.shape)

    return tangent


def settled(part, dtype=None):
    """An array of either device, of `dtype` where one is given; NumPy's numbers become arrays."""
    if isinstance(part, (np.ndarray, np.generic, int, float)):
        return np.asarray(part, dtype)
    return part if dtype is None else part.astype(dtype, copy=False)


def plus(total, more):
    """`total + more`, where both may be None for nothing."""
    if total is None or more is None:
        return more if total is None else total
    return np.add(total, more)


def conjugated(backward):
    """What turns `dx = f'(x) dy` into the gradient of a real loss, `conj(f'(x)) dy`."""

    def wrapped(dy, needs):
        # Of an array without axes NumPy makes a number.
        gradients = backward(np.asarray(np.conjugate(dy)), needs)
        return tuple(
            [None if grad is None else np.asarray(np.conjugate(grad)) for grad in gradients]
        )

    return wrapped
