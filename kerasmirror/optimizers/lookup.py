"""`keras.optimizers.get`, `serialize`, `deserialize`."""

from __future__ import annotations

from kerasmirror import _export
from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.optimizers.optimizer import Optimizer


@export("optimizers.serialize")
def serialize(optimizer):
    """The optimizer's config, as Keras writes it."""
    return serialization.serialize_keras_object(optimizer)


@export("optimizers.deserialize")
def deserialize(config, custom_objects=None):
    """The optimizer of a config; capitals in the class's name do not matter."""
    lower = {name.lower(): name for name in _export.family("optimizers")}
    config = dict(config)
    name = config.get("class_name")
    if isinstance(name, str):
        config["class_name"] = lower.get(name.lower(), name)
    return serialization.resolve(config, "optimizers", "optimizer", custom_objects=custom_objects)


@export("optimizers.get")
def get(identifier):
    """The optimizer for a name ("adam"), a config, or an optimizer; None for None.

    Raises: ValueError for anything else.
    """
    if isinstance(identifier, dict):
        optimizer = deserialize(identifier)
    elif identifier is None or isinstance(identifier, str):
        optimizer = serialization.resolve(identifier, "optimizers", "optimizer", Optimizer)
    else:
        optimizer = identifier
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise ValueError(
            "keras.optimizers.get: `identifier` must be a name, a config dict or an optimizer. "
            f"Received: identifier={identifier!r}"
        )
    return optimizer


@export(
    "optimizers.legacy.Optimizer",
    "optimizers.legacy.Adagrad",
    "optimizers.legacy.Adam",
    "optimizers.legacy.Ftrl",
    "optimizers.legacy.RMSprop",
    "optimizers.legacy.SGD",
)
class LegacyOptimizerWarning:
    """What stands under the names of Keras 2's optimizers. Raises: ImportError when called."""

    def __init__(self, *args, **kwargs):
        raise ImportError(
            "keras.optimizers.legacy: Keras 3 has no legacy optimizers. Use the one of the same "
            "name in `keras.optimizers`."
        )
