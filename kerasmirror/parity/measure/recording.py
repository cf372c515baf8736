"""Outputs of a model's layers, recorded while it is called, or put in their place."""

import contextlib
import functools

from .nests import named

_GATED = ("Dense", "EinsumDense", "Conv", "DepthwiseConv", "SeparableConv")


class Record:
    """The calls of a model's layers, in order: (name, kind of layer, tensor).

    A number follows for each further call of a layer, and for the parts of several outputs.
    `inner` has the names of calls within another layer's.
    """

    def __init__(self):
        self.calls, self.inner, self.depth, self._counts = [], set(), 0, {}

    def name(self, layer):
        """The name of a call that just ended."""
        self._counts[id(layer)] = number = self._counts.get(id(layer), 0) + 1
        return layer.name if number == 1 else f"{layer.name} (call {number})"

    def add(self, name, layer, output):
        """Keep what a layer gave."""
        for part, tensor in named(output):
            if hasattr(tensor, "shape"):
                name_of_part = f"{name} [{part}]" if part else name
                self.calls.append((name_of_part, _kind(layer), tensor))
                if self.depth:
                    self.inner.add(name_of_part)

    def clear(self):
        """Start again."""
        self.calls, self.inner, self._counts = [], set(), {}

    @property
    def tensors(self):
        return [tensor for _, _, tensor in self.calls]


def _kind(layer):
    return type(layer).__name__


def all_layers(layer):
    """The layers inside a layer, depth first, each once."""
    found, seen = [], set()

    def visit(one):
        for inner in one._layers:
            if id(inner) not in seen:
                seen.add(id(inner))
                found.append(inner)
                visit(inner)

    visit(layer)
    return found


@contextlib.contextmanager
def recorded_calls(keras, model, values=None):
    """Gives a Record that fills while the model is called.

    With `values`, arrays by the names of calls, a layer passes on these instead of its own, with
    the gradient of its own.
    """
    record = Record()

    def recorded(layer, call):
        @functools.wraps(call)
        def wrapper(*args, **kwargs):
            record.depth += 1
            try:
                if values is None:
                    output = call(*args, **kwargs)
                    name = record.name(layer)
                else:
                    name, output = _with_value(keras, layer, call, values, record, args, kwargs)
            finally:
                record.depth -= 1
            record.add(name, layer, output)
            return output

        return wrapper

    layers = all_layers(model)
    for layer in layers:
        layer.__dict__["call"] = recorded(layer, layer.call)
    try:
        yield record
    finally:
        for layer in layers:
            del layer.__dict__["call"]


def _with_value(keras, layer, call, values, record, args, kwargs):
    activation = getattr(layer, "activation", None)
    gated = activation is keras.activations.relu and _kind(layer).startswith(_GATED)
    if gated:
        layer.activation = None
    try:
        output = call(*args, **kwargs)
    finally:
        if gated:
            layer.activation = activation
    name = record.name(layer)
    value = values.get(name)
    if value is not None and hasattr(output, "shape"):
        value = keras.ops.convert_to_tensor(value, dtype=output.dtype)
        if gated:  # negative where the value is 0, so that relu's derivative is that of the value
            value = keras.ops.where(value > 0, value, keras.ops.minimum(output, 0))
        output = output + keras.ops.stop_gradient(value - output)
    return name, activation(output) if gated else output
