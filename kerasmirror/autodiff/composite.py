"""@composite: an operation made of other operations that is one node in a graph of placeholders.

The function is written with tensors and `keras.ops`, so its gradient is that of what it is made
of. Called with a KerasTensor, only its shape rule `spec`, which takes the same arguments, runs: for
functions that read values or need sizes which placeholders do not have.
"""

from __future__ import annotations

import functools

from kerasmirror.core.node import Node, OperationCall, keeps_history, placeholders_in
from kerasmirror.core.symbolic import KerasTensor


def composite(spec):
    """Make the decorated function a composite.

    `spec(*args, **kwargs)` gives (shape, dtype), or a list of them for several results.
    """

    def wrap(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            placeholders = placeholders_in((args, kwargs))
            if not placeholders:
                return function(*args, **kwargs)
            result = spec(*args, **kwargs)
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
