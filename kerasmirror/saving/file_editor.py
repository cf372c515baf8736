"""KerasFileEditor: look at the weights in a file, change them, write them anew."""

from __future__ import annotations

import io
import json
import os

import numpy as np

from kerasmirror._export import export
from kerasmirror.saving import archive, shards
from kerasmirror.saving.hdf5 import NewVariables, StoredVariables, checked_file, h5py, new_file
from kerasmirror.saving.weights import save_to

_OWNER = "KerasFileEditor"
_RED, _GREEN = "color(160)", "color(28)"


@export("saving.KerasFileEditor")
class KerasFileEditor:
    """The weights of a `.keras` or `.weights.h5` file as nested dicts, `weights_dict`, to edit.

    An object (a layer, say) is addressed by its path ("layers/dense_2"), or by its last name where
    that is the only one. Files of which a model is to be read are written by `save`.
    Raises: ValueError for a file of another kind, or one that is not safe to load.
    Source: Keras 3.15 `keras.saving.KerasFileEditor`.
    """

    def __init__(self, filepath):
        filepath = os.fspath(filepath)
        self.filepath = filepath
        self.metadata = None
        self.config = None
        self.model = None
        if filepath.endswith(".keras"):
            with archive.checked_archive(filepath, _OWNER) as packed:
                read = [
                    archive.read_member(packed, name, _OWNER)
                    for name in (archive.CONFIG_NAME, archive.METADATA_NAME, archive.WEIGHTS_NAME)
                ]
            self.config, self.metadata = json.loads(read[0]), json.loads(read[1])
            source = io.BytesIO(read[2])
        elif filepath.endswith(".weights.h5"):
            source = filepath
        else:
            raise ValueError(
                "KerasFileEditor: Invalid filename: `filepath` must end in `.keras` or "
                f"`.weights.h5`. Received: filepath={filepath!r}"
            )
        self.object_metadata = {}
        with checked_file(source, _OWNER) as file:
            self.weights_dict = self._read(file, "")
        self._print(f"Keras model file [color(45)]'{_plain(filepath)}'[/]")
        if self.metadata is not None:
            version, date = self.metadata.get("keras_version"), self.metadata.get("date_saved")
            self._print(f"Saved with Keras {_plain(version)} - date: {_plain(date)}")

    def _read(self, group, path):
        """{name: arrays or objects}, of all that is not empty; an object's "vars" are its own."""
        found = {}
        for name, item in group.items():
            place = f"{path}/{name}" if path else name
            if not isinstance(item, h5py.Group):
                found[name] = StoredVariables(group)[name]
                continue
            inner = self._read(item, place)
            if "vars" in inner:
                self.object_metadata[place] = dict(item["vars"].attrs)
                inner = {**inner.pop("vars"), **inner}
            if inner:
                found[name] = inner
        return found

    def _print(self, text):
        # Rich takes a tenth of a second to load, and only this class and summary() need it.
        from rich.console import Console

        Console(highlight=False).print(text)

    def summary(self):
        """Print the tree of objects and their weights."""
        self._print("Weights structure")
        self._print_tree(self.weights_dict, "  ", "")

    def _print_tree(self, objects, indent, path):
        for number, (name, value) in enumerate(objects.items()):
            place = f"{path}/{name}" if path else name
            is_last = number == len(objects) - 1
            branch = "└─ " if is_last else "├─ "
            if isinstance(value, dict):
                given = self.object_metadata.get(place, {}).get("name")
                label = f" ('{_plain(given)}')" if given else ""
                self._print(f"{indent}{branch}[bold]{_plain(name)}[/]{label}")
                self._print_tree(value, indent + ("    " if is_last else "│   "), place)
            else:
                value = np.asarray(value)
                self._print(
                    f"{indent}{branch}[bold]{_plain(name)}[/]: "
                    f"shape={value.shape}, dtype={value.dtype}"
                )

    def compare(self, reference_model):
        """Print where the file and a model differ in objects, weights and shapes.

        Returns {"status": "success" or "error", "error_count": n, "match_count": n}.
        """
        self._print("Running comparison")
        differences, matches = [], 0
        reference = _weights_of(reference_model)
        waiting = [("", self.weights_dict, reference)]
        while waiting:
            path, ours, theirs = waiting.pop(0)
            for name in dict.fromkeys([*theirs, *ours]):
                place = f"{path}/{name}"
                one, other = ours.get(name), theirs.get(name)
                if one is None or other is None:
                    differences.append(_absent(place, one, other))
                elif isinstance(one, dict) and isinstance(other, dict):
                    waiting.append((place, one, other))
                elif isinstance(one, dict) or isinstance(other, dict):
                    differences.append(
                        f"{place} is an object on one side and a weight on the other"
                    )
                elif np.shape(one) != np.shape(other):
                    differences.append(
                        f"Weight shape mismatch for {place}: {np.shape(one)} in the saved file, "
                        f"{np.shape(other)} in the reference model"
                    )
                else:
                    matches += 1
        for text in differences:
            self._print(f"[{_RED}]...{_plain(text)}[/]")
        if differences:
            self._print(
                f"[{_RED}][bold]Found {len(differences)} error(s):[/] the saved file is not "
                "compatible with the reference model[/]"
            )
        else:
            self._print(
                f"[{_GREEN}][bold]Comparison successful:[/] the saved file is compatible with the "
                f"reference model[/], in {matches} weight(s)"
            )
        status = "error" if differences else "success"
        return {"status": status, "error_count": len(differences), "match_count": matches}

    # Editing

    def _holder_of(self, name):
        """The dict that has the object, and its key there."""
        path = name.split("/")
        if len(path) > 1:
            holder = self.weights_dict
            for part in path[:-1]:
                holder = holder.get(part)
                if not isinstance(holder, dict):
                    raise ValueError(f"KerasFileEditor: Path '{name}' not found in model.")
            if path[-1] not in holder:
                raise ValueError(f"KerasFileEditor: Path '{name}' not found in model.")
            return holder, path[-1]
        holders, waiting = [], [self.weights_dict]
        while waiting:
            objects = waiting.pop()
            if name in objects:
                holders.append(objects)
            waiting.extend(value for value in objects.values() if isinstance(value, dict))
        if len(holders) > 1:
            raise ValueError(
                f"KerasFileEditor: Name '{name}' occurs more than once in the model; try passing a "
                "complete path"
            )
        if not holders:
            raise ValueError(
                f"KerasFileEditor: Source name '{name}' does not appear in the model. Use "
                "`editor.summary()` to list all objects."
            )
        return holders[0], name

    def rename_object(self, object_name, new_name):
        """Give an object another last name.

        Raises: ValueError for an object that is not there, or a `new_name` that is a path.
        """
        if "/" in new_name:
            raise ValueError(
                "KerasFileEditor.rename_object: `new_name` should be a leaf name, not a full path "
                f"name. Received: new_name={new_name!r}"
            )
        holder, name = self._holder_of(object_name)
        holder[new_name] = holder.pop(name)

    def delete_object(self, object_name):
        """Take an object out."""
        holder, name = self._holder_of(object_name)
        del holder[name]

    def add_object(self, object_path, weights):
        """Put an object with these weights, {"0": array, ...}, at a path; all but its last part
        must be there."""
        _check_weights(weights, "add_object")
        *parents, name = object_path.split("/")
        holder = self.weights_dict
        for part in parents:
            if not isinstance(holder.get(part), dict):
                raise ValueError(f"KerasFileEditor: Path '{'/'.join(parents)}' not found in model.")
            holder = holder[part]
        holder[name] = dict(weights)

    def delete_weight(self, object_name, weight_name):
        """Take one weight of an object out."""
        holder, name = self._holder_of(object_name)
        if weight_name not in holder[name]:
            raise ValueError(
                f"KerasFileEditor: Weight {weight_name} not found in object {object_name}. Weights "
                f"found: {list(holder[name])}"
            )
        del holder[name][weight_name]

    def add_weights(self, object_name, weights):
        """Give an object more weights, or others of the same names: {"0": array, ...}."""
        _check_weights(weights, "add_weights")
        holder, name = self._holder_of(object_name)
        holder[name].update(weights)

    def save(self, filepath):
        """Write what there is now to a `.weights.h5` file."""
        filepath = str(filepath)
        if not filepath.endswith(".weights.h5"):
            raise ValueError(
                "KerasFileEditor.save: `filepath` must have a `.weights.h5` extension. "
                f"Received: filepath={filepath!r}"
            )
        with new_file(filepath) as file:
            self._write(file, self.weights_dict, "")

    def resave_weights(self, filepath):
        """The same as `save`."""
        self.save(filepath)

    def _write(self, file, objects, path):
        own = {name: value for name, value in objects.items() if not isinstance(value, dict)}
        # The weights of the model itself lie beside its objects under "vars".
        store = NewVariables(file, path.removesuffix("vars").rstrip("/"))
        for name, value in own.items():
            store[name] = value
        for name, value in objects.items():
            if isinstance(value, dict):
                self._write(file, value, f"{path}/{name}" if path else name)


def _plain(text):
    from rich.markup import escape

    return escape(str(text))


def _absent(place, one, other):
    where, missing = (
        ("saved file", "reference model")
        if other is None
        else (
            "reference model",
            "saved file",
        )
    )
    value = one if other is None else other
    if isinstance(value, dict):
        return (
            f"Object {place} present in {where}, missing from {missing}; it has the keys "
            f"{list(value)}"
        )
    return f"Weight {place} present in {where}, missing from {missing}"


def _weights_of(model):
    """A model's weights as the editor sees those of a file."""
    collected = shards.Collected()
    save_to(collected, model)
    nested = {}
    for place, group in collected.groups.items():
        if group.arrays:
            holder = nested
            path = place.removesuffix("vars").rstrip("/") or "vars"
            for part in path.split("/"):
                holder = holder.setdefault(part, {})
            holder.update(group.arrays)
    return nested


def _check_weights(weights, owner):
    if not isinstance(weights, dict):
        raise ValueError(
            f"KerasFileEditor.{owner}: `weights` should be a dict of names (usually '0', '1', ...) "
            f"and NumPy arrays. Received: weights of type {type(weights)}"
        )
