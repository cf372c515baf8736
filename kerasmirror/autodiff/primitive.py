"""@primitive: an operation with its kernel calls, its gradient and its shape rule in one place.

A rule is `def rule(k, *arrays, **options) -> (y, backward)`: `k` is the kernel namespace, the
arrays are raw, `backward(dy, needs)` gives one gradient (or None) for each array. It is called
with tensors, variables or None for arrays that are left out; called with a KerasTensor, only its
shape rule `spec(*inputs, **options) -> (shape, dtype)` runs.

`tangent` is the way forward, see tangents.py: a kind ("linear", ...), or a function beside the rule
(`@name.forward`). For complex arrays a rule's backward is that of a holomorphic function,
`dx = f'(x) dy`; the tape's gradient, that of a real loss by real and imaginary part, is its
conjugate: `conj(f'(x)) dy`. A rule that is no such function sets `holomorphic=False` and brings
its own.
"""

from __future__ import annotations

import functools

from kerasmirror import kernels
from kerasmirror.autodiff.tangents import conjugated, undeclared
from kerasmirror.autodiff.tape import ACTIVE
from kerasmirror.core.device import CPU, GPU, current_device, device, explained, kernels_for
from kerasmirror.core.node import Node, keeps_history
from kerasmirror.core.operation import OperationCall
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import next_key

# Importing the kernels takes half a second: at the first use, not at import.
kernels_of = functools.cache(kernels.for_device)
# Without __init__, which sees to the device.
new_tensor = Tensor.__new__

PRIMITIVES = []


class Primitive:
    """A callable made of a rule; see the module's text."""

    def __init__(self, name, rule, spec, tangent, holomorphic):
        self.name = name
        self.rule = rule
        self.spec = spec
        self.tangent = tangent
        self.holomorphic = holomorphic
        self.__doc__ = rule.__doc__
        self.__name__ = name
        PRIMITIVES.append(self)

    def forward(self, function):
        """Make `function(k, inputs, tangents, y, **options) -> dy` the rule for tangents."""

        def tangent(k, call):
            return function(k, call.inputs, call.tangents, call.y, **call.options)

        self.tangent = tangent
        return function

    def __call__(self, *inputs, **options):
        return self.apply(inputs, options)

    def apply(self, inputs, options):
        """`self(*inputs, **options)`, sooner: for who has a tuple and a dict at hand."""
        try:
            arrays = [None if value is None else value.data for value in inputs]
        except AttributeError:
            return self._symbolic(inputs, options)
        if GPU.used:
            k, arrays = kernels_for(self.name, arrays)
            if k is not GPU.kernels and current_device() != CPU:
                with device(CPU):  # where the inputs are, the result is
                    return self.apply(inputs, options)
            with explained(self.name):
                y, backward = self.rule(k, *arrays, **options)
        else:
            y, backward = self.rule(kernels_of("cpu"), *arrays, **options)
        tape = ACTIVE.tape
        if tape is None or backward is None:
            return tuple([Tensor(part) for part in y]) if type(y) is tuple else Tensor(y)
        if tape.forward:
            return tape.run(self, inputs, arrays, options, y, backward)
        keys = tape.keys_of(inputs)
        if keys is None:
            return tuple([Tensor(part) for part in y]) if type(y) is tuple else Tensor(y)
        if type(y) is tuple:
            out = tuple([Tensor(part, next_key()) for part in y])
            tape.record(keys, tuple([part.key for part in out]), backward)
        else:
            if y.dtype.kind == "c" and self.holomorphic:
                backward = conjugated(backward)
            key = next_key()
            if GPU.used:
                out = Tensor(y, key)
            else:
                out = new_tensor(Tensor)
                out.data, out.key = y, key
            tape.record(keys, key, backward)
        if tape.notes is not None:
            tape.note(self.name, inputs, out)
        return out

    def _symbolic(self, inputs, options):
        for value in inputs:
            if value is not None and not hasattr(value, "shape"):
                raise TypeError(f"{self.name}: inputs must be tensors. Received: {value!r}")
        result = self.spec(*inputs, **options)
        many = isinstance(result, list)
        placeholders = [value for value in inputs if isinstance(value, KerasTensor)]
        kept = keeps_history(placeholders)
        traceable = all(value.record_history for value in placeholders)
        outputs = [
            KerasTensor(shape, dtype, record_history=traceable)
            for shape, dtype in (result if many else [result])
        ]
        if kept:
            call = OperationCall(self.name, functools.partial(self, **options))
            Node(call, inputs, {}, outputs)
        return tuple(outputs) if many else outputs[0]

    def __repr__(self):
        return f"<primitive {self.name}>"


def primitive(name, spec, tangent=undeclared, holomorphic=True):
    """Make a `Primitive` of the decorated rule; `spec` is its shape rule, `tangent` its kind."""

    def wrap(rule):
        return Primitive(name, rule, spec, tangent, holomorphic)

    return wrap
