"""`.h5` files with a whole model, the format of Keras 2 that Keras 3 still reads and writes.

The attribute `model_config` has the config as JSON text, `training_config` what the model was
compiled with; `model_weights` and `optimizer_weights` are groups of arrays.
"""

from __future__ import annotations

import json
import logging
import os
import warnings

from kerasmirror._export import lookup
from kerasmirror.core import budget, serialization
from kerasmirror.core.old_config import in_present_form
from kerasmirror.core.safe_mode import SafeModeScope
from kerasmirror.saving.hdf5 import StoredVariables, checked_file, new_file
from kerasmirror.saving.keras_file import KERAS_VERSION, allowed_bytes, parsed
from kerasmirror.saving.old_weights import (
    group_at,
    load_old_weights,
    read_names,
    save_old_weights,
    write_variables,
)

_OWNER = "load_model"
_LOGGER = logging.getLogger("kerasmirror")
# What `compile` got, and whose names these are.
_GIVEN = {
    "loss": "losses",
    "metrics": "metrics",
    "weighted_metrics": "metrics",
    "loss_weights": "losses",
}


# Writing


def write_old_file(model, filepath, include_optimizer=True):
    """Write an `.h5` file; an existing one stays whole until the new one is."""
    config = old_form(serialization.serialize_keras_object(model))
    optimizer = getattr(model, "optimizer", None) if include_optimizer else None
    folder = os.path.dirname(filepath)
    if folder:
        os.makedirs(folder, exist_ok=True)
    with new_file(filepath) as file:
        file.attrs["keras_version"] = KERAS_VERSION
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config).encode("utf-8")
        if optimizer is not None and model.compiled:
            training = json.dumps(_training_config(model))
            file.attrs["training_config"] = training.encode("utf-8")
        save_old_weights(file.create_group("model_weights"), model, KERAS_VERSION)
        if optimizer is not None and optimizer.variables:
            write_variables(file.create_group("optimizer_weights"), optimizer.variables)


def old_form(described):
    """A description without module and state: {"class_name", "config"}, in layers of models too."""
    config = described["config"]
    if isinstance(config, dict) and isinstance(config.get("layers"), list):
        config = {**config, "layers": [old_form(layer) for layer in config["layers"]]}
    name = described["class_name"]
    if described.get("module", "").startswith("keras.src.ops"):
        # An operation can be told from a layer by its module only.
        return {**described, "config": config}
    kept = {key: described[key] for key in ("name", "inbound_nodes") if key in described}
    return {"class_name": described.get("registered_name") or name, "config": config, **kept}


def _training_config(model):
    config = dict(model.get_compile_config())
    optimizer = config.pop("optimizer")
    if isinstance(optimizer, str):
        optimizer = serialization.serialize_keras_object(model.optimizer)
    class_name = optimizer.get("registered_name") or optimizer["class_name"]
    config["optimizer_config"] = {"class_name": class_name, "config": optimizer["config"]}
    return config


# Reading


def read_old_file(filepath, custom_objects=None, compile=True, safe_mode=True):
    """The model in an `.h5` file.

    Raises: ValueError for a file without a model, or not safe to load; OSError for a damaged one.
    """
    with checked_file(filepath, _OWNER) as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise ValueError(
                f"{_OWNER}: No model config found in the file: `filepath` must be a whole model, "
                f"not its weights alone. Received: filepath={str(filepath)!r}"
            )
        config = _tuples(parsed(text, _OWNER))
        with (
            serialization.CustomObjectScope(custom_objects),
            SafeModeScope(safe_mode),
            budget.limited_to(allowed_bytes(file)),
        ):
            model = _model(config)
            load_old_weights(group_at(file, "model_weights", _OWNER), model)
            if compile:
                _compile(model, file)
    return model


def _tuples(part):
    """JSON with the tuples that old files mark as such."""
    if isinstance(part, list):
        return [_tuples(item) for item in part]
    if not isinstance(part, dict):
        return part
    if part.get("class_name") == "__tuple__":
        return tuple(_tuples(item) for item in part["items"])
    return {key: _tuples(value) for key, value in part.items()}


def _model(config):
    model = serialization.deserialize_keras_object(in_present_form(config))
    if not hasattr(model, "load_weights"):
        raise ValueError(
            f"{_OWNER}: the config must describe a model. "
            f"Received: class_name={config.get('class_name')!r}"
        )
    return model


def _revived(part, family):
    """Losses or metrics from their configs; names and numbers stay."""
    if isinstance(part, dict):
        if "class_name" in part:
            return lookup(f"{family}.deserialize")(part)
        return {key: _revived(value, family) for key, value in part.items()}
    if isinstance(part, (list, tuple)):
        return [_revived(value, family) for value in part]
    return part


def _compile(model, file):
    text = file.attrs.get("training_config")
    if text is None:
        _LOGGER.warning(
            "No training configuration found in the save file, so the model was *not* compiled. "
            "Compile it manually."
        )
        return
    training = _tuples(parsed(text, _OWNER))
    if not isinstance(training.get("optimizer_config"), dict):
        raise ValueError(
            f"{_OWNER}: the training config must have an `optimizer_config`, a dict. "
            f"Received: {training!r}"
        )
    optimizer = lookup("optimizers.deserialize")(training["optimizer_config"])
    given = {name: _revived(training.get(name), family) for name, family in _GIVEN.items()}
    model.compile(optimizer=optimizer, **given)
    if "optimizer_weights" not in file:
        return
    optimizer.build(model.trainable_variables)
    group = group_at(file, "optimizer_weights", _OWNER)
    names, store = read_names(group, "weight_names"), StoredVariables(group)
    try:
        if len(names) != len(optimizer.variables):
            raise ValueError(f"{len(optimizer.variables)} variables, {len(names)} in the file")
        pairs = list(zip(names, optimizer.variables, strict=True))
        values = [store.read_for(name, variable) for name, variable in pairs]
    except (ValueError, KeyError) as error:
        warnings.warn(
            "load_model: the optimizer's state in the file does not fit it, so that it starts "
            f"afresh: {error}",
            stacklevel=4,
        )
        return
    for variable, value in zip(optimizer.variables, values, strict=True):
        variable.assign(value)
