"""Weights as `.h5` files keep them: a group for each layer, its arrays in the layer's order.

That is the format of Keras 2, which Keras 3 still reads and writes; layers are told apart by their
place in `model.layers`, or by name.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from kerasmirror.saving.hdf5 import StoredVariables, h5py

# HDF5 keeps an attribute in an object's header, of 64 KB; longer lists are cut.
_HEADER_LIMIT = 64512
_TOP = "top_level_model_weights"


def old_order(layer):
    """The layer's variables in the order of these files: trained ones first."""
    return layer.trainable_weights + layer.non_trainable_weights


def own_weights(model):
    """Variables that belong to the model itself and to no layer of it."""
    known = {id(variable) for variable in model.weights}
    own = model._trainable_variables + model._non_trainable_variables
    return [variable for variable in own if id(variable) in known]


# Writing


def save_old_weights(group, model, version):
    """Put the weights of the model's layers into the group of an HDF5 file."""
    write_names(group, "layer_names", [layer.name for layer in model.layers])
    group.attrs["backend"] = b"tensorflow"
    group.attrs["keras_version"] = version.encode("utf-8")
    for layer in sorted(model.layers, key=lambda layer: layer.name):
        write_variables(group.create_group(layer.name), old_order(layer))
    write_variables(group.create_group(_TOP), own_weights(model))


def write_variables(group, variables):
    """Put variables into a group, with their names in order as an attribute."""
    names = []
    for variable in variables:
        name, number = variable.path, 0
        while name in names:
            number += 1
            name = f"{variable.path}_{number}"
        names.append(name)
    write_names(group, "weight_names", names)
    for name, variable in zip(names, variables, strict=True):
        dataset = group.create_dataset(name, data=variable.numpy())
        if variable.dtype == "bfloat16":
            dataset.attrs["dtype"] = "bfloat16"


def write_names(group, key, names):
    """Keep a list of names as an attribute, in pieces where it is too long for one."""
    array = np.asarray([name.encode("utf-8") for name in names])
    pieces = max(1, math.ceil(array.nbytes / _HEADER_LIMIT))
    if pieces == 1:
        group.attrs[key] = array
        return
    for number, piece in enumerate(np.array_split(array, pieces)):
        group.attrs[f"{key}{number}"] = piece


# Reading


def read_names(group, key):
    """The list that `write_names` kept; empty where there is none."""
    if key in group.attrs:
        return [_text(name) for name in group.attrs[key]]
    names, number = [], 0
    while f"{key}{number}" in group.attrs:
        names += [_text(name) for name in group.attrs[f"{key}{number}"]]
        number += 1
    return names


def _text(value):
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def group_at(file, path, owner):
    """The group `path` of a file or group.

    Raises: ValueError when there is none.
    """
    found = file.get(path)
    if not isinstance(found, h5py.Group):
        raise ValueError(f"{owner}: the file must have a group {path!r}. Received: {list(file)}")
    return found


def load_old_weights(file, model, by_name=False, skip_mismatch=False):
    """Give the model's layers the weights of a checked `.h5` file, once all of them fit.

    With `skip_mismatch`, variables that do not fit keep their values, and a warning names them.
    Raises: ValueError when numbers or shapes differ.
    """
    if "layer_names" not in file.attrs and "model_weights" in file:
        file = group_at(file, "model_weights", "load_weights")
    found = _by_name(file, model) if by_name else _by_order(file, model)
    planned = []
    for who, group, variables in found:
        planned += _planned(who, group, variables, skip_mismatch)
    for variable, value in planned:
        variable.assign(value)
    for layer in model._flatten_layers():
        if hasattr(layer, "finalize_state") and layer.weights:
            layer.finalize_state()


def _by_order(file, model):
    layers = [layer for layer in model.layers if old_order(layer)]
    names = read_names(file, "layer_names")
    groups = [(name, group_at(file, name, "load_weights")) for name in names]
    groups = [(name, group) for name, group in groups if read_names(group, "weight_names")]
    if len(groups) != len(layers):
        raise ValueError(
            "load_weights: Layer count mismatch when loading weights from file. Model expected "
            f"{len(layers)} layers, found {len(groups)} saved layers, {[n for n, _ in groups]}"
        )
    for number, ((name, group), layer) in enumerate(zip(groups, layers, strict=True)):
        who = f"layer #{number} (named {layer.name} in the model, {name} in the file)"
        yield who, group, old_order(layer)
    yield from _top_level(file, model)


def _by_name(file, model):
    for number, name in enumerate(read_names(file, "layer_names")):
        for layer in model.layers:
            if layer.name == name:
                group = group_at(file, name, "load_weights")
                yield f"layer #{number} (named {name})", group, old_order(layer)
    yield from _top_level(file, model)


def _top_level(file, model):
    if _TOP in file:
        yield "the model itself", group_at(file, _TOP, "load_weights"), own_weights(model)


def _planned(who, group, variables, skip_mismatch):
    """(variable, value) for one layer."""
    names = read_names(group, "weight_names")
    if len(names) != len(variables):
        message = (
            f"load_weights: Weight count mismatch for {who}. Layer expects {len(variables)} "
            f"weight(s). Received {len(names)} saved weight(s)"
        )
        if not skip_mismatch:
            raise ValueError(message)
        warnings.warn(message, stacklevel=6)
        return []
    store, planned = StoredVariables(group), []
    for name, variable in zip(names, variables, strict=True):
        try:
            planned.append((variable, store.read_for(name, variable)))
        except (KeyError, ValueError) as error:
            message = f"load_weights: Shape mismatch in {who}: {error}"
            if not skip_mismatch:
                raise ValueError(message) from error
            warnings.warn(message, stacklevel=6)
    return planned
