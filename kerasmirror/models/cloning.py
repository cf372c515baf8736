"""clone_model: the same layers and calls with weights of their own."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import serialization, tree
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.layers.core.input_layer import Input, InputLayer
from kerasmirror.models.functional import Functional
from kerasmirror.models.sequential import Sequential


@export("models.clone_model")
def clone_model(
    model, input_tensors=None, clone_function=None, call_function=None, recursive=False, **kwargs
):
    """A model like `model` whose layers are new ones, with fresh weights.

    Args: `input_tensors`, placeholders to start from; `clone_function(layer)`, what stands for a
    layer; `call_function(layer, *args, **kwargs)`, how a graph's layers are called; `recursive`,
    whether models inside are cloned the same way.
    Raises: ValueError for arguments that the kind of model cannot use.
    Source: Keras 3.15 `keras.models.clone_model`.
    """
    cache = kwargs.pop("cache", None)
    if kwargs:
        raise ValueError(f"clone_model: unknown arguments. Received: {sorted(kwargs)}")
    if isinstance(model, (Sequential, Functional)):
        copy_of = _copier(clone_function, call_function, recursive, {} if cache is None else cache)
        if isinstance(model, Functional):
            return _clone_functional(model, copy_of, call_function, input_tensors)
        if call_function is not None:
            raise ValueError(
                "clone_model: `call_function` must be None for a Sequential model, whose layers "
                f"are listed and not called. Received: call_function={call_function}"
            )
        return _clone_sequential(model, copy_of, input_tensors)
    given = {
        "clone_function": clone_function,
        "input_tensors": input_tensors,
        "call_function": call_function,
    }
    used = [name for name, value in given.items() if value is not None]
    if used:
        raise ValueError(
            f"clone_model: `{used[0]}` must be None unless the model is a Sequential or a graph of "
            f"layers. Received: {used[0]}={given[used[0]]!r} for a {type(model).__name__}"
        )
    config = serialization.serialize_keras_object(model)
    return serialization.deserialize_keras_object(config, {type(model).__name__: type(model)})


def _copier(clone_function, call_function, recursive, cache):
    clone_function = clone_function or (lambda layer: type(layer).from_config(layer.get_config()))

    def copy_of(layer):
        if id(layer) not in cache:
            if recursive and isinstance(layer, (Sequential, Functional)):
                call = None if isinstance(layer, Sequential) else call_function
                clone = clone_model(layer, None, clone_function, call, True, cache=cache)
            else:
                clone = clone_function(layer)
            cache[id(layer)] = clone
        return cache[id(layer)]

    return copy_of


def _clone_sequential(model, copy_of, input_tensors):
    layers = [copy_of(layer) for layer in model.layers]
    declared = model._input_layer
    if input_tensors is not None:
        tensors = tree.flatten(input_tensors)
        if len(tensors) != 1 or not isinstance(tensors[0], KerasTensor):
            raise ValueError(
                "clone_model: `input_tensors` must be one KerasTensor for a Sequential model. "
                f"Received: input_tensors={input_tensors!r}"
            )
        name = declared.name if declared is not None else None
        layers.insert(0, Input(tensor=tensors[0], name=name))
    elif declared is not None:
        layers.insert(0, InputLayer.from_config(declared.get_config()))
    clone = Sequential(layers, name=model.name, trainable=model.trainable)
    if model.compiled:
        clone.compile_from_config(model.get_compile_config())
    return clone


def _clone_functional(model, copy_of, call_function, input_tensors):
    if input_tensors is None:
        input_tensors = tree.map_structure(
            lambda x: Input(batch_shape=x.shape, dtype=x.dtype, name=x.name), model.input
        )
    else:
        if not all(isinstance(x, KerasTensor) for x in tree.flatten(input_tensors)):
            raise ValueError(
                "clone_model: `input_tensors` must hold KerasTensors only. "
                f"Received: input_tensors={input_tensors!r}"
            )
        try:
            tree.assert_same_structure(input_tensors, model.input)
        except ValueError:
            raise ValueError(
                "clone_model: `input_tensors` must have the same structure as model.input. "
                f"Received: input_tensors={input_tensors!r}, model.input={model.input!r}"
            ) from None
    outputs = model._graph.replay(tree.flatten(input_tensors), copy_of, call_function)
    outputs = tree.pack_sequence_as(model.output, outputs)
    clone = type(model)(input_tensors, outputs, name=model.name)
    if model.compiled:
        clone.compile_from_config(model.get_compile_config())
    return clone
