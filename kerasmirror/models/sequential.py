"""Sequential: a stack of layers, each applied to the output of the one before."""

from __future__ import annotations

import inspect

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks, serialization, tree
from kerasmirror.core.names import auto_name
from kerasmirror.core.node import recording
from kerasmirror.core.old_config import in_present_form
from kerasmirror.core.symbolic import KerasTensor, standardize_shape
from kerasmirror.core.tensor import get_keras_mask
from kerasmirror.layers.core.input_layer import InputLayer
from kerasmirror.layers.layer import Layer
from kerasmirror.models import fusion
from kerasmirror.models.functional import Functional
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
            "Sequential: `layers` cannot be set. Use `add()` and `pop()` to change the model."
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
                "Sequential.add: Only instances of `keras.Layer` can be added. "
                f"Received: layer={layer!r} (of type {type(layer)})"
            )
        if any(layer.name == other.name and layer is not other for other in self._layers):
            raise ValueError(
                "Sequential.add: all layers of the model should have unique names. "
                f"Received: a second layer called {layer.name!r}"
            )
        if isinstance(layer, InputLayer) and self._layers:
            raise ValueError(
                f"Sequential.add: model '{self.name}' has already been configured, an Input only "
                f"goes first. Received: an Input of shape {layer.batch_shape} for a model whose "
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
        if len(self._layers) < 2:
            return
        # A model in first place knows its input's shape too.
        shape = getattr(self._layers[0], "input_shape", None)
        if self._input_layer is not None:
            shape = self._input_layer.batch_shape
        if shape is not None:
            self.build(shape)

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
                f"Sequential.build: model '{self.name}' has no layers. Call `model.add(layer)`."
            )
        declared = self._input_layer
        if declared is None:
            dtype = self._layers[0].input_dtype
            declared = InputLayer(batch_shape=input_shape, dtype=dtype)
            self._layers.insert(0, declared)
            self._tracker.ids["layers"].add(id(declared))
        elif not _compatible(declared.batch_shape, input_shape):
            raise ValueError(
                f"Sequential.build: model '{self.name}' has already been configured for inputs of "
                f"shape {declared.batch_shape}. Received: input_shape={input_shape}"
            )
        self._outputs = self._run_on(declared.output)
        # Keras makes a Functional here; names of later ones must come out alike.
        auto_name("functional")

    def _run_on(self, x):
        """The placeholder that comes out for `x`; None where a layer cannot tell its shape."""
        # Nodes of its own, also while an outer model is being built of placeholders.
        with recording(True):
            for layer in self.layers:
                try:
                    x = layer(x)
                except NotImplementedError:
                    return None
                except TypeError:
                    _check_call(layer)
                    raise
        return x

    @property
    def _functional(self):
        """The same layers as a graph; None before the model is built."""
        if not self.built or self._outputs is None:
            return None
        graph = self.__dict__.get("_as_graph")
        if graph is None or graph[0] is not self._outputs:
            model = Functional(self._input_layer.output, self._outputs, name="functional")
            graph = self.__dict__["_as_graph"] = self._outputs, model
        return graph[1]

    def call(self, inputs, training=None, mask=None, **kwargs):
        if self._outputs is None:
            return self._run_layers(inputs, training, mask, kwargs)
        x = self._declared(inputs)
        # Built by a call on data, the model has that batch's size; others may follow.
        expected = (None, *self._input_layer.batch_shape[1:])
        if _compatible(expected, x.shape):
            return self._run_layers(x, training, mask, kwargs)
        cause = None
        if len(expected) == len(x.shape):
            # Of another size than declared: as far as the layers do, the model goes along.
            try:
                return self._run_layers(x, training, mask, kwargs)
            except ValueError as error:
                cause = error
        raise ValueError(
            f"Sequential '{self.name}': `inputs` must have shape {expected}. "
            f"Received: inputs of shape {tuple(inputs.shape)}"
        ) from cause

    def _run_layers(self, x, training, mask, kwargs):
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
        shape, rank = inputs.shape, len(declared.batch_shape)
        if len(shape) == rank + 1 and shape[-1] == 1:
            inputs = ops.squeeze(inputs, axis=-1)
        elif len(shape) == rank - 1 and declared.batch_shape[-1] == 1:
            inputs = ops.expand_dims(inputs, axis=-1)
        if inputs.dtype == declared.dtype:
            return inputs
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
        if not isinstance(config, dict) or not {"name", "layers"} <= set(config):
            raise ValueError(
                "Sequential.from_config: A Sequential model configuration must be a dictionary "
                f"containing the 'name' and 'layers' keys. Received: config={config!r}"
            )
        model = cls(name=config["name"], trainable=config.get("trainable", True))
        for layer_config in config["layers"]:
            described = in_present_form(layer_config)
            layer = serialization.deserialize_keras_object(described, custom_objects)
            model.add(layer, rebuild=False)
        if model._input_layer is None and config.get("build_input_shape"):
            model.build(tuple(config["build_input_shape"]))
        else:
            model._build_when_known()
        return model


def _check_call(layer):
    """Raise ValueError unless the layer's call takes one tensor, by place."""
    parameters = list(inspect.signature(layer.call).parameters.values())
    by_place = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p.name for p in by_place if p.default is p.empty]
    if by_place and len(required) <= 1:
        return
    found = f"required positional arguments {required}" if by_place else "no positional arguments"
    raise ValueError(
        "Sequential: Layers of the model can only have a single required positional argument in "
        f"call(), the input tensor. Received: layer '{layer.name}' of type "
        f"{type(layer).__name__}, with {found}"
    )


def _compatible(expected, shape):
    return len(expected) == len(shape) and all(
        a is None or b is None or a == b for a, b in zip(expected, shape, strict=True)
    )


def _is_nest_of_shapes(shape):
    return isinstance(shape, dict) or (
        hasattr(shape, "__iter__") and any(isinstance(s, (list, tuple)) for s in shape)
    )
