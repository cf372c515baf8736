"""Weights in several files: `NAME.weights.json` tells which `NAME_00000.weights.h5` holds what.

The JSON file has {"metadata": {"total_size": bytes}, "weight_map": {"/PATH/vars": file or files}},
as Keras writes it.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import warnings

from kerasmirror.saving.atomic import replacing
from kerasmirror.saving.hdf5 import NewVariables, checked_file, h5py

_GIGABYTE = 1024**3


def checked_path(filepath, owner):
    """The path of the JSON file that `filepath` stands for.

    Raises: ValueError for another ending.
    """
    if not str(filepath).endswith(("weights.h5", "weights.json")):
        raise ValueError(
            f'{owner}: `filepath` must end in ".weights.json" when `max_shard_size` is given. '
            f"Received: filepath={str(filepath)!r}"
        )
    path = pathlib.Path(filepath)
    if path.suffix != ".json":
        warnings.warn(
            f'{owner}: weights in several files are named by a ".json" file; '
            f"{path.with_suffix('.json').name!r} is written. Received: filepath={str(filepath)!r}",
            stacklevel=3,
        )
        path = path.with_suffix(".json")
    return path


class Collected:
    """Stands for an HDF5 file while weights are saved: keeps the groups and what is in them."""

    def __init__(self):
        self.groups = {}

    def create_group(self, path):
        return self.groups.setdefault(path, _CollectedGroup())


class _CollectedGroup:
    def __init__(self):
        self.attrs = {}
        self.arrays = {}

    def create_dataset(self, key, data):
        self.arrays[key] = data
        return _CollectedGroup()  # for the attributes of one array, which follow from its dtype

    def __iter__(self):
        return iter(self.arrays)

    def __len__(self):
        return len(self.arrays)

    def __contains__(self, key):
        return key in self.arrays

    def __getitem__(self, key):
        return self.arrays[key]

    def __delitem__(self, key):
        del self.arrays[key]


def write(collected, path, max_shard_size):
    """Write the collected groups to files of at most `max_shard_size` GB, and the JSON file last.

    Raises: ValueError for an array that is larger by itself; nothing is written then.
    """
    limit = float(max_shard_size) * _GIGABYTE
    files, weight_map, total = _distribute(collected, path, limit)
    with contextlib.ExitStack() as stack:
        for name, entries in files.items():
            temporary = stack.enter_context(replacing(path.with_name(name)))
            with h5py.File(temporary, "w") as file:
                for place, attributes, arrays in entries:
                    store = NewVariables(file, place.removesuffix("vars").rstrip("/"))
                    group = store._group()
                    group.attrs.update(attributes)
                    for key, array in arrays.items():
                        store[key] = array
        temporary = stack.enter_context(replacing(path))
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(index, file, indent=4)


def _distribute(collected, path, limit):
    base = path.stem.replace(".weights", "")
    files, weight_map, total, used = {}, {}, 0, 0

    def new_file():
        files[f"{base}_{len(files):05}.weights.h5"] = []

    new_file()
    for place, group in collected.groups.items():
        entry = None
        for key, array in group.arrays.items():
            if array.nbytes > limit:
                raise ValueError(
                    f"save_weights: The size of {key} of {place!r} is {array.nbytes} bytes, which "
                    f"exceeds the maximum shard size; `max_shard_size` must be larger. "
                    f"Received: max_shard_size={limit / _GIGABYTE}"
                )
            total += array.nbytes
            used += array.nbytes
            if used > limit:
                new_file()
                used, entry = array.nbytes, None
            name = next(reversed(files))
            if entry is None:
                entry = place, group.attrs, {}
                files[name].append(entry)
                weight_map.setdefault(f"/{place}", []).append(name)
            entry[2][key] = array
        if not group.arrays:
            files[next(reversed(files))].append((place, group.attrs, {}))
    single = {place: names[0] if len(names) == 1 else names for place, names in weight_map.items()}
    return files, single, total


@contextlib.contextmanager
def opened(filepath, owner):
    """What the files together hold, each of them checked, as one file.

    Raises: FileNotFoundError for a file that is missing; ValueError for a JSON file that names
    files elsewhere, or is none.
    """
    path = pathlib.Path(filepath)
    if not path.exists():
        raise FileNotFoundError(
            f"{owner}: `filepath` must be an existing file. Received: filepath={str(filepath)!r}"
        )
    names = _shard_names(path, owner)
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(checked_file(path.with_name(name), owner)) for name in names]
        yield _Joined(files)


def _shard_names(path, owner):
    try:
        weight_map = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        found = [name if isinstance(name, list) else [name] for name in weight_map.values()]
        names = dict.fromkeys(name for part in found for name in part)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{owner}: `filepath` must be a JSON file with a `weight_map` of names of files. "
            f"Received: filepath={str(path)!r} ({error!r})"
        ) from error
    for name in names:
        plain = isinstance(name, str) and name == os.path.basename(name) and "\\" not in name
        if not plain or not name.endswith(".weights.h5"):
            raise ValueError(
                f"{owner}: the weights must lie in `.weights.h5` files beside {path.name!r}. "
                f"Received: {name!r}"
            )
    return list(names)


class _Joined:
    """Files seen as one: a group has what the groups of its name have together."""

    def __init__(self, files):
        self.files = files

    def get(self, path):
        groups = [found for file in self.files if (found := file.get(path)) is not None]
        if not groups:
            return None
        return groups[0] if len(groups) == 1 else _JoinedGroup(groups)

    def __contains__(self, path):
        return any(path in file for file in self.files)


class _JoinedGroup:
    def __init__(self, groups):
        self.groups = groups

    def keys(self):
        return [key for group in self.groups for key in group]

    def __iter__(self):
        return iter(self.keys())

    def __len__(self):
        return len(self.keys())

    def __contains__(self, key):
        return any(key in group for group in self.groups)

    def __getitem__(self, key):
        return next(group for group in self.groups if key in group)[key]
