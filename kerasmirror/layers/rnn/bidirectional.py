"""Bidirectional: a layer over a sequence and another one over it from its end."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.layers.layer import Layer

_MERGES = ("sum", "mul", "ave", "concat", None)


@export("layers.Bidirectional")
class Bidirectional(Layer):
    """`layer`, and a twin of it with `go_backwards` turned round, over the same inputs.

    `merge_mode` joins their results: "concat", "sum", "ave", "mul", or None for both of them.
    `backward_layer` takes the twin's place; `weights` are the first ones of both layers, in a list.
    Raises: ValueError for an unknown mode, or layers that do not go together.
    Source: Schuster and Paliwal 1997, https://doi.org/10.1109/78.650093; Keras 3.15
    `keras.layers.Bidirectional`.
    """

    def __init__(self, layer, merge_mode="concat", weights=None, backward_layer=None, **kwargs):
        if not isinstance(layer, Layer):
            raise ValueError(
                "Bidirectional: Please initialize `Bidirectional` layer with a "
                f"`keras.layers.Layer` instance. Received: {layer!r}"
            )
        if backward_layer is not None and not isinstance(backward_layer, Layer):
            raise ValueError(
                "Bidirectional: `backward_layer` need to be a `keras.layers.Layer` instance. "
                f"Received: {backward_layer!r}"
            )
        if merge_mode not in _MERGES:
            raise ValueError(
                "Bidirectional: Invalid merge mode. Merge mode should be one of "
                f"{_MERGES}. Received: {merge_mode!r}"
            )
        super().__init__(**kwargs)
        self.forward_layer = _twin(layer, "forward_")
        self.backward_layer = backward_layer or _twin(layer, "backward_", go_backwards=True)
        if hasattr(layer, "use_cudnn"):
            self.forward_layer.use_cudnn = layer.use_cudnn
            self.backward_layer.use_cudnn = layer.use_cudnn
        self._check_pair()
        for one in (self.forward_layer, self.backward_layer):
            if getattr(one, "zero_output_for_mask", None) is not None:
                one.zero_output_for_mask = one.return_sequences
        self.merge_mode = merge_mode
        self.__dict__["_first_weights"] = weights
        self.stateful = layer.stateful
        self.return_sequences = layer.return_sequences
        self.return_state = layer.return_state
        self.supports_masking = True
        self.input_spec = layer.input_spec

    def _check_pair(self):
        forward, backward = self.forward_layer, self.backward_layer
        if forward.go_backwards == backward.go_backwards:
            raise ValueError(
                "Bidirectional: Forward layer and backward layer should have different "
                f"`go_backwards` value. Received: {forward.go_backwards} for both"
            )
        for name in ("stateful", "return_sequences", "return_state"):
            if getattr(forward, name) != getattr(backward, name):
                raise ValueError(
                    "Bidirectional: Forward layer and backward layer are expected to have the "
                    f'same value for attribute "{name}", got "{getattr(forward, name)}" for '
                    f'forward layer and "{getattr(backward, name)}" for backward layer'
                )

    def compute_output_shape(self, sequences_shape, initial_state_shape=None):
        shape, states = self.forward_layer.compute_output_shape(sequences_shape), ()
        if self.return_state:
            shape, states = shape[0], tuple(shape[1:])
        if self.merge_mode == "concat":
            shape = (*shape[:-1], 2 * shape[-1])
        if self.merge_mode is None:
            return (shape, shape, *states, *states)
        return (tuple(shape), *states, *states) if self.return_state else tuple(shape)

    def build(self, sequences_shape, initial_state_shape=None):
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer.build(sequences_shape)
        if self._first_weights:
            self.set_weights(self._first_weights)
            self.__dict__["_first_weights"] = None

    def call(self, sequences, initial_state=None, mask=None, training=None):
        options = {}
        if self.forward_layer._call_signature.has_training:
            options["training"] = training
        if self.forward_layer._call_signature.has_mask:
            options["mask"] = mask
        forward_state = backward_state = None
        if initial_state is not None:
            half = len(initial_state) // 2
            forward_state, backward_state = initial_state[:half], initial_state[half:]
        y = self.forward_layer(sequences, initial_state=forward_state, **options)
        back = self.backward_layer(sequences, initial_state=backward_state, **options)
        states = ()
        if self.return_state:
            states = (*y[1:], *back[1:])
            y, back = y[0], back[0]
        y, back = (ops.cast(part, self.compute_dtype) for part in (y, back))
        if self.return_sequences:
            back = ops.flip(back, axis=1)
        output = self._merged(y, back)
        if self.merge_mode is None:
            return (*output, *states)
        return (output, *states) if self.return_state else output

    def _merged(self, y, back):
        if self.merge_mode == "concat":
            return ops.concatenate([y, back], axis=-1)
        if self.merge_mode == "mul":
            return ops.multiply(y, back)
        if self.merge_mode is None:
            return (y, back)
        total = ops.add(y, back)
        return total if self.merge_mode == "sum" else ops.divide(total, 2)

    def reset_states(self):
        """The same as `reset_state`."""
        self.reset_state()

    def reset_state(self):
        """Make the states of both layers 0.

        Raises: AttributeError unless they are stateful.
        """
        if not self.stateful:
            raise AttributeError("Bidirectional: Layer must be stateful.")
        self.forward_layer.reset_state()
        self.backward_layer.reset_state()

    @property
    def states(self):
        forward, backward = self.forward_layer.states, self.backward_layer.states
        return tuple([*forward, *backward]) if forward and backward else None

    def compute_mask(self, inputs, mask):
        mask = mask[0] if isinstance(mask, list) else mask
        mask = mask if self.return_sequences else None
        result = (mask, mask) if self.merge_mode is None else mask
        if self.return_state and self.states is not None:
            result = (*result,) if self.merge_mode is None else (result,)
            return (*result, *[None for _ in self.states])
        return result

    def get_config(self):
        config = super().get_config()
        config.pop("backward_layer", None)
        return {
            **config,
            "layer": serialization.serialize_keras_object(self.forward_layer),
            "backward_layer": serialization.serialize_keras_object(self.backward_layer),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        for name in ("layer", "backward_layer"):
            if config.get(name) is not None:
                config[name] = serialization.deserialize_keras_object(
                    config[name], custom_objects=custom_objects
                )
        return cls(**config)


def _twin(layer, prefix, **changes):
    """A layer like `layer`, without its state, named with the prefix."""
    config = serialization.serialize_keras_object(layer)
    name = f"{prefix}{layer.name.removeprefix(prefix)}"
    config["config"] = {**config["config"], "name": name, **changes}
    config.pop("build_config", None)
    return serialization.deserialize_keras_object(config)
