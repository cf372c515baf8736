"""@composite: an operation made of other operations that is one node in a graph of placeholders.

The function is written with tensors and `keras.ops`, so its gradient is that of what it is made
of. Called with a KerasTensor, only its shape rule runs: for functions that read values or need
sizes which placeholders do not have.
"""

from __future__ import annotations

import functools
import inspect

from kerasmirror.core.node import Node, keeps_history, placeholders_in
from kerasmirror.core.operation import OperationCall
from kerasmirror.core.symbolic import KerasTensor


def composite(spec):
    """Make the decorated function a composite.

    `spec` gives (shape, dtype), or a list of them for several results. It gets the first argument
    by place and all others by name, with the function's defaults.
    """

    def wrap(function):
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args, **kwargs):
            placeholders = placeholders_in((args, kwargs))
            if not placeholders:
                return function(*args, **kwargs)
            given = signature.bind(*args, **kwargs)
            given.apply_defaults()
            first, *names = given.arguments
            result = spec(given.arguments[first], **{n: given.arguments[n] for n in names})
            many = isinstance(result, list)
            traceable = all(value.record_history for value in placeholders)
            outputs = [
                KerasTensor(shape, dtype, record_history=traceable)
                for shape, dtype in (result if many else [result])
            ]
            if keeps_history(placeholders):
                Node(OperationCall(function.__name__, call), args, kwargs, outputs)
            return tuple(outputs) if many else outputs[0]

        return call

    return wrap
