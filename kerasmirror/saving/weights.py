"""`.weights.h5` files, in the layout of Keras 3: written and read both ways.

Every layer's and optimizer's variables lie in a group "PATH/vars" as "0", "1", ...; PATH is the
object's place in the model (saving/walk.py).
"""

from __future__ import annotations

import io
import os
import warnings

from kerasmirror._export import export, lookup
from kerasmirror.core.console import ask_to_proceed_with_overwrite
from kerasmirror.core.device import copied
from kerasmirror.saving import shards
from kerasmirror.saving.archive import WEIGHTS_NAME, checked_archive, read_member
from kerasmirror.saving.hdf5 import NewVariables, StoredVariables, checked_file, new_file
from kerasmirror.saving.old_weights import load_old_weights
from kerasmirror.saving.walk import children, is_container, items, kind_of


@export("saving.save_weights")
def save_weights(model, filepath, overwrite=True, max_shard_size=None, **kwargs):
    """Write all weights and the optimizer's state to a `.weights.h5` file.

    With `overwrite=False`, asks before it replaces a file. With `max_shard_size`, in GB, writes a
    `.weights.json` that names the `.weights.h5` files beside it, none larger than that.
    `objects_to_skip`, a list of layers or optimizers, leaves those out.
    Raises: ValueError for another ending, a model without weights yet or a weight larger than
    `max_shard_size`.
    Source: Keras 3.15 `keras.saving.save_weights`.
    """
    skipped = _objects_to_skip(kwargs, "save_weights")
    if max_shard_size is None:
        save_model_weights(model, filepath, overwrite, skipped)
        return
    path = shards.checked_path(filepath, "save_weights")
    _check_built(model, "save_weights")
    if overwrite or not os.path.exists(path) or ask_to_proceed_with_overwrite(str(path)):
        collected = shards.Collected()
        save_to(collected, model, skipped)
        shards.write(collected, path, max_shard_size)


@export("saving.load_weights")
def load_weights(model, filepath, skip_mismatch=False, **kwargs):
    """Read weights from a `.weights.h5`, `.weights.json`, `.keras` or, as of Keras 2, `.h5` file.

    The optimizer's state comes with them, but from `.h5`. With `skip_mismatch`, layers whose
    weights do not fit keep theirs, and a warning names them. `objects_to_skip`, a list of layers or
    optimizers, leaves those as they are. `by_name=True` gives a layer of an `.h5` file's the
    weights of the layer of its name; otherwise they go by order.
    Raises: ValueError for a file that does not fit or is not safe to load, OSError for a damaged
    one; the model is unchanged then.
    Source: Keras 3.15 `keras.saving.load_weights`.
    """
    by_name = kwargs.pop("by_name", None)
    skipped = _objects_to_skip(kwargs, "load_weights")
    name = str(filepath)
    kind = next((end for end in _READERS if name.endswith(end)), None)
    if by_name is not None and kind not in (".h5", ".hdf5"):
        raise ValueError(
            "load_weights: `by_name` only supports loading legacy '.h5' or '.hdf5' files; others "
            f"address layers by their place in the model. Received: filepath={name!r}"
        )
    if skipped is not None and kind not in (".weights.h5", ".weights.json"):
        raise ValueError(
            "load_weights: `objects_to_skip` only supports loading '.weights.h5' files. "
            f"Received: filepath={name!r}"
        )
    if kind is None:
        raise ValueError(
            "load_weights: File format not supported: `filepath` must end in "
            f"{', '.join(repr(end) for end in _READERS)}. Received: filepath={name!r}"
        )
    if kind == ".weights.h5":
        load_model_weights(model, filepath, skip_mismatch, skipped)
        return
    _check_built(model, "load_weights")
    if kind == ".weights.json":
        with shards.opened(filepath, "load_weights") as file:
            load_from(file, model, name, skip_mismatch, skipped)
    elif kind == ".keras":
        with checked_archive(filepath, "load_weights") as archive:
            content = read_member(archive, WEIGHTS_NAME, "load_weights")
        with checked_file(io.BytesIO(content), "load_weights") as file:
            load_from(file, model, name, skip_mismatch, skipped)
    else:
        with checked_file(filepath, "load_weights") as file:
            load_old_weights(file, model, bool(by_name), skip_mismatch)


# What a file of weights may end in; the longest first.
_READERS = (".weights.h5", ".weights.json", ".keras", ".h5", ".hdf5")


def _objects_to_skip(kwargs, owner):
    skipped = kwargs.pop("objects_to_skip", None)
    if kwargs:
        raise ValueError(f"{owner}: Invalid keyword arguments: {sorted(kwargs)}")
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
        save_to(file, model, objects_to_skip)
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
        doing = "loading weights into" if owner == "load_weights" else "saving"
        raise ValueError(
            f"{owner}: You are {doing} a model that has not yet been built. Call it on data, or "
            f"`build()`, first. Received: model={model!r}"
        )


# Writing


def save_to(file, model, objects_to_skip=None):
    """Put the variables of `model` and of all its parts into an HDF5 file."""
    for saveable, path in parts_of(model, objects_to_skip):
        if hasattr(saveable, "save_own_variables"):
            name = getattr(saveable, "name", None)
            store = NewVariables(file, path, name if isinstance(name, str) and name else None)
            saveable.save_own_variables(store)


def parts_of(model, objects_to_skip=None):
    """(saveable, its place) for the model and all its parts, each once."""
    yield from _parts(model, "", {id(value) for value in objects_to_skip or ()})


def _parts(saveable, path, visited):
    if id(saveable) in visited:
        return
    visited.add(id(saveable))
    yield saveable, path
    for child_path, child in children(saveable, path):
        yield from _parts_of_any(child, child_path, visited, [])


def _parts_of_any(value, path, visited, containers):
    if not is_container(value):
        yield from _parts(value, path, visited)
    elif all(value is not seen for seen in containers):
        containers.append(value)
        for item_path, item in items(value, path):
            yield from _parts_of_any(item, item_path, visited, containers)


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
        f"load_weights: the weights in `filepath` must match the model; those of {len(names)} "
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
        values = [(variable, copied(variable.data)) for variable in variables_of(saveable)]
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


def variables_of(saveable):
    """The variables that a part of a model has itself."""
    if kind_of(saveable) == "Layer":
        return saveable._trainable_variables + saveable._non_trainable_variables
    return list(getattr(saveable, "variables", ()))


def _restore(values):
    for variable, value in values:
        variable.assign(value)
