"""custom_gradient: a function that brings its own gradient."""

from __future__ import annotations

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
        with no_grad():
            outputs, grad = f(*args, **kwargs)
        inputs = [leaf for leaf in tree.flatten(args) if isinstance(leaf, (Tensor, Variable))]
        if tape is None:
            return outputs
        keys = tuple([leaf.key if tape.tracks(leaf) else None for leaf in inputs])
        if not any(keys):
            return outputs
        if tape.forward:
            return _with_tangents(tape, inputs, outputs, grad)
        # Tensors of their own: f may give back an argument as it is.
        fresh = [Tensor(leaf.data, next_key()) for leaf in tree.flatten(outputs)]

        def backward(dys, needs):
            upstream = [
                Tensor(np.zeros_like(leaf.data) if dy is None else dy)
                for leaf, dy in zip(fresh, dys, strict=True)
            ]
            with no_grad():
                gradients = grad(*upstream)
            gradients = _checked(gradients, inputs)
            return [None if g is None else np.asarray(getattr(g, "data", g)) for g in gradients]

        tape.record(keys, tuple([leaf.key for leaf in fresh]), backward)
        if tape.notes is not None:
            tape.note(getattr(f, "__name__", "custom_gradient"), inputs, fresh)
        return tree.pack_sequence_as(outputs, fresh)

    return wrapper


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
