"""Model: a layer with compile, fit, evaluate and predict."""

from __future__ import annotations

from numbers import Integral

from kerasmirror._export import export
from kerasmirror.core import checks, serialization
from kerasmirror.layers.call_spec import OPEN_CALLS
from kerasmirror.layers.layer import Layer
from kerasmirror.models.persistence import Persistence
from kerasmirror.models.quantization import ModelQuantization
from kerasmirror.models.summary import print_summary
from kerasmirror.training import program
from kerasmirror.training.trainer import Trainer


@export("Model", "models.Model")
class Model(ModelQuantization, Trainer, Persistence, Layer):
    """A layer that trains: subclass it, make layers in `__init__` and use them in `call`.

    `compile`, `fit`, `evaluate`, `predict`, the `_on_batch` three, `save`, `save_weights`,
    `load_weights` and `summary` are Keras's. `Model(inputs, outputs)` is the graph of the layer
    calls between placeholders (models/functional.py), also where a subclass's `__init__` says
    `super().__init__(inputs=..., outputs=...)`.
    Source: Keras 3.15 `keras.Model`.
    """

    # Set by models/functional.py, which stands on this file.
    _functional_class = None

    def __new__(cls, *args, **kwargs):
        if cls is Model and _names_a_graph(args, kwargs):
            return super().__new__(cls._functional_class, *args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    def __init__(self, *args, **kwargs):
        if _names_a_graph(args, kwargs):
            _insert_functional(type(self))
            self._functional_class.__init__(self, *args, **kwargs)
            return
        if args or "inputs" in kwargs or "outputs" in kwargs:
            raise (TypeError if args else ValueError)(
                "keras.Model: `inputs` and `outputs` must be given together, other arguments by "
                f"keyword. Received: {len(args)} positional argument(s) and {sorted(kwargs)}"
            )
        super().__init__(**kwargs)
        self._start_trainer()

    def __call__(self, *args, **kwargs):
        if len(args) == 1 and OPEN_CALLS.entry is None:
            eager = super().__call__
            outputs = program.outputs(self, args[0], kwargs, eager)
            if outputs is None:
                outputs = eager(*args, **kwargs)
                program.eager_done(self, "call")
            return outputs
        return super().__call__(*args, **kwargs)

    def call(self, *args, **kwargs):
        raise NotImplementedError(
            f"Model {type(self).__name__} must implement `call()` to be called."
        )

    def _has_call(self):
        return type(self).call is not Model.call

    @property
    def layers(self):
        return list(self._flatten_layers(include_self=False, recursive=False))

    @layers.setter
    def layers(self, _):
        raise AttributeError(reserved_layers(self))

    def get_layer(self, name=None, index=None):
        """The layer called `name`, or the one at `index`.

        Raises: ValueError when there is none, or not exactly one of the two is given.
        """
        if (name is None) == (index is None):
            raise ValueError(
                "Model.get_layer: exactly one of `name` and `index` must be given. "
                f"Received: name={name!r}, index={index!r}"
            )
        layers = self.layers
        if index is not None:
            expected = f"an int below the number of layers, {len(layers)}"
            if not isinstance(index, Integral):
                checks.fail("Model.get_layer", "index", expected, index, TypeError)
            if index >= len(layers):
                checks.fail("Model.get_layer", "index", expected, index)
            if index < -len(layers):
                checks.fail("Model.get_layer", "index", expected, index, IndexError)
            return layers[index]
        for layer in layers:
            if layer.name == name:
                return layer
        raise ValueError(
            f"Model.get_layer: `name` must be one of {[layer.name for layer in layers]}. "
            f"Received: name={name!r}"
        )

    def summary(
        self,
        line_length=None,
        positions=None,
        print_fn=None,
        expand_nested=False,
        show_trainable=False,
        layer_range=None,
    ):
        """Print a table of the layers, their output shapes and numbers of parameters."""
        print_summary(
            self,
            line_length=line_length,
            positions=positions,
            print_fn=print_fn,
            expand_nested=expand_nested,
            show_trainable=show_trainable,
            layer_range=layer_range,
        )

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """A model built from what `get_config` gave.

        Raises: ValueError for a graph of layers that cannot be put together.
        """
        with serialization.CustomObjectScope(custom_objects):
            if {"layers", "input_layers", "output_layers"} <= set(config):
                return cls._functional_class.of_class(cls, config, custom_objects)
            return super().from_config(config)


def reserved_layers(model):
    """What is said to who sets `model.layers`."""
    return (
        f"{type(model).__name__}: the `Model.layers` attribute is reserved, as it lists the "
        "model's layers, and should not be used; choose another name."
    )


def _names_a_graph(args, kwargs):
    """Whether a model's arguments are `inputs` and `outputs`, by place or by name."""
    names = ("inputs", "outputs")[len(args) :]
    return all(name in kwargs for name in names)


def _insert_functional(cls):
    """Make a user's subclass of Model one of Functional, which stands between them from then on."""
    functional = Model._functional_class
    if cls is Model:
        return functional
    if issubclass(cls, Model) and not issubclass(cls, functional):
        cls.__bases__ = tuple(_insert_functional(base) for base in cls.__bases__)
    return cls
