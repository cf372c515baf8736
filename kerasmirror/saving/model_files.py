"""save_model and load_model: whole models in `.keras` files, folders and `.h5` files."""

from __future__ import annotations

import logging
import os
import zipfile

from kerasmirror._export import export
from kerasmirror.core.console import ask_to_proceed_with_overwrite
from kerasmirror.saving import keras_file, old_file

_LOGGER = logging.getLogger("kerasmirror")
_OLD = (".h5", ".hdf5")


@export("saving.save_model", "models.save_model")
def save_model(model, filepath, overwrite=True, zipped=None, **kwargs):
    """Write a whole model: what it is made of, its weights, how it is compiled, the optimizer.

    A path that ends in ".keras" gets a `.keras` file; with `zipped=False`, a path without that
    ending a folder of the same files; one that ends in ".h5" or ".hdf5" the format of Keras 2, from
    which `include_optimizer=False` leaves out the optimizer. With `overwrite=False`, asks before it
    replaces a file. A binary file that is open for writing gets a `.keras` file too.
    Raises: ValueError for another ending. An existing file stays whole until the new one is.
    Source: Keras 3.15 `keras.saving.save_model`.
    """
    include_optimizer = kwargs.pop("include_optimizer", True)
    save_format = kwargs.pop("save_format", None)
    if hasattr(filepath, "write"):
        keras_file.write_archive(model, filepath)
        return
    name = str(filepath)
    if save_format:
        if not name.endswith((*_OLD, ".keras")):
            raise ValueError(
                "save_model: The `save_format` argument is deprecated in Keras 3: give a path that "
                f"ends in '.keras' or '.h5'. Received: save_format={save_format!r}"
            )
        _LOGGER.warning(
            "The `save_format` argument is deprecated in Keras 3. It follows from the file path. "
            "Received: save_format=%s",
            save_format,
        )
    if kwargs:
        raise ValueError(
            f"save_model: The following argument(s) are not supported: {sorted(kwargs)}"
        )
    if name.startswith("hf://"):
        raise ValueError(
            "save_model: models are not sent to the Hugging Face Hub: save to a folder "
            f"(`zipped=False`) and upload it. Received: filepath={name!r}"
        )
    if zipped is None:
        zipped = True
    _check_ending(name, zipped)
    if os.path.exists(filepath) and not overwrite and not ask_to_proceed_with_overwrite(name):
        return
    if not zipped:
        keras_file.write_folder(model, name)
    elif name.endswith(".keras"):
        keras_file.write_file(model, name)
    else:
        _LOGGER.warning(
            "You are saving your model as an HDF5 file. This file format is considered legacy. "
            "Prefer the native Keras format, `model.save('my_model.keras')`."
        )
        old_file.write_old_file(model, name, include_optimizer)


def _check_ending(name, zipped):
    if not zipped and name.endswith(".keras"):
        raise ValueError(
            "save_model: with `zipped=False`, `filepath` should not end in `.keras`, as it becomes "
            f"a folder. Received: filepath={name!r}"
        )
    if zipped and not name.endswith((".keras", *_OLD)):
        raise ValueError(
            "save_model: Invalid filepath extension for saving. `filepath` must end in `.keras`, "
            "the native Keras format, or in `.h5`; `model.export()` writes models for other "
            f"programs. Received: filepath={name!r}"
        )


@export("saving.load_model", "models.load_model")
def load_model(filepath, custom_objects=None, compile=True, safe_mode=True):
    """The model in a `.keras` file (a path, or an open binary file), such a folder, or an `.h5`
    file, of this package or of Keras.

    It is compiled and goes on training where it stopped, unless `compile=False`. Only public
    classes and those that are registered or in `custom_objects` can be in the file; with
    `safe_mode=False` a Lambda layer of it may bring Python code of its own, which can do anything.
    Raises: ValueError for a file that is missing, of another kind, not safe to load or not whole;
    TypeError for classes that it names and nobody registered.
    Source: Keras 3.15 `keras.saving.load_model`.
    """
    if hasattr(filepath, "read"):
        return keras_file.read_file(filepath, custom_objects, compile, safe_mode)
    name = str(filepath)
    if name.startswith("hf://"):
        raise ValueError(
            "load_model: models are not fetched from the Hugging Face Hub: download the folder "
            f"and load it. Received: filepath={name!r}"
        )
    if os.path.isdir(name) and os.path.exists(os.path.join(name, keras_file.CONFIG_NAME)):
        return keras_file.read_folder(name, custom_objects, compile, safe_mode)
    if name.endswith(".keras"):
        if not os.path.isfile(name) or not zipfile.is_zipfile(name):
            raise ValueError(
                f"load_model: File not found: filepath={name!r}. Please ensure the file is an "
                "accessible `.keras` zip file."
            )
        return keras_file.read_file(name, custom_objects, compile, safe_mode)
    if name.endswith(_OLD):
        return old_file.read_old_file(name, custom_objects, compile, safe_mode)
    raise ValueError(
        "load_model: File format not supported: `filepath` must be a `.keras` file, a folder of "
        "its contents, or a `.h5` file. TensorFlow's SavedModel cannot be loaded. "
        f"Received: filepath={name!r}"
    )
