"""Functional: a model that is a graph of layer calls, `keras.Model(inputs, outputs)`."""

from __future__ import annotations

import inspect
import warnings

from kerasmirror import ops
from kerasmirror.core import serialization, tree
from kerasmirror.core.node import node_of
from kerasmirror.core.symbolic import KerasTensor, any_symbolic
from kerasmirror.core.tensor import Tensor, get_keras_mask, set_keras_mask
from kerasmirror.layers.core.input_layer import Input, InputLayer
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.models.function import Function, leaf_shapes, paths_of
from kerasmirror.models.graph import Graph, from_inputs
from kerasmirror.models.graph_config import config_of_graph, tensors_of_config
from kerasmirror.models.model import Model, reserved_layers


class Functional(Function, Model):
    """The graph of calls between `inputs` and `outputs`; each a KerasTensor or a nest of them.

    `inputs` may lie inside another model's graph: the layers between are shared with it. The order
    of the calls is settled once; a run lets go of each intermediate value after its last use.
    Raises: ValueError for what is no KerasTensor, a graph that is not connected, or two layers of
    one name.
    Source: Keras 3.15 `keras.Model`.
    """

    def __init__(self, inputs, outputs, name=None, **kwargs):
        trainable = kwargs.pop("trainable", None)
        _check_tensors(inputs, "inputs")
        _check_tensors(outputs, "outputs")
        if isinstance(inputs, dict):
            for key, tensor in inputs.items():
                if isinstance(tensor, KerasTensor) and key != tensor.name:
                    warnings.warn(
                        "keras.Model: the keys of a dict of `inputs` must be the names of the "
                        f"tensors. Received: key {key!r} for a tensor called {tensor.name!r}",
                        stacklevel=2,
                    )
        Model.__init__(self, name=name, **kwargs)
        if not all(_is_input(tensor) for tensor in tree.flatten(inputs)):
            inputs, outputs = from_inputs(inputs, outputs, _input_for)
        self.__dict__["_inputs_struct"] = tree.map_structure(lambda x: x, inputs)
        self.__dict__["_outputs_struct"] = tree.map_structure(lambda x: x, outputs)
        self.__dict__["_graph"] = Graph(
            tree.flatten(inputs), tree.flatten(outputs), paths_of(outputs)
        )
        if trainable is not None:
            self.trainable = trainable
        for layer in self.layers:
            self._tracker.track(layer)
        self.build(None)
        # Each input becomes a tensor of its own declared dtype, in call().
        self._convert_input_args = False
        self._allow_non_tensor_positional_args = True
        self.supports_masking = True
        self.output_names = [node_of(tensor).operation.name for tensor in self.outputs]

    def _lock_state(self):
        """Layers beside the graph may be added later."""

    # What it is made of

    @property
    def layers(self):
        return self._graph.layers() if "_graph" in self.__dict__ else super().layers

    @layers.setter
    def layers(self, _):
        raise AttributeError(reserved_layers(self))

    @property
    def operations(self):
        return list(self._graph.operations)

    _operations = operations

    @property
    def inputs(self):
        return list(self._graph.inputs)

    @property
    def outputs(self):
        return list(self._graph.outputs)

    @property
    def input(self):
        return self._inputs_struct

    @property
    def output(self):
        return self._outputs_struct

    @property
    def input_names(self):
        return [node_of(tensor).operation.name for tensor in self.inputs]

    @property
    def input_shape(self):
        shapes = [tensor.shape for tensor in self.inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self):
        shapes = [tensor.shape for tensor in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def input_spec(self):
        if self._input_spec is not None:
            return self._input_spec
        if isinstance(self._inputs_struct, dict):
            names = sorted(self._inputs_struct)
            leaves = [self._inputs_struct[name] for name in names]
            if any(tree.is_nested(leaf) for leaf in leaves):
                return None
        else:
            leaves, names = self.inputs, self.input_names
        return [
            InputSpec(
                shape=(None, *leaf.shape[1:]),
                allow_last_axis_squeeze=True,
                name=name,
                optional=_is_optional(leaf),
            )
            for leaf, name in zip(leaves, names, strict=True)
        ]

    @input_spec.setter
    def input_spec(self, value):
        self._input_spec = value

    # Running

    def build(self, input_shape):
        """Everything was built with the graph."""
        self.built = True

    def call(self, inputs, training=None, mask=None):
        flat = self._standardized(inputs)
        if mask is not None:
            for tensor, one in zip(flat, tree.flatten(mask), strict=False):
                if one is not None:
                    set_keras_mask(tensor, one)
        results = self._graph.run(flat, training, self._name)
        outputs = self._outputs_struct
        if isinstance(outputs, KerasTensor) or (
            isinstance(outputs, (list, tuple)) and len(outputs) == 1 and len(results) == 1
        ):
            return results[0]
        return tree.pack_sequence_as(outputs, results)

    def compute_mask(self, inputs, previous_mask):
        """None: the outputs carry the masks that their layers gave them."""
        return None

    def compute_output_spec(self, inputs, training=None, mask=None):
        return self.call(inputs, training=training, mask=mask)

    def compute_output_shape(self, input_shape):
        """The shapes of the outputs for inputs of `input_shape`, nested as the inputs are."""
        shapes = leaf_shapes(input_shape)
        placeholders = [
            KerasTensor(shape, tensor.dtype, record_history=False)
            for shape, tensor in zip(shapes, self.inputs, strict=True)
        ]
        outputs = self.call(tree.pack_sequence_as(self._inputs_struct, placeholders))
        return tree.map_structure(lambda tensor: tensor.shape, outputs)

    def _standardized(self, inputs):
        """The values of the inputs as a flat list of tensors, of the declared ranks and dtypes."""
        declared = self._graph.inputs
        if len(declared) == 1 and isinstance(inputs, (Tensor, KerasTensor)):
            return [self._fitting(inputs, declared[0])]
        flat = self._arranged(inputs)
        return [self._fitting(value, tensor) for value, tensor in zip(flat, declared, strict=True)]

    def _arranged(self, inputs):
        """The leaves of `inputs` in the order of the declared ones."""
        struct = self._inputs_struct
        flat_struct = [struct] if isinstance(struct, KerasTensor) else struct
        if isinstance(inputs, dict):
            if isinstance(struct, dict):
                names = list(struct)
            elif all(isinstance(leaf, KerasTensor) for leaf in flat_struct):
                names = [leaf.name for leaf in flat_struct]
            else:
                raise self._misfit(inputs)
            if any(name not in inputs for name in names):
                raise self._misfit(inputs)
            if len(names) < len(inputs) and isinstance(struct, dict):
                self._warn_of_structure(inputs)
            chosen = {name: inputs[name] for name in names}
            inputs = chosen if isinstance(struct, dict) else [chosen[name] for name in names]
            if isinstance(struct, KerasTensor):
                inputs = inputs[0]
        elif isinstance(struct, dict) and list(struct) != sorted(struct):
            raise self._misfit(inputs)
        flat = tree.flatten(inputs)
        if len(flat) != len(self._graph.inputs):
            raise self._misfit(inputs)
        if len(flat) > 1 and not _nested_alike(inputs, struct):
            self._warn_of_structure(inputs)
        return flat

    def _warn_of_structure(self, inputs):
        if not any_symbolic(inputs):
            warnings.warn(str(self._misfit(inputs)), stacklevel=7)

    def _misfit(self, inputs):
        names = tree.map_structure(lambda leaf: leaf.name, self._inputs_struct)
        received = tree.map_structure(
            lambda leaf: f"tensor of shape {tuple(leaf.shape)}" if hasattr(leaf, "shape") else leaf,
            inputs,
        )
        count = len(self._graph.inputs)
        if isinstance(self._inputs_struct, dict):
            wanted = f"named input(s) with keys {list(self._inputs_struct)}"
        else:
            wanted = f"{count} input(s)"
        return ValueError(
            "The structure of `inputs` doesn't match the expected structure: Functional "
            f"'{self._name}' expects {wanted}, nested as {names!r}. Received: inputs={received!r}"
        )

    def _fitting(self, value, declared):
        if value is None:
            if not _is_optional(declared):
                raise ValueError(
                    f"Functional '{self._name}': input '{declared.name}' must be given, it is not "
                    "optional, but None was passed."
                )
            return None
        before = value
        if not isinstance(value, (Tensor, KerasTensor)):
            value = ops.convert_to_tensor(value)
        if value.dtype != declared.dtype:
            if value.dtype.startswith("complex"):
                raise ValueError(
                    f"Functional '{self._name}': input '{declared.name}' must have dtype "
                    f"{declared.dtype}. Received: a tensor of dtype {value.dtype}"
                )
            value = ops.cast(value, declared.dtype)
        expected, shape = declared.shape, value.shape
        if len(shape) != len(expected):
            if len(shape) == len(expected) + 1 and shape[-1] == 1:
                value = ops.squeeze(value, axis=-1)
            elif len(shape) == len(expected) - 1 and expected[-1] == 1:
                value = ops.expand_dims(value, axis=-1)
        for size, wanted in zip(value.shape[1:], expected[1:], strict=False):
            if size != wanted and wanted is not None and size is not None:
                raise self._wrong_shape(declared, shape)
        if len(value.shape) != len(expected):
            raise self._wrong_shape(declared, shape)
        if value is not before and get_keras_mask(before) is not None:
            set_keras_mask(value, get_keras_mask(before))
        return value

    def _wrong_shape(self, declared, shape):
        expected = (None, *declared.shape[1:]) if declared.shape else ()
        position = next(i for i, one in enumerate(self._graph.inputs) if one is declared)
        paths = paths_of(self._inputs_struct)
        path = "" if paths is None else ".".join(map(str, paths[position]))
        return ValueError(
            f"Functional '{self._name}': the input with name '{declared.name}' and path '{path}' "
            f"must have another shape (expected shape={expected}, found shape={tuple(shape)})"
        )

    def add_loss(self, loss):
        raise NotImplementedError(
            "Functional.add_loss: a loss can be added inside of a layer's or a subclassed model's "
            "call() only."
        )

    # Config

    def get_config(self):
        if not _constructed_like_functional(type(self)):
            return Model.get_config(self)
        config = {"name": self.name, "trainable": self.trainable}
        graph = config_of_graph(self._graph, self._inputs_struct, self._outputs_struct, Functional)
        return {**config, **graph}

    @staticmethod
    def of_class(cls, config, custom_objects=None):
        """An instance of the model class `cls` with the graph that `config` describes."""
        inputs, outputs = tensors_of_config(config, custom_objects, Functional)
        described = ("layers", "input_layers", "output_layers")
        options = {key: value for key, value in config.items() if key not in described}
        return cls(inputs=inputs, outputs=outputs, **options)


Model._functional_class = Functional
serialization.saved_as("keras.src.models.functional")(Functional)


def _check_tensors(structure, name):
    leaves = tree.flatten(structure)
    if not leaves:
        raise ValueError(
            f"keras.Model: `{name}` must hold at least one tensor. Received: {name}={structure!r}"
        )
    for leaf in leaves:
        if not isinstance(leaf, KerasTensor):
            raise ValueError(
                f"keras.Model: All `{name}` values must be KerasTensors, as `keras.Input` and "
                f"layers called on it give. Received: {leaf!r} (of type {type(leaf)})"
            )


def _is_input(tensor):
    node = node_of(tensor)
    return node is not None and node.is_input


def _input_for(tensor):
    return Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=f"{tensor.name}CLONE")


def _is_optional(tensor):
    operation = node_of(tensor).operation
    return isinstance(operation, InputLayer) and operation.optional


def _nested_alike(inputs, struct):
    try:
        tree.assert_same_structure(tree.lists_to_tuples(inputs), tree.lists_to_tuples(struct))
    except ValueError:
        return False
    return True


def _constructed_like_functional(cls):
    """Whether `cls(inputs=..., outputs=..., name=...)` makes such a model."""
    spec = inspect.getfullargspec(cls.__init__)
    own = inspect.getfullargspec(Functional.__init__).args
    return spec.args == own or (spec.varargs is not None and spec.varkw is not None)
