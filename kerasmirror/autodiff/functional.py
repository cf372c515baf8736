"""grad and value_and_grad: gradients of functions, as functions."""

from __future__ import annotations

import functools

from kerasmirror._export import export
from kerasmirror.autodiff.tape import GradientTape, as_source
from kerasmirror.core import tree
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable

_OWNER = "kerasmirror.autodiff.value_and_grad"


@export("autodiff.value_and_grad")
def value_and_grad(f, argnums=0, has_aux=False):
    """A function of the arguments of `f` that gives `(f(...), its gradient)`.

    The gradient is that in the argument number `argnums`, a nested structure of tensors, and nested
    like it; for a tuple of numbers a tuple of them. What `f` does not depend on gets zeros. With
    `has_aux`, f gives (value, aux), and the result is `((value, aux), gradient)`.
    Raises: ValueError for a bad `argnums`, or when the value is not a single number.
    """
    single = not isinstance(argnums, (tuple, list))
    places = (argnums,) if single else tuple(argnums)
    if not places or not all(isinstance(i, int) and not isinstance(i, bool) for i in places):
        raise ValueError(
            f"{_OWNER}: `argnums` must be an int or a tuple of ints. Received: argnums={argnums!r}"
        )

    @functools.wraps(f)
    def evaluate(*args, **kwargs):
        if not all(-len(args) <= i < len(args) for i in places):
            raise ValueError(
                f"{_OWNER}: `argnums` must name arguments that are given by place. "
                f"Received: argnums={argnums!r} for {len(args)} arguments"
            )
        args = list(args)
        for place in places:
            args[place] = tree.map_structure(as_source, args[place])
        wanted = [args[place] for place in places]
        with GradientTape() as tape:
            tape.watch(wanted)
            result = f(*args, **kwargs)
        value = result[0] if has_aux else result
        if not isinstance(value, (Tensor, Variable)) or value.data.size != 1:
            raise ValueError(
                f"{_OWNER}: `f` must give a tensor with one value"
                f"{', and auxiliary data' if has_aux else ''}. Received: {value!r}"
            )
        gradients = tape.gradient(value, wanted, unconnected_gradients="zero")
        return result, gradients[0] if single else tuple(gradients)

    return evaluate


@export("autodiff.grad")
def grad(f, argnums=0, has_aux=False):
    """A function of the arguments of `f` that gives its gradient; see `value_and_grad`.

    With `has_aux`, f gives (value, aux), and the result is `(gradient, aux)`.
    """
    evaluate = value_and_grad(f, argnums, has_aux)

    @functools.wraps(f)
    def gradient(*args, **kwargs):
        result, gradients = evaluate(*args, **kwargs)
        return (gradients, result[1]) if has_aux else gradients

    return gradient
