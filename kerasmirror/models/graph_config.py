"""A graph of layer calls as plain data, in Keras's format, and back."""

from __future__ import annotations

from kerasmirror.core import serialization, tree
from kerasmirror.core.node import KerasHistory
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.layers.layer import Layer


def config_of_graph(graph, inputs, outputs, functional):
    """The "layers", "input_layers" and "output_layers" of a model's config.

    A call is numbered among the calls of its layer that belong to the graph; those of a
    `functional` model count from 1 where the graph's ends are named, as 0 is its own construction.
    Raises: NotImplementedError for an operation that is no layer.
    """
    for operation in graph.operations:
        if not isinstance(operation, Layer):
            raise NotImplementedError(
                "keras.Model.get_config: operations of `keras.ops` between layers have no config "
                "yet; put them into a layer's call(). "
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
    for layer in graph.operations:
        calls = [
            _config_of_call(node, place)
            for node in layer._inbound_nodes
            if node in graph.members and not node.is_input
        ]
        config = serialization.serialize_keras_object(layer)
        layers.append({**config, "name": layer.name, "inbound_nodes": calls})
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


class _NotYet(Exception):
    """A call needs a tensor that no call has given so far."""


def tensors_of_config(config, custom_objects, functional):
    """The inputs and outputs of the graph that `config_of_graph` described, made anew.

    Raises: ValueError for a description with loops or loose ends.
    """
    layers, waiting = {}, {}
    for data in config["layers"]:
        layer = serialization.deserialize_keras_object(
            {key: value for key, value in data.items() if key not in ("name", "inbound_nodes")},
            custom_objects,
        )
        if not isinstance(layer, Layer):
            raise ValueError(
                "keras.Model.from_config: `layers` must describe layers. "
                f"Received: {data.get('class_name')!r} called {data.get('name')!r}"
            )
        layers[data["name"]] = layer
        waiting[data["name"]] = list(data["inbound_nodes"])
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
        return layers[name]._inbound_nodes[number].outputs[position]

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

    def revive(part):
        if isinstance(part, dict) and part.get("class_name") == "__keras_tensor__":
            name, number, position = KerasHistory(*part["config"]["keras_history"])
            if name not in layers:
                raise ValueError(
                    f"keras.Model.from_config: a call's inputs must come from {list(layers)}. "
                    f"Received: {name!r}"
                )
            nodes = layers[name]._inbound_nodes
            if number >= len(nodes):
                raise _NotYet
            return nodes[number].outputs[position]
        if isinstance(part, dict) and "class_name" in part:
            return serialization.deserialize_keras_object(part, custom_objects)
        if isinstance(part, dict):
            return {key: revive(value) for key, value in part.items()}
        if isinstance(part, (list, tuple)):
            return type(part)([revive(value) for value in part])
        return part

    try:
        args, kwargs = revive(list(data["args"])), revive(dict(data["kwargs"]))
    except _NotYet:
        return False
    implied = {key: value for key, value in kwargs.items() if value is not None}
    layer(*args, **implied)
    return True
