"""custom_gradient: a function that brings its own gradient."""

from __future__ import annotations

import contextlib
import functools

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.tape import ACTIVE, GradientTape, no_grad
from kerasmirror.core import tree
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable, next_key


@export("ops.custom_gradient")
def custom_gradient(f):
    """A function with the values of `f(*args)[0]` and the gradients that `f(*args)[1]` computes.

    `f` gives (outputs, grad). `grad(*upstream)` takes the gradients of the flat outputs and gives
    those of the flat tensor arguments, None for what has none. What `f` reads besides its
    arguments gets no gradient.
    Source: Keras 3.15 `keras.ops.custom_gradient`, in its TensorFlow form.
    """

    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        tape = ACTIVE.tape
        # A second derivative follows what `grad` uses of f's own computations.
        with contextlib.nullcontext() if tape is not None and tape.nested else no_grad():
            outputs, grad = f(*args, **kwargs)
        inputs = [leaf for leaf in tree.flatten(args) if isinstance(leaf, (Tensor, Variable))]
        if tape is None:
            return outputs
        keys = tuple([leaf.key if tape.tracks(leaf) else None for leaf in inputs])
        if not any(keys):
            return outputs
        if tape.forward and not tape.nested:
            return _with_tangents(tape, inputs, outputs, grad)
        # Tensors of their own: f may give back an argument as it is.
        fresh = [Tensor(leaf.data, next_key()) for leaf in tree.flatten(outputs)]

        backward = _Backward(grad, inputs, fresh)
        tape.record(keys, tuple([leaf.key for leaf in fresh]), backward)
        if tape.notes is not None:
            tape.note(getattr(f, "__name__", "custom_gradient"), inputs, fresh)
        return tree.pack_sequence_as(outputs, fresh)

    return wrapper


class _Backward:
    """The gradient function on arrays, or recorded by another tape (nested.py)."""

    def __init__(self, grad, inputs, outputs):
        self._grad = grad
        self._inputs = inputs
        self._outputs = outputs

    def __call__(self, dys, needs):
        with no_grad():
            gradients = self._run([None if dy is None else Tensor(dy) for dy in dys])
        return [None if g is None else np.asarray(getattr(g, "data", g)) for g in gradients]

    def taped(self, recorder, dys, needs):
        """The gradients as tensors, with the operations that compute them on the active tape."""
        gradients = self._run(dys)
        return [
            Tensor(np.asarray(g)) if g is not None and not hasattr(g, "data") else g
            for g in gradients
        ]

    def _run(self, dys):
        upstream = [
            Tensor(np.zeros_like(leaf.data)) if dy is None else dy
            for leaf, dy in zip(self._outputs, dys, strict=True)
        ]
        return _checked(self._grad(*upstream), self._inputs)


def _checked(gradients, inputs):
    gradients = tree.flatten(gradients)
    if len(gradients) != len(inputs):
        raise ValueError(
            "keras.ops.custom_gradient: the gradient function must give one gradient for "
            f"each of the {len(inputs)} tensor arguments. Received: {len(gradients)}"
        )
    return gradients


def _with_tangents(forward, inputs, outputs, grad):
    """The outputs with their tangents.

    grad(dy) = J' dy is linear in dy, so the gradient of <grad(dy), v> in dy is J v: what a tape
    finds where `grad` is written with operations that it can follow.
    """
    leaves = tree.flatten(outputs)
    upstream = [Tensor(np.zeros_like(leaf.data), next_key()) for leaf in leaves]
    ACTIVE.tape = None
    try:
        with GradientTape() as tape:
            tape.watch(upstream)
            gradients = _checked(grad(*upstream), inputs)
        pairs = [
            (g, forward.tangents[x.key])
            for g, x in zip(gradients, inputs, strict=True)
            if g is not None and forward.tracks(x)
        ]
        if any([not isinstance(g, Tensor) or g.key is None for g, _ in pairs]):
            raise NotImplementedError(
                "kerasmirror.autodiff.jvp: a function with keras.ops.custom_gradient needs a "
                "gradient that is computed with keras.ops from what it gets."
            )
        seeds = [Tensor(v) for _, v in pairs]
        changes = tape.gradient([g for g, _ in pairs], upstream, output_gradients=seeds)
    finally:
        ACTIVE.tape = forward
    fresh = [
        forward.tensor(leaf.data, None if change is None else change.data)
        for leaf, change in zip(leaves, changes, strict=True)
    ]
    return tree.pack_sequence_as(outputs, fresh)
