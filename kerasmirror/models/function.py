"""Function: a graph of operations from placeholders to placeholders, as a callable."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import tree
from kerasmirror.core.node import recording
from kerasmirror.core.operation import Operation
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.models.graph import Graph


@export("Function")
class Function(Operation):
    """The operations between `inputs` and `outputs`, applied to new tensors; it has no state.

    Args: KerasTensors or nests of them, with or without a `keras.Input` behind them.
    Raises: ValueError for an empty nest, outputs that need more than the inputs, two operations of
    one name, and in a call for inputs of another structure, rank or size.
    Source: Keras 3.15 `keras.Function`.
    """

    def __init__(self, inputs, outputs, name=None):
        super().__init__(name=name)
        for key, value in (("inputs", inputs), ("outputs", outputs)):
            if not tree.flatten(value):
                raise ValueError(
                    f"keras.Function: `{key}` argument cannot be empty. Received: {key}={value!r}"
                )
        self._inputs_struct = tree.map_structure(lambda x: x, inputs)
        self._outputs_struct = tree.map_structure(lambda x: x, outputs)
        self._graph = Graph(tree.flatten(inputs), tree.flatten(outputs), paths_of(outputs))

    @property
    def operations(self):
        return list(self._graph.operations)

    @property
    def inputs(self):
        """The placeholders that values are given for, as a flat list."""
        return list(self._graph.inputs)

    @property
    def outputs(self):
        """The placeholders whose values a call gives, as a flat list."""
        return list(self._graph.outputs)

    def call(self, inputs):
        """The outputs' values, nested as the outputs were given."""
        self._check_inputs(inputs)
        flat = [
            value if isinstance(value, KerasTensor) else ops.convert_to_tensor(value)
            for value in tree.flatten(inputs)
        ]
        results = self._graph.run(flat, owner=self.name)
        return tree.pack_sequence_as(self._outputs_struct, results)

    def compute_output_spec(self, inputs):
        """KerasTensors like the outputs, for inputs of other shapes."""
        with recording(False):
            outputs = self.call(inputs)
        return tree.map_structure(lambda x: KerasTensor(x.shape, x.dtype), outputs)

    def compute_output_shape(self, input_shape):
        """The outputs' shapes, for a shape or a nest of shapes like the inputs."""
        shapes = iter(leaf_shapes(input_shape))
        inputs = tree.map_structure(
            lambda x: KerasTensor(next(shapes, x.shape), x.dtype), self._inputs_struct
        )
        return tree.map_structure(lambda x: x.shape, self.compute_output_spec(inputs))

    def _check_inputs(self, inputs):
        try:
            tree.assert_same_structure(inputs, self._inputs_struct)
        except ValueError:
            names = tree.map_structure(lambda x: x.name, self._inputs_struct)
            raise ValueError(
                f"Function '{self.name}' got an invalid input structure: `inputs` must be nested "
                f"as {names!r}. Received: inputs={inputs!r}"
            ) from None
        for value, declared in zip(tree.flatten(inputs), self._graph.inputs, strict=True):
            shape = tuple(value.shape) if hasattr(value, "shape") else ops.shape(value)
            fits = len(shape) == len(declared.shape) and all(
                size is None or wanted is None or size == wanted
                for size, wanted in zip(shape, declared.shape, strict=True)
            )
            if not fits:
                raise ValueError(
                    f"Function '{self.name}' got incompatible inputs: '{declared.name}' must have "
                    f"shape {declared.shape}. Received: a tensor of shape {shape}"
                )


def paths_of(structure):
    """Where each leaf stands; None for a single leaf, which stands nowhere."""
    if not tree.is_nested(structure):
        return None
    return [path for path, _ in tree.flatten_with_path(structure)]


def leaf_shapes(shape):
    """The shapes in a nest of shapes, in the order of its leaves."""
    if isinstance(shape, dict):
        return [leaf for key in sorted(shape) for leaf in leaf_shapes(shape[key])]
    if any(isinstance(size, (list, tuple, dict)) for size in shape):
        return [leaf for part in shape for leaf in leaf_shapes(part)]
    return [tuple(shape)]
