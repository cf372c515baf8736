"""A layer's config: the constructor's arguments as plain data."""

from __future__ import annotations

import functools
import inspect

from kerasmirror import _export, activations, regularizers
from kerasmirror.core import dtype_policy, serialization, tree


def config_of(layer, is_derived, left_out=()):
    """What `get_config` of the base class gives.

    The arguments of the nearest public class are read from the attributes of their names, but for
    `left_out`; with `is_derived`, those that a user's class was constructed with are added.
    Raises: NotImplementedError for a user's arguments that are not plain data.
    """
    config = {
        "name": layer.name,
        "trainable": layer.trainable,
        "dtype": dtype_policy.serialize(layer.dtype_policy),
    }
    if layer.activity_regularizer is not None:
        config["activity_regularizer"] = regularizers.serialize(layer.activity_regularizer)
    public = next(c for c in type(layer).__mro__ if _export.public_path(c) is not None)
    for key in _own_arguments(public):
        if key not in left_out and hasattr(layer, key):
            config[key] = _plain(key, getattr(layer, key))
    if is_derived and public is not type(layer):
        config.update(_plain_init_arguments(layer))
    return config


def layer_of(cls, config):
    """An instance of `cls` from its config.

    Raises: TypeError when the config does not fit the constructor.
    """
    config = dict(config)
    if isinstance(config.get("dtype"), dict):
        config["dtype"] = dtype_policy.deserialize(config["dtype"])
    try:
        return cls(**config)
    except Exception as error:  # noqa: BLE001 - as Keras: whatever was wrong is a TypeError
        raise TypeError(
            f"{cls.__name__}.from_config: `config` must fit the constructor: {error}. "
            f"Received: config={config!r}"
        ) from error


def _plain_init_arguments(layer):
    args, kwargs = layer._init_arguments
    try:
        given = inspect.signature(type(layer).__init__).bind(layer, *args, **kwargs).arguments
    except TypeError:
        given = {}
    given = dict(list(given.items())[1:])
    given.update(given.pop("kwargs", {}))
    plain = {}
    for key, value in given.items():
        if key in ("name", "trainable", "dtype"):
            continue
        leaves = tree.flatten(value)
        if not all(isinstance(leaf, (str, int, float, bool, type(None))) for leaf in leaves):
            raise NotImplementedError(
                f"{type(layer).__name__}: a layer whose constructor takes more than plain data "
                f"must define get_config(). Received: {key}={value!r}"
            )
        plain[key] = value
    return plain


@functools.cache
def _own_arguments(cls):
    """The constructor arguments of `cls` that are not the base class's."""
    base = {"self", "kwargs", "args", "name", "trainable", "dtype", "autocast", "weights"}
    base.add("activity_regularizer")
    return [name for name in inspect.signature(cls.__init__).parameters if name not in base]


def _plain(key, value):
    if key == "activation" or key.endswith("_activation"):
        return activations.serialize(value)
    return serialization.serialize_keras_object(value)
