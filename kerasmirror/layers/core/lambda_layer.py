"""Lambda: a function as a layer."""

from __future__ import annotations

import builtins
import inspect

from kerasmirror._export import export
from kerasmirror.core import function_code, scopes, serialization, tree
from kerasmirror.core.safe_mode import in_safe_mode
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.layers.layer import Layer
from kerasmirror.layers.layer_config import config_of
from kerasmirror.layers.unknown_sizes import outputs_of


@export("layers.Lambda")
class Lambda(Layer):
    """`function(inputs, **arguments)`; `mask` and `training` too where the function takes them.

    Args: `output_shape` is the result's shape without the batch axis, or a function of the input's
    shape (default: the function runs on placeholders); `mask` is the result's mask, or a function
    of inputs and mask.
    Raises: ValueError when a config that holds a Python lambda is loaded in safe mode,
    NotImplementedError when the function does not run on placeholders.
    Source: Keras 3.15 `keras.layers.Lambda`.
    """

    def __init__(self, function, output_shape=None, mask=None, arguments=None, **kwargs):
        super().__init__(**kwargs)
        self.arguments = arguments or {}
        self.function = function
        self.mask = mask
        self.supports_masking = mask is not None
        self._makes_masks = mask is not None
        self._output_shape = output_shape
        names = inspect.getfullargspec(function).args
        self._takes = [name for name in ("mask", "training") if name in names]

    def call(self, inputs, mask=None, training=None):
        given = {"mask": mask, "training": training}
        extra = {name: given[name] for name in self._takes}
        return self.function(inputs, **self.arguments, **extra)

    def compute_output_shape(self, input_shape):
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        if self._output_shape is not None:
            batch = tree.flatten(input_shape)[0]
            return _map_shapes(lambda shape: (batch, *shape), self._output_shape)
        try:
            inputs = _map_shapes(
                lambda shape: KerasTensor(shape, self.compute_dtype, record_history=False),
                input_shape,
            )
            return tree.map_structure(lambda x: x.shape, self.call(inputs))
        except Exception as error:  # noqa: BLE001 - whatever the user's function raises
            raise NotImplementedError(
                f"Lambda: layer '{self.name}': We could not automatically infer the shape of the "
                "Lambda's output; please specify the `output_shape` argument. "
                f"Received: inputs of shape {input_shape}, for which the function raised {error!r}"
            ) from error

    def compute_output_spec(self, inputs, mask=None, training=None):
        if self._output_shape is None:
            with scopes.SymbolicScope():
                return outputs_of(self, (inputs,), {"mask": mask, "training": training})
        shape = tree.map_structure(lambda x: tuple(x.shape), inputs)
        return _map_shapes(
            lambda size: KerasTensor(size, self.compute_dtype), self.compute_output_shape(shape)
        )

    def compute_mask(self, inputs, mask=None):
        return self.mask(inputs, mask) if callable(self.mask) else self.mask

    def get_config(self):
        config = config_of(self, is_derived=False, left_out=("function", "mask", "arguments"))
        config["function"] = _described(self.function)
        config["arguments"] = serialization.serialize_keras_object(self.arguments)
        for name, value in (("output_shape", self._output_shape), ("mask", self.mask)):
            if value is not None:
                config[name] = _described(value)
        return config

    @classmethod
    def from_config(cls, config, custom_objects=None, safe_mode=None):
        safe = in_safe_mode() if safe_mode is None else safe_mode
        config = dict(config)
        for name in ("function", "output_shape", "mask", "arguments"):
            if name in config:
                config[name] = _restored(config[name], custom_objects, safe is not False)
        shape = config.get("output_shape")
        if isinstance(shape, list) and all(isinstance(size, (int, type(None))) for size in shape):
            config["output_shape"] = tuple(shape)
        return cls(**config)


def _map_shapes(function, shapes):
    """`function` of each shape (a tuple or list of ints and Nones) in a nest of them."""
    if isinstance(shapes, dict):
        return {key: _map_shapes(function, value) for key, value in shapes.items()}
    if all(isinstance(size, (int, type(None))) for size in shapes):
        return function(tuple(shapes))
    return type(shapes)([_map_shapes(function, value) for value in shapes])


def _described(value):
    """A function or a value as plain data; a Python lambda as its code."""
    if inspect.isfunction(value) and value.__name__ == "<lambda>":
        return {"class_name": "__lambda__", "config": function_code.dumped(value)}
    return serialization.serialize_keras_object(value)


def _restored(config, custom_objects, safe):
    if not (isinstance(config, dict) and config.get("class_name") == "__lambda__"):
        return serialization.deserialize_keras_object(config, custom_objects=custom_objects)
    if safe:
        raise ValueError(
            "Lambda: the config of a `Lambda` layer must name a function. This one holds the code "
            "of a Python lambda, which allows arbitrary code execution, so it is not loaded. If "
            "you trust where it comes from, pass `safe_mode=False` to the loading function, or "
            "call `keras.config.enable_unsafe_deserialization()`."
        )
    return function_code.loaded(config["config"], {"__builtins__": builtins})
