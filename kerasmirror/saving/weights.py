"""`.weights.h5` files, in the layout of Keras 3: written and read both ways.

Every layer's and optimizer's variables lie in a group "PATH/vars" as "0", "1", ...; PATH is the
object's place in the model (saving/walk.py).
"""

from __future__ import annotations

import os
import warnings

import numpy as np

from kerasmirror._export import export, lookup
from kerasmirror.core.console import ask_to_proceed_with_overwrite
from kerasmirror.saving.hdf5 import NewVariables, StoredVariables, checked_file, new_file
from kerasmirror.saving.walk import children, is_container, items, kind_of


@export("saving.save_weights")
def save_weights(model, filepath, overwrite=True, max_shard_size=None, **kwargs):
    """Write all weights and the optimizer's state to a `.weights.h5` file.

    With `overwrite=False`, asks before it replaces a file. `objects_to_skip`, a list of layers or
    optimizers, leaves those out.
    Raises: ValueError for another ending or a model without weights yet, NotImplementedError for
    files in several parts (`max_shard_size`).
    Source: Keras 3.15 `keras.saving.save_weights`.
    """
    if max_shard_size is not None:
        raise NotImplementedError(
            "save_weights: files in several parts are not supported; leave `max_shard_size` None. "
            f"Received: max_shard_size={max_shard_size!r}"
        )
    skipped = _objects_to_skip(kwargs, "save_weights")
    save_model_weights(model, filepath, overwrite, skipped)


@export("saving.load_weights")
def load_weights(model, filepath, skip_mismatch=False, **kwargs):
    """Read the weights, and the optimizer's state, of a `.weights.h5` file.

    With `skip_mismatch`, layers whose weights do not fit keep theirs, and a warning names them.
    `objects_to_skip`, a list of layers or optimizers, leaves those as they are.
    Raises: ValueError for a file that does not fit or is not safe to load, OSError for a damaged
    one; the model is unchanged then.
    Source: Keras 3.15 `keras.saving.load_weights`.
    """
    if kwargs.pop("by_name", None) is not None:
        raise ValueError(
            "load_weights: `by_name` must be None, as `.weights.h5` files address layers by their "
            "place in the model. Received: by_name=True"
        )
    skipped = _objects_to_skip(kwargs, "load_weights")
    load_model_weights(model, filepath, skip_mismatch, skipped)


def _objects_to_skip(kwargs, owner):
    skipped = kwargs.pop("objects_to_skip", None)
    if kwargs:
        raise ValueError(f"{owner}: unknown arguments {sorted(kwargs)}")
    return skipped


def save_model_weights(model, filepath, overwrite=True, objects_to_skip=None, add=None):
    """What `save_weights` does, for a model's method of that name.

    `add(file)` may put more into the HDF5 file; who reads weights only does not see it.
    """
    _check_path(filepath, "save_weights")
    _check_built(model, "save_weights")
    if os.path.exists(filepath) and not overwrite:
        if not ask_to_proceed_with_overwrite(str(filepath)):
            return
    with new_file(filepath) as file:
        _save(model, "", file, {id(value) for value in objects_to_skip or ()})
        if add is not None:
            add(file)


def load_model_weights(model, filepath, skip_mismatch=False, objects_to_skip=None, read=None):
    """What `load_weights` does, for a model's method of that name.

    `read(file)` may look at what `add` put into the file, before the first weight is set.
    """
    _check_path(filepath, "load_weights")
    _check_built(model, "load_weights")
    with checked_file(filepath, "load_weights") as file:
        if read is not None:
            read(file)
        load_from(file, model, str(filepath), skip_mismatch, objects_to_skip)


def _check_path(filepath, owner):
    if not str(filepath).endswith(".weights.h5"):
        raise ValueError(
            f'{owner}: `filepath` must end in ".weights.h5". Received: filepath={str(filepath)!r}'
        )


def _check_built(model, owner):
    if not model.built:
        raise ValueError(
            f"{owner}: `model` must be built: call it on data or call `build()` first. "
            f"Received: model={model!r}"
        )


# Writing


def _save(saveable, path, file, visited):
    if id(saveable) in visited:
        return
    visited.add(id(saveable))
    if hasattr(saveable, "save_own_variables"):
        name = getattr(saveable, "name", None)
        store = NewVariables(file, path, name if isinstance(name, str) and name else None)
        saveable.save_own_variables(store)
    for child_path, child in children(saveable, path):
        _save_any(child, child_path, file, visited, [])


def _save_any(value, path, file, visited, containers):
    if not is_container(value):
        _save(value, path, file, visited)
    elif all(value is not seen for seen in containers):
        containers.append(value)
        for item_path, item in items(value, path):
            _save_any(item, item_path, file, visited, containers)


# Reading


def load_from(file, model, filename, skip_mismatch=False, objects_to_skip=None):
    """Give `model` the weights of a checked file: first all checks and reads, then all writes."""
    plan = _Plan(file, objects_to_skip)
    plan.add(model, "")
    for path in plan.missing_containers:
        warnings.warn(
            f"load_weights: the file has nothing at {path!r}; the layers there keep their weights. "
            "Versions of Keras before 3.15 did not save layers in nested lists. "
            f"Received: filepath={filename!r}",
            stacklevel=5,
        )
    if plan.failures and not skip_mismatch:
        raise ValueError(_explain(plan.failures, filename))
    failures = _apply(plan.found, model, skip_mismatch)
    failures = {**plan.failures, **failures}
    if failures and not skip_mismatch:
        raise ValueError(_explain(failures, filename))
    if failures:
        warnings.warn(_explain(failures, filename), stacklevel=5)


def _explain(failures, filename):
    first, error = next(iter(failures.values()))
    names = [getattr(saveable, "name", repr(saveable)) for saveable, _ in failures.values()]
    return (
        f"load_weights: `filepath` must hold weights that fit the model; those of {len(names)} "
        f"objects do not: {names}. The first, {first!r}: {_text(error)}. "
        f"Received: filepath={filename!r}"
    )


def _text(error):
    if isinstance(error, KeyError):
        return f"the file has no array {error.args[0]!r} for it"
    return str(error).rstrip(".")


class _Plan:
    """Which object takes which arrays; those of layers and optimizers are read and compared."""

    def __init__(self, file, objects_to_skip=None):
        self.file = file
        self.visited = {id(value) for value in objects_to_skip or ()}
        self.open = set()
        self.found = {}
        self.failures = {}
        self.missing_containers = []

    def add(self, saveable, path):
        """Plan for `saveable` and its parts.

        What fails is tried again at the next place where it is found, as in Keras: files of
        earlier versions have some layers at other places.
        """
        if id(saveable) in self.visited or id(saveable) in self.open:
            return
        self.open.add(id(saveable))
        failed_before = set(self.failures)
        if hasattr(saveable, "load_own_variables"):
            store = StoredVariables(self._group_of(path))
            try:
                check = _own_check(saveable)
                if check is not None:
                    check(saveable, store)
            except (ValueError, KeyError, OSError) as error:
                self.failures.setdefault(id(saveable), (saveable, error))
            else:
                self.failures.pop(id(saveable), None)
                self.found[id(saveable)] = saveable, store
        for child_path, child in children(saveable, path):
            self._add_any(child, child_path, [])
        self.open.discard(id(saveable))
        if not set(self.failures) - failed_before and id(saveable) not in self.failures:
            self.visited.add(id(saveable))

    def _add_any(self, value, path, containers):
        if not is_container(value):
            self.add(value, path)
            return
        if any(value is seen for seen in containers):
            return
        containers.append(value)
        for item_path, item in items(value, path):
            if is_container(item) and item_path not in self.file:
                self._add_missing(item, item_path, containers)
            else:
                self._add_any(item, item_path, containers)

    def _add_missing(self, container, path, containers):
        """A nested list that the file does not know: fine where its layers need nothing."""
        before, self.failures = self.failures, {}
        self._add_any(container, path, containers)
        if set(self.failures) - set(before):
            self.missing_containers.append(path)
        self.failures = before

    def _group_of(self, path):
        """The group of an object's variables, or None."""
        place = f"{path}/vars" if path else "vars"
        found = self._group_at(place)
        if found is None and "_layer_checkpoint_dependencies" in self.file:  # TensorFlow 2.13
            found = self._group_at(place.replace("layers", "_layer_checkpoint_dependencies"))
        return found

    def _group_at(self, place):
        found = self.file.get(place)
        return found if found is not None and hasattr(found, "keys") else None


def _own_check(saveable):
    """The check that goes with a class's inherited `load_own_variables`, None for its own one."""
    for kind, check in (("Layer", _check_layer), ("optimizers.Optimizer", _check_optimizer)):
        base = lookup(kind)
        if base is not None and type(saveable).load_own_variables is base.load_own_variables:
            return check
    return None


def _check_layer(layer, store):
    variables = layer._saved_variables()
    if len(store) != len(variables):
        hint = (
            "" if layer.built else " The layer is not built: its parent's `build()` should do so."
        )
        raise ValueError(
            f"Layer '{layer.name}' must get {len(variables)} variables, "
            f"{[variable.name for variable in variables]}. Received: {len(store)}.{hint}"
        )
    _read_all(store, variables)


def _check_optimizer(optimizer, store):
    # Another number of variables is no failure: the optimizer warns, and starts afresh.
    if len(store) == len(optimizer.variables):
        _read_all(store, optimizer.variables)


def _read_all(store, variables):
    for i, variable in enumerate(variables):
        store.read_for(str(i), variable)


def _apply(found, model, skip_mismatch):
    """Let every object take its arrays; after a failure everything is as it was."""
    failures = {}
    before = []
    for saveable, store in found.values():
        values = [(variable, np.array(variable.data)) for variable in _variables_of(saveable)]
        try:
            saveable.load_own_variables(store)
        except Exception as error:  # noqa: BLE001 - a user's method may raise whatever it likes
            failures[id(saveable)] = saveable, error
            _restore(values)
            if not skip_mismatch:
                _restore(before)
                return failures
        except BaseException:
            _restore(values + before)
            raise
        before.extend(values)
    return failures


def _variables_of(saveable):
    if kind_of(saveable) == "Layer":
        return saveable._trainable_variables + saveable._non_trainable_variables
    return list(getattr(saveable, "variables", ()))


def _restore(values):
    for variable, value in values:
        variable.assign(value)
