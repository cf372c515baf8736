"""What a model does with files and other containers of its state: save, load, pickle, export."""

from __future__ import annotations

import io
import json
import warnings

from kerasmirror._export import export
from kerasmirror.core import serialization
from kerasmirror.saving import keras_file, model_files, weights

_EXPORT_FORMATS = ("tf_saved_model", "onnx", "openvino", "litert", "torch")


class Persistence:
    """The part of a Model that writes and reads what it is and knows; it has no state."""

    def save(self, filepath, overwrite=True, zipped=None, **kwargs):
        """Write the whole model to a `.keras` or `.h5` file: see `keras.saving.save_model`."""
        model_files.save_model(self, filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(self, filepath, overwrite=True, max_shard_size=None):
        """Write all weights, and the optimizer's state, to a `.weights.h5` file.

        With `max_shard_size`, in GB, to several files that a `.weights.json` names.
        Raises: ValueError for another ending. An existing file stays whole until the new one is.
        """
        weights.save_weights(self, filepath, overwrite=overwrite, max_shard_size=max_shard_size)

    def load_weights(self, filepath, skip_mismatch=False, **kwargs):
        """Read the weights of a file that this package or Keras wrote: `.weights.h5`,
        `.weights.json`, `.keras` or `.h5`.

        Raises: ValueError when the file does not fit; the model is unchanged then.
        """
        weights.load_weights(self, filepath, skip_mismatch=skip_mismatch, **kwargs)

    def to_json(self, **kwargs):
        """The config as JSON text, for `keras.models.model_from_json`; arguments: json.dumps's."""
        return json.dumps(serialization.serialize_keras_object(self), **kwargs)

    def export(
        self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs
    ):
        """Raise: models are not written for other programs.

        Raises: ValueError for a format that Keras does not know, else NotImplementedError.
        """
        if format not in _EXPORT_FORMATS:
            raise ValueError(
                f"Model.export: Unrecognized format={format!r}; it must be one of "
                f"{list(_EXPORT_FORMATS)}."
            )
        why = ""
        if format == "tf_saved_model":
            why = (
                "`export_saved_model` only currently supports the tensorflow, jax and torch "
                "backends. "
            )
        raise NotImplementedError(
            f"Model.export: {why}kerasmirror does not write {format!r}; `model.save('model.keras')`"
            " writes a file that Keras loads, whose `export()` can. "
            f"Received: filepath={str(filepath)!r}, format={format!r}"
        )

    def build_from_config(self, config):
        """Make the weights as `get_build_config` described; warns where that is not possible."""
        if not config:
            return
        try:
            if "input_shape" in config:
                self.build(config["input_shape"])
            elif "shapes_dict" in config:
                self.build(**config["shapes_dict"])
            else:
                return
        except Exception as error:  # noqa: BLE001 - a user's call() may raise whatever it likes
            warnings.warn(
                f"Model '{self.name}' had a build config, but the model cannot be built "
                f"automatically in `build_from_config(config)`: {error}. Implement "
                "`build_from_config(self, config)`, to make the model's variables, and maybe "
                "`get_build_config(self)`, what it is given.",
                stacklevel=2,
            )

    # State as nested dicts

    def _get_variable_map(self):
        """{path: variable} of the model and of all its parts.

        Raises: ValueError for two variables with one path.
        """
        found = {}
        for part, _ in weights.parts_of(self):
            for variable in weights.variables_of(part):
                if found.setdefault(variable.path, variable) is not variable:
                    raise ValueError(
                        "Model: The model contains two variables with a duplicate path: "
                        f"{variable.path!r}; layers and other objects must have names of their own"
                    )
        return found

    def get_state_tree(self, value_format="backend_tensor"):
        """The values of all variables by kind and path: {"trainable_variables": {"dense": ...}}.

        The kinds are "trainable_variables", "non_trainable_variables", "optimizer_variables" and
        "metrics_variables". `value_format` is "backend_tensor" or "numpy_array".
        Raises: ValueError for another format, or two variables with one path.
        """
        if value_format not in ("backend_tensor", "numpy_array"):
            raise ValueError(
                "Model.get_state_tree: Invalid `value_format` argument, it must be 'numpy_array' "
                f"or 'backend_tensor'. Received: value_format={value_format!r}"
            )
        return {
            kind: _nested(variables, value_format)
            for kind, variables in self._variables_by_kind().items()
        }

    def set_state_tree(self, state_tree):
        """Assign values that `get_state_tree` gave; kinds and paths that are missing stay.

        Raises: ValueError for an unknown kind, or a value of another shape.
        """
        by_kind = self._variables_by_kind()
        for kind, values in state_tree.items():
            if kind not in by_kind:
                raise ValueError(
                    f"Model.set_state_tree: Unknown variable name: the keys of `state_tree` must "
                    f"be among {list(by_kind)}. Received: {kind!r}"
                )
            given = _flat(values)
            for variable in by_kind[kind]:
                if variable.path in given:
                    variable.assign(given[variable.path])

    def _variables_by_kind(self):
        optimizer = getattr(self, "optimizer", None)
        return {
            "trainable_variables": self.trainable_variables,
            "non_trainable_variables": self.non_trainable_variables,
            "optimizer_variables": [] if optimizer is None else optimizer.variables,
            "metrics_variables": self.metrics_variables,
        }

    # Pickles and copies

    def __reduce__(self):
        """A pickle, or a copy, is a `.keras` file and the user's classes that it names."""
        file = io.BytesIO()
        with serialization.OwnSymbols() as symbols:
            keras_file.write_archive(self, file)
        return _from_pickle, (file.getvalue(), symbols)


def _from_pickle(content, symbols):
    # Who unpickles runs the pickle's code anyway; a Lambda layer's adds nothing to that.
    return keras_file.read_file(io.BytesIO(content), custom_objects=symbols, safe_mode=False)


def _nested(variables, value_format):
    tree, seen = {}, set()
    for variable in variables:
        path = variable.path
        if path in seen:
            raise ValueError(
                "Model.get_state_tree: The following variable path is found twice in the model: "
                f"{path!r}; layers and other objects must have names of their own"
            )
        seen.add(path)
        *parents, name = path.split("/")
        holder = tree
        for parent in parents:
            holder = holder.setdefault(parent, {})
        holder[name] = variable.numpy() if value_format == "numpy_array" else variable.value
    return tree


def _flat(values, prefix=""):
    flat = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}/"))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


@export("models.model_from_json")
def model_from_json(json_string, custom_objects=None):
    """The model, without weights and uncompiled, that `model.to_json()` described.

    Raises: ValueError for a text that describes no model, TypeError for unknown classes.
    Source: Keras 3.15 `keras.models.model_from_json`.
    """
    config = keras_file.parsed(json_string, "model_from_json")
    return keras_file.from_config(config, custom_objects)
