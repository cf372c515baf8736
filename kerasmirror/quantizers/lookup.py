"""quantizers.get, serialize, deserialize."""

from __future__ import annotations

import inspect

from kerasmirror._export import export, family
from kerasmirror.core import serialization
from kerasmirror.core.names import to_snake_case


def _known():
    classes = {n: c for n, c in family("quantizers").items() if inspect.isclass(c)}
    return {**classes, **{to_snake_case(name): cls for name, cls in classes.items()}}


@export("quantizers.serialize")
def serialize(initializer):
    """The quantizer's (or quantization config's) description, as Keras writes it."""
    return serialization.serialize_keras_object(initializer)


@export("quantizers.deserialize")
def deserialize(config, custom_objects=None):
    """The quantizer that `serialize` described."""
    return serialization.deserialize_keras_object(
        config, custom_objects=custom_objects, module_objects=_known()
    )


@export("quantizers.get")
def get(identifier, **kwargs):
    """The quantizer for a name ("abs_max_quantizer"), a class, a config, a quantizer, or None.

    `kwargs` are the constructor's arguments for a name or class.
    Raises: ValueError for anything else.
    """
    if identifier is None:
        return None
    found = identifier
    if isinstance(identifier, dict):
        found = deserialize(identifier)
    elif isinstance(identifier, str):
        found = _known().get(identifier)
    if not callable(found):
        raise ValueError(
            "keras.quantizers.get: `identifier` must be a quantizer, its name or its config. "
            f"Received: identifier={identifier!r}"
        )
    return found(**kwargs) if inspect.isclass(found) else found
