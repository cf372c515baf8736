"""custom_gradient: a function that brings its own gradient."""

from __future__ import annotations

import functools

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.tape import ACTIVE, no_grad
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
        # Tensors of their own: f may give back an argument as it is.
        fresh = [Tensor(leaf.data, next_key()) for leaf in tree.flatten(outputs)]

        def backward(dys, needs):
            upstream = [
                Tensor(np.zeros_like(leaf.data) if dy is None else dy)
                for leaf, dy in zip(fresh, dys, strict=True)
            ]
            with no_grad():
                gradients = grad(*upstream)
            gradients = tree.flatten(gradients)
            if len(gradients) != len(inputs):
                raise ValueError(
                    "keras.ops.custom_gradient: the gradient function must give one gradient for "
                    f"each of the {len(inputs)} tensor arguments. Received: {len(gradients)}"
                )
            return [None if g is None else np.asarray(getattr(g, "data", g)) for g in gradients]

        tape.record(keys, tuple([leaf.key for leaf in fresh]), backward)
        if tape.notes is not None:
            tape.note(getattr(f, "__name__", "custom_gradient"), inputs, fresh)
        return tree.pack_sequence_as(outputs, fresh)

    return wrapper
