"""HDF5 files of weights: written atomically, and read only after they have been looked through.

A file from a stranger may point to other files, declare arrays far larger than what it stores, or
ask for filters that the library would load as plugins. All of that is refused before any array is
read.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os

import ml_dtypes
import numpy as np

from kerasmirror.core.device import host
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable
from kerasmirror.saving.atomic import replacing


class _LoadedLater:
    """h5py, once it is used: `import kerasmirror` must not pay for it."""

    def __getattr__(self, name):
        return getattr(importlib.import_module("h5py"), name)


h5py = _LoadedLater()

_MAX_DEPTH = 128
# Those inside the HDF5 library and h5py: deflate, shuffle, fletcher32, szip, nbit, scale-offset,
# lzf. Any other is looked for among the machine's plugins.
_BUILT_IN_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
# Deflate shrinks by less than 1032; what claims more stores nothing but a fill value.
_MAX_EXPANSION = 1032
_SMALL = 1 << 16
_LARGEST_LOOSE_CHUNK = 1 << 20


@contextlib.contextmanager
def new_file(filepath):
    """An empty HDF5 file to write to, which becomes `filepath` once it is complete."""
    with replacing(filepath) as temporary, h5py.File(temporary, "w") as file:
        yield file


@contextlib.contextmanager
def checked_file(filepath, owner):
    """The HDF5 file at `filepath`, a path or a binary file; every group and dataset is checked.

    Raises: FileNotFoundError; OSError for what is no whole HDF5 file; ValueError for one that
    reaches outside itself or promises more than it holds.
    """
    if not hasattr(filepath, "read") and not os.path.exists(filepath):
        raise FileNotFoundError(
            f"{owner}: `filepath` must be an existing file. Received: filepath={str(filepath)!r}"
        )
    try:
        file = h5py.File(filepath, "r")
    except (OSError, RuntimeError, ValueError) as error:
        raise OSError(
            f"{owner}: `filepath` must be a whole HDF5 file. "
            f"Received: filepath={str(filepath)!r} ({error})"
        ) from error
    with file:
        try:
            _check_group(file, "", {_address(file)}, _MAX_DEPTH)
        except Refused as error:
            raise ValueError(
                f"{owner}: `filepath` must be a file that can be loaded safely. "
                f"Received: filepath={str(filepath)!r}, {error}"
            ) from None
        except (OSError, RuntimeError, KeyError, TypeError, UnicodeError) as error:
            raise OSError(
                f"{owner}: `filepath` must be a whole HDF5 file. "
                f"Received: filepath={str(filepath)!r} ({error})"
            ) from error
        yield file


class Refused(Exception):
    """Why a file is not read."""


def _address(item):
    return h5py.h5o.get_info(item.id).addr


def _check_group(group, path, seen, depth):
    if not depth:
        raise Refused(f"whose groups are nested more than {_MAX_DEPTH} deep")
    for name in group:
        place = f"{path}/{name}"
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise Refused(f"which has a {type(link).__name__} at {place!r}")
        item = group[name]
        if _address(item) in seen:
            raise Refused(f"which has a second link to one object at {place!r}")
        seen.add(_address(item))
        if isinstance(item, h5py.Group):
            _check_group(item, place, seen, depth - 1)
        elif isinstance(item, h5py.Dataset):
            _check_dataset(item, place)
        else:
            raise Refused(f"which has a {type(item).__name__} at {place!r}")


def _check_dataset(dataset, place):
    properties = dataset.id.get_create_plist()
    if properties.get_external_count():
        raise Refused(f"whose dataset {place!r} is stored in another file")
    if dataset.is_virtual:
        raise Refused(f"whose dataset {place!r} is a view of others (virtual)")
    if dataset.shape is None:
        raise Refused(f"whose dataset {place!r} is empty")
    filters = {properties.get_filter(i)[0] for i in range(properties.get_nfilters())}
    if filters - _BUILT_IN_FILTERS:
        raise Refused(f"whose dataset {place!r} needs filters {sorted(filters)}")
    if dataset.dtype.kind not in "biufV" or dataset.dtype.hasobject:
        return  # text and such may lie beside the weights; it is never read as one
    declared = math.prod(dataset.shape) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if declared > _SMALL and declared > _MAX_EXPANSION * stored:
        raise Refused(f"whose dataset {place!r} declares {declared} bytes and stores {stored}")
    # A chunk is unpacked as a whole, however little of it the dataset takes.
    chunk = math.prod(dataset.chunks or ()) * dataset.dtype.itemsize
    if chunk > max(declared, _LARGEST_LOOSE_CHUNK):
        raise Refused(f"whose dataset {place!r} of {declared} bytes has chunks of {chunk}")


def declared_bytes(group):
    """The memory that all arrays below `group` take together."""
    total = 0
    for item in group.values():
        if isinstance(item, h5py.Group):
            total += declared_bytes(item)
        else:
            total += math.prod(item.shape) * item.dtype.itemsize
    return total


class StoredVariables:
    """One object's arrays in a checked file, as the dict-like store of `load_own_variables`."""

    def __init__(self, group=None):
        self.group = group
        self.arrays = {}

    def keys(self):
        return [] if self.group is None else list(self.group)

    def __len__(self):
        return 0 if self.group is None else len(self.group)

    def __iter__(self):
        return iter(self.keys())

    def __contains__(self, key):
        return self.group is not None and key in self.group

    def __getitem__(self, key):
        if key not in self.arrays:
            self.arrays[key] = self._read(key)
        return self.arrays[key]

    def _dataset(self, key):
        if key not in self:
            raise KeyError(key)
        dataset = self.group[key]
        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"{dataset.name!r} must be a dataset. Received: a group")
        return dataset

    def read_for(self, key, variable):
        """Read an array for `variable`, whose shape and kind of dtype it must have.

        Raises: KeyError when there is none, ValueError when it differs; nothing is read then.
        """
        dataset = self._dataset(key)
        if dataset.shape != tuple(variable.shape):
            raise ValueError(
                f"The array for variable {variable.path!r} must have shape {variable.shape}. "
                f"Received: shape {dataset.shape}"
            )
        if _rank(dataset.dtype) > _rank(variable.data.dtype):
            raise ValueError(
                f"The array for variable {variable.path!r} must be {variable.data.dtype}. "
                f"Received: {dataset.dtype}"
            )
        return self[key]

    def _read(self, key):
        dataset = self._dataset(key)
        _rank(dataset.dtype)
        try:
            values = dataset[()]
        except (OSError, RuntimeError) as error:
            raise OSError(f"{dataset.name!r} cannot be read: {error}") from error
        return values.view(ml_dtypes.bfloat16) if _is_bfloat16(dataset.dtype) else values


def _is_bfloat16(dtype):
    # NumPy knows no bfloat16 of its own; Keras stores the two bytes as they are.
    return dtype.kind == "V" and dtype.itemsize == 2 and dtype.names is None


def _rank(dtype):
    """0 for truth values, 1 for integers, 2 for floats: a value may move up only.

    Raises: ValueError for anything else.
    """
    if dtype.kind == "f" or _is_bfloat16(dtype) or dtype.name.startswith(("bfloat", "float")):
        return 2
    if dtype.kind in "iu" or dtype.name in ("int2", "int4", "uint2", "uint4"):
        return 1
    if dtype.kind == "b":
        return 0
    raise ValueError(f"A weight must be a number. Received: an array of dtype {dtype}")


class NewVariables:
    """The dict-like store of `save_own_variables`: puts arrays into "`path`/vars" of a file."""

    def __init__(self, file, path, name=None):
        self.file = file
        self.path = f"{path}/vars" if path else "vars"
        self.group = None
        if name is not None:
            self._group().attrs["name"] = name

    def _group(self):
        # Made when it is needed: an object without a name and without variables leaves no trace.
        if self.group is None:
            self.group = self.file.create_group(self.path)
        return self.group

    def keys(self):
        return [] if self.group is None else list(self.group)

    def __len__(self):
        return 0 if self.group is None else len(self.group)

    def __contains__(self, key):
        return self.group is not None and key in self.group

    def __getitem__(self, key):
        return self._group()[key][()]

    def __delitem__(self, key):
        del self._group()[key]

    def __setitem__(self, key, value):
        array = value.data if isinstance(value, (Tensor, Variable)) else np.asarray(value)
        dataset = self._group().create_dataset(key, data=np.asarray(host(array)))
        if array.dtype == ml_dtypes.bfloat16:
            dataset.attrs["dtype"] = "bfloat16"
