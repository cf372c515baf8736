"""jvp: tangents beside values, forward mode.

`jvp` puts a `ForwardPass` in the tape's place. A primitive that meets a value with a tangent then
computes, besides its result, the result's tangent (tangents.py). Tangents are kept by the keys that
tapes know tensors by: values stay plain tensors, and nothing is added to a call without tangents.
"""

from __future__ import annotations

import numpy as np

from kerasmirror import kernels
from kerasmirror._export import export
from kerasmirror.autodiff.tangents import Call
from kerasmirror.autodiff.tape import ACTIVE, as_source, no_grad
from kerasmirror.core import tree
from kerasmirror.core.symbolic import KerasTensor, any_symbolic
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable, next_key


class ForwardPass:
    """What is known of tangents: `tangents[key]` is that of the tensor with the key."""

    forward = True
    nested = False

    def __init__(self):
        self.tangents = {}

    def tracks(self, value):
        """Whether `value` has a tangent."""
        return value.key in self.tangents

    def run(self, primitive, inputs, arrays, options, y, backward):
        """The result of a call of a primitive as tensors, with their tangents noted."""
        found = [None if value is None else self.tangents.get(value.key) for value in inputs]
        many = type(y) is tuple
        if all([tangent is None for tangent in found]):
            return tuple([Tensor(part) for part in y]) if many else Tensor(y)
        k = kernels.for_device("cpu")
        with np.errstate(all="ignore"):
            dy = primitive.tangent(
                k, Call(primitive.name, primitive.rule, arrays, found, options, y, backward)
            )
        if not many:
            return self.tensor(y, dy)
        return tuple([self.tensor(*pair) for pair in zip(y, dy, strict=True)])

    def tensor(self, value, tangent):
        """A tensor with this tangent, or without one for None."""
        if tangent is None:
            return Tensor(value)
        out = Tensor(value, next_key())
        self.tangents[out.key] = np.asarray(tangent, value.dtype)
        return out


def _tangent(value, primal):
    array = np.asarray(value.data if isinstance(value, (Tensor, Variable)) else value)
    if array.shape != primal.shape:
        raise ValueError(
            "kerasmirror.autodiff.jvp: `tangents` must have the shapes of `primals`. "
            f"Received: {array.shape} for a primal of shape {tuple(primal.shape)}"
        )
    return array.astype(primal.data.dtype)


@export("autodiff.jvp", "ops.jvp", "ops.linalg.jvp")
def jvp(fun, primals, tangents, has_aux=False):
    """`(y, J v)`: `fun(*primals)`, and how it changes along `tangents` v; J is its Jacobian matrix.

    primals and tangents are tuples or lists of nested structures, alike in structure and shapes; a
    result that does not depend on the primals has the tangent 0. With `has_aux`, `fun` gives
    (y, aux), and aux comes back as a third value. The tangents are exact, computed along with the
    values, and of first order: they cannot be differentiated again.
    Raises: TypeError unless primals and tangents are tuples or lists, ValueError where they differ,
    RuntimeError within another jvp or a tape, NotImplementedError for what has no rule.
    Source: Keras 3.15 `keras.ops.jvp`; Griewank and Walther, Evaluating Derivatives, section 3.1.
    """
    for name, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, (tuple, list)):
            raise TypeError(
                f"kerasmirror.autodiff.jvp: `{name}` must be a tuple or a list. "
                f"Received: {name}={value!r}"
            )
    if any_symbolic(primals) or any_symbolic(tangents):
        return _symbolic_jvp(fun, primals, has_aux)
    if ACTIVE.tape is not None:
        raise RuntimeError(
            "kerasmirror.autodiff.jvp: derivatives are of first order: a jvp cannot run within "
            "another jvp, nor within a GradientTape, whose gradients would miss the tangents."
        )
    flat, given = tree.flatten(primals), tree.flatten(tangents)
    if len(flat) != len(given):
        raise ValueError(
            "kerasmirror.autodiff.jvp: `tangents` must have the structure of `primals`. "
            f"Received: {len(flat)} primals and {len(given)} tangents"
        )
    forward = ForwardPass()
    values = [as_source(value) for value in flat]
    for value, tangent in zip(values, given, strict=True):
        forward.tangents[value.key] = _tangent(tangent, value)
    ACTIVE.tape = forward
    try:
        results = fun(*tree.pack_sequence_as(primals, values))
    finally:
        ACTIVE.tape = None
    y, aux = results if has_aux else (results, None)
    with no_grad():
        changes = tree.map_structure(lambda leaf: _change(forward, leaf), y)
    return (y, changes, aux) if has_aux else (y, changes)


def _change(forward, value):
    if not isinstance(value, (Tensor, Variable)):
        return Tensor(np.zeros_like(np.asarray(value)))
    tangent = forward.tangents.get(value.key)
    return Tensor(np.zeros_like(value.data) if tangent is None else tangent)


def _symbolic_jvp(fun, primals, has_aux):
    results = fun(*primals)
    y, aux = results if has_aux else (results, None)
    changes = tree.map_structure(lambda leaf: KerasTensor(leaf.shape, leaf.dtype), y)
    return (y, changes, aux) if has_aux else (y, changes)
