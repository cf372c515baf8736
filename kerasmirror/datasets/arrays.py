"""Reading arrays from files of strangers: npz archives, and pickles that hold arrays only.

A pickle is a program, and an npz file declares how much memory it wants. Here the first may do no
more than build lists, dicts, texts, numbers and arrays, the latter of the bytes it brings along;
the second must hold what it declares.
"""

from __future__ import annotations

import math
import pickle
import re
import zipfile

import numpy as np

_MAX_EXPANSION = 1100  # deflate shrinks by less than 1032
_ALWAYS_FINE = 1 << 26
_PLAIN_DTYPE = re.compile(r"[<>|=]?(?:[biuf?]\d{0,2}|O\d?)\Z")


def load_npz(path):
    """The arrays of an npz file by name; those of objects must be lists of plain values.

    Raises: ValueError for a file that declares more than it holds, or a forbidden object.
    """
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.endswith(".npy"):
                continue
            limit = max(_ALWAYS_FINE, _MAX_EXPANSION * member.compress_size)
            if member.file_size > limit:
                raise ValueError(f"{path}: {member.filename!r} holds far more than is stored.")
            with archive.open(member) as stream:
                name = member.filename.removesuffix(".npy")
                arrays[name] = _read_npy(stream, member.file_size, f"{path}, {member.filename!r}")
    return arrays


def _read_npy(stream, size, where):
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"{where}: unknown version {version} of the npy format.")
    shape, fortran_order, dtype = header
    if dtype.hasobject:
        return load_pickle(stream, where)
    if math.prod(shape) * dtype.itemsize > size:
        raise ValueError(f"{where}: an array of shape {shape} is declared and not stored.")
    values = np.frombuffer(stream.read(math.prod(shape) * dtype.itemsize), dtype)
    return values.reshape(shape, order="F" if fortran_order else "C").copy()


def load_pickle(stream, where):
    """The plain values and arrays of a pickle.

    Raises: ValueError for a pickle of anything else, or a damaged one.
    """
    try:
        value = _Unpickler(stream, encoding="bytes").load()
        return _finished(value)
    except _Forbidden as error:
        raise ValueError(f"{where}: a data set may not contain {error}.") from None
    except (
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        IndexError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        MemoryError,
    ) as error:
        raise ValueError(f"{where}: the file is damaged ({error}).") from error


class _Forbidden(Exception):
    """What a pickle asked for and does not get."""


class _Unpickler(pickle.Unpickler):
    """Knows no class and no function but stand-ins for those that NumPy writes with an array."""

    def find_class(self, module, name):
        if module.split(".")[0] in ("numpy", "_codecs") and name in _STAND_INS:
            return _STAND_INS[name]
        raise _Forbidden(f"the Python object {module}.{name}")

    def persistent_load(self, pid):
        raise _Forbidden("a reference to something outside the file")


class _DType:
    """Stands for a dtype while a pickle is read."""

    def __init__(self, text, *_):
        text = text.decode("ascii") if isinstance(text, bytes) else text
        if not _PLAIN_DTYPE.match(text):
            raise _Forbidden(f"arrays of dtype {text!r}")
        self.dtype = np.dtype(text)

    def __setstate__(self, state):
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for an array while a pickle is read: made of the bytes or the list in the file."""

    def __init__(self, *_):
        self.array = None

    def __setstate__(self, state):
        _, shape, dtype, fortran_order, content = state
        if isinstance(content, list):  # of objects, in C order whatever the flag says
            array = np.empty(len(content), object)
            array[:] = content
            self.array = array.reshape(shape)
        else:
            array = np.frombuffer(content, dtype.dtype).copy()
            self.array = array.reshape(shape, order="F" if fortran_order else "C")


def _from_buffer(content, dtype, shape, order):
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", content))
    return array


def _encode(text, codec):
    """How Python 3 writes bytes into a pickle that Python 2 can read."""
    if codec != "latin1":
        raise _Forbidden(f"the text codec {codec!r}")
    return text.encode("latin1")


class _NoClass:
    """What `ndarray` is in a pickle: the first argument of `_reconstruct`, never called."""

    def __new__(cls, *_):
        raise _Forbidden("an array without content")


_STAND_INS = {
    "ndarray": _NoClass,
    "dtype": _DType,
    "_reconstruct": _Array,
    "_frombuffer": _from_buffer,
    "encode": _encode,
}


def _finished(value):
    """`value` with arrays in place of their stand-ins."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict):
        return {key: _finished(item) for key, item in value.items()}
    return value
