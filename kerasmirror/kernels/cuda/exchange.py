"""Arrays shared with other packages, where they lie: DLPack and `__cuda_array_interface__`.

DLPack's structures are those of its version 0.8 (dlpack.h), which CuPy, JAX and PyTorch all take.
"""

from __future__ import annotations

import ctypes
import math

import ml_dtypes
import numpy as np

from . import device, memory
from .array import DeviceArray

CUDA = 2  # kDLCUDA
_NAME, _USED = b"dltensor", b"used_dltensor"
_CODES = {"i": 0, "u": 1, "f": 2, "b": 6}
_BFLOAT = 4


class _Device(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int32), ("number", ctypes.c_int32)]


class _Type(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _Type),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    ]


class _Managed(ctypes.Structure):
    pass


_Deleter = ctypes.CFUNCTYPE(None, ctypes.POINTER(_Managed))
_Managed._fields_ = [
    ("tensor", _Tensor),
    ("context", ctypes.c_void_p),
    ("deleter", _Deleter),
]

_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
_python.PyCapsule_IsValid.argtypes = [ctypes.py_object, ctypes.c_char_p]
_python.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
_unused = ctypes.CFUNCTYPE(None, ctypes.c_void_p)

_lent = {}  # by address: what a capsule shows, until its owner gives it back


@_Deleter
def _give_back(managed):
    _lent.pop(ctypes.addressof(managed.contents), None)


@_unused
def _drop(capsule):
    # A capsule that nobody took; called with the object's address while it is taken down.
    if _is_valid(capsule, _NAME):
        _lent.pop(_pointer(capsule, _NAME), None)


_raw = ctypes.PyDLL(None)
_is_valid = _raw.PyCapsule_IsValid
_is_valid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_pointer = _raw.PyCapsule_GetPointer
_pointer.restype = ctypes.c_void_p
_pointer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]


def to_dlpack(array, stream=None):
    """A capsule of the array's memory, which lives on while somebody has it.

    `stream` is the consumer's, as a number (None or 1: the default one; -1: it waits for nothing).
    """
    on = array.owner.device
    if stream != -1:
        # The consumer's stream is of a library that we do not know: wait here.
        on.synchronize()
    managed = _Managed()
    shape = (ctypes.c_int64 * max(array.ndim, 1))(*array.shape)
    tensor = managed.tensor
    tensor.data = array.address
    tensor.device = _Device(CUDA, on.number)
    tensor.ndim = array.ndim
    kind = array.dtype.kind
    code = _BFLOAT if array.dtype.name == "bfloat16" else _CODES[kind]
    tensor.dtype = _Type(code, array.dtype.itemsize * 8, 1)
    tensor.shape = ctypes.cast(shape, ctypes.POINTER(ctypes.c_int64))
    tensor.strides = None
    managed.deleter = _give_back
    address = ctypes.addressof(managed)
    _lent[address] = managed, shape, array
    return _python.PyCapsule_New(address, _NAME, ctypes.cast(_drop, ctypes.c_void_p))


class _Foreign:
    """Memory of another package, in the place of a Block: kept as long as an array shows it."""

    def __init__(self, on, address, release):
        self.device = on
        self.address = address
        self._release = release

    def __del__(self):
        self._release()


def from_dlpack(source):
    """The array of an object with `__dlpack__`, where it lies.

    Raises: ValueError for memory that is on another device, or not contiguous.
    """
    kind, number = source.__dlpack_device__()
    on = device.current()
    if kind != CUDA or number != on.number:
        raise ValueError(
            f"kerasmirror: an array to be shared by DLPack must be on {on.name}. "
            f"Received: one on the device ({int(kind)}, {number})"
        )
    capsule = source.__dlpack__(stream=on.stream_number())
    if not _python.PyCapsule_IsValid(capsule, _NAME):
        raise ValueError(
            "kerasmirror: `__dlpack__` must give a capsule that is not used up. "
            f"Received: {capsule!r}"
        )
    address = _python.PyCapsule_GetPointer(capsule, _NAME)
    managed = _Managed.from_address(address)
    tensor = managed.tensor
    shape = tuple(tensor.shape[i] for i in range(tensor.ndim))
    strides = [tensor.strides[i] for i in range(tensor.ndim)] if tensor.strides else None
    _require_contiguous(shape, strides)
    dtype = _dtype_of(tensor.dtype)
    _python.PyCapsule_SetName(capsule, _USED)

    def release():
        if managed.deleter:
            managed.deleter(ctypes.byref(managed))

    data = tensor.data + tensor.byte_offset if math.prod(shape) else 0
    return DeviceArray(data, shape, dtype, _Foreign(on, data, release))


def lies_on_gpu(value):
    """Whether a value of another package is an array in a GPU's memory that it shows."""
    where = getattr(value, "__dlpack_device__", None)
    if where is not None:
        return where()[0] == CUDA
    return hasattr(value, "__cuda_array_interface__")


def shared(value):
    """The array of such a value, where it lies."""
    if hasattr(value, "__dlpack_device__"):
        return from_dlpack(value)
    return from_cuda_interface(value)


def from_cuda_interface(source):
    """The array of an object with `__cuda_array_interface__`, where it lies."""
    shown = source.__cuda_array_interface__
    dtype, shape = np.dtype(shown["typestr"]), tuple(shown["shape"])
    strides = shown.get("strides")
    _require_contiguous(shape, strides and [s // dtype.itemsize for s in strides])
    on = device.current()
    if shown.get("stream") not in (None, on.stream_number()):
        on.synchronize_with(shown["stream"])
    address = shown["data"][0]
    return DeviceArray(address, shape, dtype, _Foreign(on, address, lambda: source))


def _require_contiguous(shape, strides):
    memory.require_countable(shape)
    if strides is None:
        return
    expected = 1
    for size, stride in zip(reversed(shape), reversed(list(strides)), strict=True):
        if size != 1 and stride != expected:
            raise ValueError(
                "kerasmirror: an array to be shared must be contiguous, copy it first. "
                f"Received: shape={shape} with strides {tuple(strides)}"
            )
        expected *= size


def _dtype_of(kind):
    letters = {code: letter for letter, code in _CODES.items()}
    if kind.lanes == 1 and kind.code == _BFLOAT and kind.bits == 16:
        return np.dtype(ml_dtypes.bfloat16)
    if kind.lanes != 1 or kind.code not in letters:
        raise ValueError(
            "kerasmirror: an array to be shared must hold numbers. "
            f"Received: DLPack's type ({kind.code}, {kind.bits}, {kind.lanes})"
        )
    if letters[kind.code] == "b":
        return np.dtype(bool)
    return np.dtype(f"{letters[kind.code]}{kind.bits // 8}")
