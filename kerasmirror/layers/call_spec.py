"""How a layer is being called: its arguments by name, the shapes `build` gets, the open calls."""

from __future__ import annotations

import inspect
import threading

from kerasmirror.core import tree
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable


class _OpenCalls(threading.local):
    """The outermost layer call of this thread, and what it hands down to the inner ones."""

    def __init__(self):
        self.entry = None
        self.values = {}


OPEN_CALLS = _OpenCalls()


def is_tensor(value):
    """Whether `value` can be given to a layer: a tensor, a variable or a placeholder."""
    return isinstance(value, (Tensor, KerasTensor, Variable))


class CallSignature:
    """What is known of `call()` once and for all."""

    def __init__(self, call):
        self.signature = inspect.signature(call)
        self.names = list(self.signature.parameters)
        kinds = [p.kind for p in self.signature.parameters.values()]
        self.takes_any_keyword = inspect.Parameter.VAR_KEYWORD in kinds
        self.has_training = "training" in self.names
        self.has_mask = "mask" in self.names
        self.defaults = {
            name: p.default
            for name, p in self.signature.parameters.items()
            if p.default is not inspect.Parameter.empty
        }

    def bind(self, args, kwargs):
        """Every argument by name, defaults included."""
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return bound.arguments


def tensor_arguments(arguments):
    """The arguments that are tensors or nests of nothing but tensors.

    Raises: ValueError for a nest that mixes tensors with other things.
    """
    found = {}
    for name, value in arguments.items():
        if is_tensor(value):
            found[name] = value
        elif isinstance(value, (list, tuple, dict)) and len(value):
            leaves = tree.flatten(value)
            if all(leaf is None or is_tensor(leaf) for leaf in leaves):
                if any(leaf is not None for leaf in leaves):
                    found[name] = value
            elif any(is_tensor(leaf) for leaf in leaves):
                raise ValueError(
                    "Layer: a nested argument of call() must hold tensors only, or none. "
                    f"Received: {name}={value!r}"
                )
    return found


def shapes_of(arguments):
    """{"inputs_shape": (2, 3)} for the tensors among `arguments`."""
    return {
        f"{name}_shape": tree.map_structure(lambda x: None if x is None else tuple(x.shape), value)
        for name, value in tensor_arguments(arguments).items()
    }


def shapes_for(function, shapes, owner):
    """Of `shapes`, what `function` (a `build` or `compute_output_shape`) takes, under its names.

    A function with one argument gets the only, or the first, shape whatever its name.
    Raises: ValueError when its arguments do not match those of call().
    """
    parameters = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY, p.POSITIONAL_ONLY)
    ]
    if (
        any(p.kind == p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())
        and not parameters
    ):
        return shapes
    if len(parameters) == 1:
        first = next(iter(shapes.values()), None)
        by_name = shapes.get(parameters[0].name, first)
        return {parameters[0].name: by_name}
    chosen = {}
    for p in parameters:
        if p.name in shapes:
            chosen[p.name] = shapes[p.name]
        elif p.default is p.empty:
            raise ValueError(
                f"{owner}: `{function.__name__}` must take the shapes of call()'s tensors, named "
                f"{sorted(shapes)}. Received: a required argument `{p.name}`"
            )
    return chosen
