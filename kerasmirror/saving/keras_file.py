"""`.keras` files: a zip archive with the model's config, weights and the layers' own files.

`config.json` is `serialize_keras_object(model)`, `model.weights.h5` a file of weights as
`save_weights` writes it, `metadata.json` tells version and date, `assets/` holds what layers write.
A folder with these files is the same, unpacked.
"""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import tempfile
import warnings
import zipfile

from kerasmirror.core import budget, serialization
from kerasmirror.saving.archive import (
    ASSETS_NAME,
    CONFIG_NAME,
    METADATA_NAME,
    WEIGHTS_NAME,
    checked_archive,
    pack,
    read_member,
    unpack,
)
from kerasmirror.saving.assets import load_assets, save_assets
from kerasmirror.saving.atomic import replacing
from kerasmirror.saving.hdf5 import checked_file, declared_bytes, h5py
from kerasmirror.saving.weights import load_from, save_to

# The release of Keras whose format this is; Keras reads it to tell old files from new ones.
KERAS_VERSION = "3.15.1"
_OWNER = "load_model"
# A model's variables may take a few times what its file holds: int8 weights are made as floats
# before they are quantized. Small ones need no justification.
_MEMORY_FACTOR, _MEMORY_LOOSE = 8, 1 << 28
# Above this, weights go through a file on disk instead of memory.
_LARGE = 1 << 30


# Writing


def config_of(model):
    """The model's config as JSON text."""
    with serialization.SharedObjects():
        config = serialization.serialize_keras_object(model)
    return json.dumps(serialization.without_single_ids(config))


def _metadata():
    saved = datetime.datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
    return json.dumps({"keras_version": KERAS_VERSION, "date_saved": saved})


def _warn_unbuilt(model):
    if not model.built:
        warnings.warn(
            "save_model: `model` should be built, as one that is not has no weights to save. Call "
            f"it on data, or `build()`. Received: model={model!r}",
            stacklevel=4,
        )


def write_file(model, filepath):
    """Write a `.keras` file; an existing one stays whole until the new one is."""
    _warn_unbuilt(model)
    with replacing(filepath) as temporary, open(temporary, "wb") as file:
        write_archive(model, file, os.path.dirname(temporary))


def write_archive(model, file, folder=None):
    """Write the archive to a binary file; what needs a place on disk has it in `folder`."""
    config = config_of(model)
    with (
        zipfile.ZipFile(file, "w") as archive,
        tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as work,
    ):
        archive.writestr(METADATA_NAME, _metadata())
        archive.writestr(CONFIG_NAME, config)
        weights, assets = os.path.join(work, WEIGHTS_NAME), os.path.join(work, ASSETS_NAME)
        with h5py.File(weights, "w") as stored:
            save_to(stored, model)
        archive.write(weights, WEIGHTS_NAME)
        save_assets(model, assets)
        pack(archive, assets, ASSETS_NAME)


def write_folder(model, path):
    """Write the unpacked form: a folder with the same files."""
    _warn_unbuilt(model)
    config = config_of(model)
    os.makedirs(path, exist_ok=True)
    for name, text in ((METADATA_NAME, _metadata()), (CONFIG_NAME, config)):
        with replacing(os.path.join(path, name)) as temporary:
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
    with replacing(os.path.join(path, WEIGHTS_NAME)) as temporary:
        with h5py.File(temporary, "w") as stored:
            save_to(stored, model)
    save_assets(model, os.path.join(path, ASSETS_NAME))


# Reading


def read_file(file, custom_objects=None, compile=True, safe_mode=True):
    """The model in the `.keras` file at a path, or in a binary file."""
    with checked_archive(file, _OWNER) as archive, contextlib.ExitStack() as stack:
        names = archive.namelist()
        config = read_member(archive, CONFIG_NAME, _OWNER)
        weights = stack.enter_context(_weights_in(archive, stack))
        model = _model(config, weights, custom_objects, compile, safe_mode)
        load_from(weights, model, _shown(file))
        members = [name for name in names if name.startswith(f"{ASSETS_NAME}/")]
        if members:
            work = stack.enter_context(tempfile.TemporaryDirectory())
            unpack(archive, members, work, _OWNER)
            load_assets(model, os.path.join(work, ASSETS_NAME))
    return model


def _weights_in(archive, stack):
    if WEIGHTS_NAME in archive.namelist() and archive.getinfo(WEIGHTS_NAME).file_size > _LARGE:
        work = stack.enter_context(tempfile.TemporaryDirectory())
        archive.extract(WEIGHTS_NAME, work)
        return checked_file(os.path.join(work, WEIGHTS_NAME), _OWNER)
    return checked_file(io.BytesIO(read_member(archive, WEIGHTS_NAME, _OWNER)), _OWNER)


def read_folder(path, custom_objects=None, compile=True, safe_mode=True):
    """The model in a folder with the files of an unpacked `.keras` file."""
    with open(os.path.join(path, CONFIG_NAME), "rb") as file:
        config = file.read()
    with checked_file(os.path.join(path, WEIGHTS_NAME), _OWNER) as weights:
        model = _model(config, weights, custom_objects, compile, safe_mode)
        load_from(weights, model, str(path))
    assets = os.path.join(path, ASSETS_NAME)
    if os.path.isdir(assets):
        load_assets(model, assets)
    return model


def _shown(file):
    return str(file) if isinstance(file, (str, os.PathLike)) else repr(file)


def _model(text, weights, custom_objects, compile, safe_mode):
    """The model that a config describes, with weights of the sizes that the file has."""
    config = parsed(text, _OWNER)
    if not compile:
        config["compile_config"] = None
    with budget.limited_to(allowed_bytes(weights)):
        return from_config(config, custom_objects, safe_mode)


def allowed_bytes(weights):
    """How much memory the variables may take of a model with the weights of a file."""
    return _MEMORY_FACTOR * declared_bytes(weights) + _MEMORY_LOOSE


def parsed(text, owner):
    """The dict that a JSON text holds.

    Raises: ValueError for other texts.
    """
    try:
        config = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{owner}: the config must be JSON text: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{owner}: the config must be a dict. Received: a {type(config).__name__}")
    return config


def from_config(config, custom_objects=None, safe_mode=True):
    """The model that `config` describes.

    Raises: ValueError for the config of anything else.
    """
    try:
        with serialization.SharedObjects():
            model = serialization.deserialize_keras_object(config, custom_objects, safe_mode)
    except RecursionError as error:
        raise ValueError(f"{_OWNER}: the config must not be nested so deeply: {error}") from error
    if not hasattr(model, "load_weights"):
        raise ValueError(
            f"{_OWNER}: the config must describe a model. "
            f"Received: class_name={config.get('class_name')!r}"
        )
    return model
