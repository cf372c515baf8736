"""Sequential: a stack of layers, each applied to the output of the one before."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import serialization, tree
from kerasmirror.core.symbolic import KerasTensor, standardize_shape
from kerasmirror.core.tensor import get_keras_mask
from kerasmirror.layers.core.input_layer import InputLayer
from kerasmirror.layers.layer import Layer
from kerasmirror.models.model import Model


@export("Sequential", "models.Sequential")
class Sequential(Model):
    """`layers[-1](... layers[1](layers[0](inputs)))`.

    The weights are made as soon as the input's shape is known: from a `keras.Input` in first
    place, from `build(input_shape)`, or from the first data.
    Raises: ValueError for what is no layer, a name used twice, or a second input.
    Source: Keras 3.15 `keras.Sequential`.
    """

    def __init__(self, layers=None, trainable=True, name=None):
        super().__init__(trainable=trainable, name=name)
        self._outputs = None
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
        if any(layer is other for other in self._layers):
            raise ValueError(
                "Sequential.add: `layer` must not be in the model already (all layers need unique "
                f"names). Received: {layer!r}"
            )
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError(
                f"Sequential.add: model '{self.name}' has its input already, of shape "
                f"{self._layers[0].batch_shape if self._input_layer else 'still open'}. "
                f"Received: another Input layer {layer!r}"
            )
        self._tracker.track(layer)
        self.built = False
        if rebuild:
            self._build_when_known()

    def pop(self, rebuild=True):
        """Take the last layer away and return it.

        Raises: ValueError when there is none.
        """
        if not self.layers:
            raise ValueError(f"Sequential.pop: model '{self.name}' has no layers.")
        layer = self._layers[-1]
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
        x = KerasTensor(declared.batch_shape, declared.dtype)
        for layer in self.layers:
            x = layer(x)
        self._outputs = x

    def call(self, inputs, training=None, mask=None, **kwargs):
        if self._input_layer is not None:
            self._check_input(inputs)
        x = inputs
        for layer in self._layers:
            if isinstance(layer, InputLayer):
                continue
            options = dict(kwargs) if kwargs else {}
            if layer._call_signature.has_mask and mask is not None:
                options["mask"] = mask
            if training is not None and layer._call_signature.has_training:
                options["training"] = training
            x = layer(x, **options)
            mask = get_keras_mask(x) if not isinstance(x, (list, tuple, dict)) else None
        return x

    def _check_input(self, inputs):
        # Built by a call on data, the model has that batch's size; others may follow.
        expected = (None, *self._input_layer.batch_shape[1:])
        shape = getattr(inputs, "shape", None)
        if shape is None or (len(shape) == len(expected) and _compatible(expected, shape)):
            return
        # The first layer tells more precisely what it wants; only ranks are settled here.
        if len(shape) == len(expected):
            raise ValueError(
                f"Sequential '{self.name}': `inputs` must have shape {expected}. "
                f"Received: inputs of shape {tuple(shape)}"
            )

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
    return isinstance(shape, dict) or any(isinstance(s, (list, tuple)) for s in shape)
