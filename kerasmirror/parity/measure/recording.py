"""Outputs of a model's layers, recorded while it is called, or put in their place."""

import contextlib
import functools

from .nests import named

_GATED = ("Dense", "EinsumDense", "Conv", "DepthwiseConv", "SeparableConv")
# What a softmax leaves on its output, in either package.
_LOGITS = ("_keras_logits", "logits")


class Record:
    """The calls of a model's layers, in order: (name, kind of layer, tensor).

    A number follows for each further call of a layer, and for the parts of several outputs.
    `inner` has the names of calls within another layer's. `own` has (name, tensor) of what layers
    gave themselves where others were put in place of it.
    """

    def __init__(self):
        self.depth = 0
        self.clear()

    def name(self, layer):
        """The name of a call that just ended."""
        self._counts[id(layer)] = number = self._counts.get(id(layer), 0) + 1
        return layer.name if number == 1 else f"{layer.name} (call {number})"

    def add(self, name, layer, output):
        """Keep what a layer gave."""
        for name_of_part, tensor in _parts(name, output):
            self.calls.append((name_of_part, _kind(layer), tensor))
            if self.depth:
                self.inner.add(name_of_part)

    def add_own(self, name, output):
        """Keep what a layer gave and did not pass on."""
        self.own += _parts(name, output)

    def clear(self):
        """Start again."""
        self.calls, self.own, self.inner, self._counts = [], [], set(), {}

    @property
    def tensors(self):
        return [tensor for _, _, tensor in self.calls]


def _parts(name, output):
    """(name, tensor) of each tensor of an output."""
    tensors = [(part, tensor) for part, tensor in named(output) if hasattr(tensor, "shape")]
    return [(f"{name} [{part}]" if part else name, tensor) for part, tensor in tensors]


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


@contextlib.contextmanager
def without_activation(layer):
    """Within it, a layer of sums leaves out its activation; gives that, None for other layers."""
    activation = getattr(layer, "activation", None)
    if activation is None or not _kind(layer).startswith(_GATED):
        yield None
        return
    layer.activation = None
    try:
        yield activation
    finally:
        layer.activation = activation


def _with_value(keras, layer, call, values, record, args, kwargs):
    ops, gate = keras.ops, keras.activations.relu
    gated = getattr(layer, "activation", None) is gate
    with without_activation(layer) if gated else contextlib.nullcontext() as activation:
        output = call(*args, **kwargs)
    gated = activation is gate
    name = record.name(layer)
    record.add_own(name, gate(output) if gated else output)
    value = values.get(name)
    if value is not None and hasattr(output, "shape"):
        value = ops.convert_to_tensor(value, dtype=output.dtype)
        fixed = ops.stop_gradient(output)
        if gated:  # negative where the value is 0, so that relu's derivative is that of the value
            value = ops.where(value > 0, value, ops.minimum(fixed, 0))
        # The difference has the gradient, and is 0: values that are equal stay so to the bit.
        passed = value + (output - fixed)
        for logits in _LOGITS:  # a loss takes its gradient with respect to these
            if getattr(output, logits, None) is not None:
                setattr(passed, logits, getattr(output, logits))
        output = passed
    return name, gate(output) if gated else output
