"""Sequential: a stack of layers, each applied to the output of the one before."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks, dtypes, serialization, tree
from kerasmirror.core.names import auto_name
from kerasmirror.core.node import recording
from kerasmirror.core.symbolic import KerasTensor, standardize_shape
from kerasmirror.core.tensor import get_keras_mask
from kerasmirror.layers.core.input_layer import InputLayer
from kerasmirror.layers.layer import Layer
from kerasmirror.models import fusion
from kerasmirror.models.model import Model


@export("Sequential", "models.Sequential")
class Sequential(Model):
    """`layers[-1](... layers[1](layers[0](inputs)))`.

    The weights are made as soon as the input's shape is known: from a `keras.Input` in first
    place, from `build(input_shape)`, or from the first data.
    Raises: ValueError for what is no layer, two layers of one name, or a second input.
    Source: Keras 3.15 `keras.Sequential`.
    """

    def __init__(self, layers=None, trainable=True, name=None):
        super().__init__(trainable=trainable, name=name)
        self._outputs = None
        self._plan = fusion.Plan(fusion.groups_of_stack)
        for layer in layers or []:
            self.add(layer, rebuild=False)
        if layers:
            self._build_when_known()

    @property
    def layers(self):
        return [layer for layer in self._layers if not isinstance(layer, InputLayer)]

    @layers.setter
    def layers(self, _):
        raise AttributeError(
            "Sequential: `layers` cannot be set; use `add()` and `pop()` to change the model."
        )

    @property
    def _input_layer(self):
        first = self._layers[0] if self._layers else None
        return first if isinstance(first, InputLayer) else None

    def _lock_state(self):
        """A Sequential can grow after it is built."""

    def add(self, layer, rebuild=True):
        """Put a layer on top of the stack."""
        if not self._layers and getattr(layer, "_input_shape_arg", None) is not None:
            self.add(InputLayer(shape=layer._input_shape_arg))
        if isinstance(layer, KerasTensor):
            layer = getattr(layer, "_keras_history", (layer,))[0]
        if not isinstance(layer, Layer):
            raise ValueError(
                "Sequential.add: `layer` must be an instance of `keras.Layer`. "
                f"Received: layer={layer!r} (of type {type(layer)})"
            )
        if any(layer.name == other.name and layer is not other for other in self._layers):
            raise ValueError(
                "Sequential.add: `layer` must have a name that no other layer of the model has. "
                f"Received: a layer called {layer.name!r}"
            )
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError(
                "Sequential.add: `layer` must not be an Input, which only goes first. "
                f"Received: an Input of shape {layer.batch_shape} for model '{self.name}', whose "
                f"layers are {[other.name for other in self._layers]}"
            )
        if any(layer is other for other in self._layers):
            self._layers.append(layer)  # applied twice, its weights are shared
        else:
            self._tracker.track(layer)
        self.built = False
        if rebuild:
            self._build_when_known()

    def pop(self, rebuild=True):
        """Take the last layer away and return it.

        Raises: IndexError when there is none.
        """
        if not self.layers:
            raise IndexError(
                "Sequential.pop: the model must have layers. "
                f"Received: model '{self.name}', which has none"
            )
        layer = self._layers.pop()
        if not any(layer is other for other in self._layers):
            self._tracker.untrack(layer)
        self.built = False
        if rebuild:
            self._build_when_known()
        return layer

    def _build_when_known(self):
        self.built = False
        if self._input_layer is not None and len(self._layers) > 1:
            self.build(self._input_layer.batch_shape)

    def build(self, input_shape=None):
        """Make all layers' weights for inputs of `input_shape`, batch axis included.

        Raises: ValueError when there are no layers, or the input was declared otherwise.
        """
        if input_shape is None or _is_nest_of_shapes(input_shape):
            return
        if not hasattr(input_shape, "__iter__"):
            checks.fail(
                "Sequential.build", "input_shape", "a tuple, batch axis included", input_shape
            )
        input_shape = standardize_shape(input_shape, "Sequential.build")
        if not self.layers:
            raise ValueError(
                f"Sequential.build: model '{self.name}' must have layers. Call `model.add(layer)`."
            )
        declared = self._input_layer
        if declared is None:
            dtype = self._layers[0].input_dtype
            declared = InputLayer(batch_shape=input_shape, dtype=dtype)
            self._layers.insert(0, declared)
            self._tracker.ids["layers"].add(id(declared))
        elif not _compatible(declared.batch_shape, input_shape):
            raise ValueError(
                f"Sequential.build: `input_shape` must be the declared {declared.batch_shape}. "
                f"Received: input_shape={input_shape}"
            )
        x = declared.output
        # Nodes of its own, also while an outer model is being built of placeholders.
        with recording(True):
            for layer in self.layers:
                x = layer(x)
        self._outputs = x
        # Keras makes a Functional here; names of later ones must come out alike.
        auto_name("functional")

    def call(self, inputs, training=None, mask=None, **kwargs):
        x = inputs if self._input_layer is None else self._declared(inputs)
        for group, layers in self._plan.parts(self):
            if group is not None and mask is None and not kwargs:
                y = group.run(x, training)
                if y is not None:
                    x = y
                    continue
            for layer in layers:
                x, mask = self._call_layer(layer, x, training, mask, kwargs)
        return x

    def _call_layer(self, layer, x, training, mask, kwargs):
        """The layer's output, and the mask that comes with it."""
        options = dict(kwargs) if kwargs else {}
        if layer._call_signature.has_mask and mask is not None:
            options["mask"] = mask
        if training is not None and layer._call_signature.has_training:
            options["training"] = training
        x = layer(x, **options)
        return x, get_keras_mask(x) if not isinstance(x, (list, tuple, dict)) else None

    def _declared(self, inputs):
        """`inputs` as the one tensor that was declared: its dtype, and a last axis of 1 or none."""
        declared = self._input_layer
        if isinstance(inputs, (list, tuple)) and len(inputs) == 1:
            inputs = inputs[0]
        elif isinstance(inputs, dict) and declared.output.name in inputs:
            inputs = inputs[declared.output.name]
        if isinstance(inputs, (list, tuple, dict)) or not hasattr(inputs, "shape"):
            raise ValueError(
                f"Sequential '{self.name}': `inputs` must be one tensor. "
                f"Received: inputs of type {type(inputs)} with {len(tree.flatten(inputs))} part(s)"
            )
        shape = inputs.shape
        # Built by a call on data, the model has that batch's size; others may follow.
        expected = (None, *declared.batch_shape[1:])
        rank = len(expected)
        if len(shape) == rank + 1 and shape[-1] == 1:
            inputs = ops.squeeze(inputs, axis=-1)
        elif len(shape) == rank - 1 and expected[-1] == 1:
            inputs = ops.expand_dims(inputs, axis=-1)
        if not _compatible(expected, inputs.shape):
            raise ValueError(
                f"Sequential '{self.name}': `inputs` must have shape {expected}. "
                f"Received: inputs of shape {tuple(shape)}"
            )
        if inputs.dtype == declared.dtype or (
            inputs.dtype in dtypes.FLOAT_TYPES and declared.dtype in dtypes.FLOAT_TYPES
        ):
            return inputs  # among floats, each layer takes its own
        if inputs.dtype.startswith("complex"):
            raise ValueError(
                f"Sequential '{self.name}': `inputs` must have dtype {declared.dtype}. "
                f"Received: inputs of dtype {inputs.dtype}"
            )
        return ops.cast(inputs, declared.dtype)

    def compute_output_shape(self, input_shape):
        """The output's shape for an input of `input_shape`."""
        shape = input_shape
        for layer in self.layers:
            shape = layer.compute_output_shape(shape)
        return shape

    def compute_output_spec(self, inputs, training=None, mask=None, **kwargs):
        return self.call(inputs, training=training, mask=mask, **kwargs)

    def _known(self, what, value):
        if self._input_layer is None or self._outputs is None:
            raise AttributeError(
                f"Sequential model '{self.name}' has no defined {what} yet: build it first."
            )
        return value()

    @property
    def input_shape(self):
        return self._known("input shape", lambda: self._input_layer.batch_shape)

    @property
    def output_shape(self):
        return self._known(
            "output shape", lambda: tree.map_structure(lambda t: t.shape, self._outputs)
        )

    @property
    def inputs(self):
        return self._known("inputs", lambda: [self._input_layer.output])

    @property
    def outputs(self):
        return self._known("outputs", lambda: tree.flatten(self._outputs))

    @property
    def input_dtype(self):
        return self.layers[0].input_dtype if self.layers else super().input_dtype

    def get_config(self):
        config = {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": Layer.get_config(self)["dtype"],
            "layers": [serialization.serialize_keras_object(layer) for layer in self._layers],
        }
        if self._input_layer is not None:
            config["build_input_shape"] = self._input_layer.batch_shape
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """A model with the layers that `get_config` described."""
        model = cls(name=config.get("name"), trainable=config.get("trainable", True))
        for layer_config in config["layers"]:
            layer = serialization.deserialize_keras_object(layer_config, custom_objects)
            model.add(layer, rebuild=False)
        if model._input_layer is None and config.get("build_input_shape"):
            model.build(tuple(config["build_input_shape"]))
        else:
            model._build_when_known()
        return model


def _compatible(expected, shape):
    return len(expected) == len(shape) and all(
        a is None or b is None or a == b for a, b in zip(expected, shape, strict=True)
    )


def _is_nest_of_shapes(shape):
    return isinstance(shape, dict) or (
        hasattr(shape, "__iter__") and any(isinstance(s, (list, tuple)) for s in shape)
    )
