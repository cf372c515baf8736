"""A graph of layer calls as plain data, in Keras's format, and back."""

from __future__ import annotations

from kerasmirror.core import serialization, tree
from kerasmirror.core.node import KerasHistory
from kerasmirror.core.old_config import in_present_form
from kerasmirror.core.operation import Operation, OperationCall
from kerasmirror.core.symbolic import KerasTensor, any_symbolic


def config_of_graph(graph, inputs, outputs, functional):
    """The "layers", "input_layers" and "output_layers" of a model's config.

    A call is numbered among the calls of its layer that belong to the graph; those of a
    `functional` model count from 1 where the graph's ends are named, as 0 is its own construction.
    Raises: NotImplementedError for a call that no file can describe.
    """
    for operation in graph.operations:
        if type(operation) is OperationCall:
            raise NotImplementedError(
                f"keras.Model.get_config: the call of `keras.ops.{operation.function_name}` has no "
                "config, as it passes a tensor where Keras has an option, or Keras has no such "
                "operation in graphs; put it into a layer's call(). "
                f"Received: a graph with the operation '{operation.name}'"
            )

    def place(tensor):
        operation, index, position = tensor._keras_history
        number = sum(node in graph.members for node in operation._inbound_nodes[:index])
        return operation, number, position

    def end(tensor):
        operation, number, position = place(tensor)
        return [operation.name, number + isinstance(operation, functional), position]

    layers = []
    for operation in graph.operations:
        calls = [
            _config_of_call(node, place)
            for node in operation._inbound_nodes
            if node in graph.members and not node.is_input
        ]
        config = serialization.serialize_keras_object(operation)
        layers.append({**config, "name": operation.name, "inbound_nodes": calls})
    return {
        "layers": layers,
        "input_layers": tree.map_structure(end, inputs),
        "output_layers": tree.map_structure(end, outputs),
    }


def _config_of_call(node, place):
    def plain(leaf):
        if not isinstance(leaf, KerasTensor):
            return serialization.serialize_keras_object(leaf)
        operation, number, position = place(leaf)
        config = {
            "shape": leaf.shape,
            "dtype": leaf.dtype,
            "keras_history": [operation.name, number, position],
        }
        return {"class_name": "__keras_tensor__", "config": config}

    kwargs = {**node.kwargs, **node.implied}
    return {
        "args": tree.map_structure(plain, node.args),
        "kwargs": {key: tree.map_structure(plain, value) for key, value in kwargs.items()},
    }


class _Layers(dict):
    """The layers of a graph by name, and which of their calls belong to it."""

    def __init__(self):
        super().__init__()
        self.first = {}

    def put(self, name, layer, called):
        # A layer that other graphs have too may have been called before.
        self.first[name] = len(layer._inbound_nodes) if called else 0
        self[name] = layer

    def nodes_of(self, name):
        return self[name]._inbound_nodes[self.first[name] :]


_OF_THE_GRAPH = ("name", "inbound_nodes")


class _NotYet(Exception):
    """A call needs a tensor that no call has given so far."""


def tensors_of_config(config, custom_objects, functional):
    """The inputs and outputs of the graph that `config_of_graph` described, made anew.

    Raises: ValueError for a description with loops or loose ends.
    """
    layers, waiting = _Layers(), {}
    for data in config["layers"]:
        described = in_present_form(data)
        layer = serialization.deserialize_keras_object(
            {key: value for key, value in described.items() if key not in _OF_THE_GRAPH},
            custom_objects,
        )
        name = data.get("name") or described["config"]["name"]
        if not isinstance(layer, Operation):
            raise ValueError(
                "keras.Model.from_config: `layers` must describe layers or operations. "
                f"Received: {data.get('class_name')!r} called {name!r}"
            )
        waiting[name] = list(data["inbound_nodes"])
        layers.put(name, layer, called=bool(waiting[name]))
    while any(waiting.values()):
        progress = False
        for name, calls in waiting.items():
            while calls and _call(layers[name], calls[0], layers, custom_objects):
                calls.pop(0)
                progress = True
        if not progress:
            left = [name for name, calls in waiting.items() if calls]
            raise ValueError(
                "keras.Model.from_config: the calls must not form loops or lack their inputs. "
                f"Received: layers that cannot be called, {left}"
            )

    def end(name, number, position):
        if name not in layers:
            raise ValueError(
                f"keras.Model.from_config: an end of the graph must be one of {list(layers)}. "
                f"Received: {name!r}"
            )
        number -= isinstance(layers[name], functional)
        return layers.nodes_of(name)[number].outputs[position]

    return _ends(config["input_layers"], end), _ends(config["output_layers"], end)


def _ends(structure, end):
    if isinstance(structure, dict):
        return {key: _ends(value, end) for key, value in structure.items()}
    if len(structure) == 3 and isinstance(structure[0], str):
        return end(*structure)
    parts = [_ends(part, end) for part in structure]
    return tuple(parts) if isinstance(structure, tuple) else parts


def _call(layer, data, layers, custom_objects):
    """Call `layer` as described; False when a tensor that it takes is not there yet."""

    def result(name, number, position):
        if name not in layers:
            raise ValueError(
                f"keras.Model.from_config: a call's inputs must come from {list(layers)}. "
                f"Missing node: {name}"
            )
        nodes = layers.nodes_of(name)
        if number >= len(nodes):
            raise _NotYet
        return nodes[number].outputs[position]

    def revive(part):
        if isinstance(part, dict) and part.get("class_name") == "__keras_tensor__":
            return result(*KerasHistory(*part["config"]["keras_history"]))
        if isinstance(part, dict) and "class_name" in part:
            return serialization.deserialize_keras_object(part, custom_objects)
        if isinstance(part, dict):
            return {key: revive(value) for key, value in part.items()}
        if isinstance(part, (list, tuple)):
            return type(part)([revive(value) for value in part])
        return part

    try:
        if isinstance(data, list):  # before Keras 3: [[name, number, position, keywords], ...]
            tensors = [result(*place[:3]) for place in data]
            args = [tensors[0] if len(tensors) == 1 else tensors]
            kwargs = _old_keywords(data, result)
        else:
            args, kwargs = revive(list(data["args"])), revive(dict(data["kwargs"]))
    except _NotYet:
        return False
    kwargs = {key: value for key, value in kwargs.items() if value is not None}
    # On values alone the call would run now, with whatever sizes the config asks for.
    if not any_symbolic(args) and not any_symbolic(kwargs):
        raise ValueError(
            f"keras.Model.from_config: a call must take outputs of other calls. Received: {data!r}"
        )
    layer(*args, **kwargs)
    return True


def _old_keywords(places, result):
    """The keyword arguments of an old call; lists with a name and two numbers are tensors."""
    keywords = places[0][3] if places and len(places[0]) > 3 else {}

    def revive(value):
        if isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str):
            if all(isinstance(part, int) for part in value[1:3]):
                return result(*value[:3])
        return value

    return {key: revive(value) for key, value in keywords.items()}
