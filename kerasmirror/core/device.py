"""Devices: where a new tensor lives, and which kernels compute with those there are.

The CPU is the device unless a GPU is asked for: by `keras.device("gpu:0")`, `config.set_device` or
KERASMIRROR_DEVICE. A tensor lives on one device, operations run where their tensors live.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
import re
import threading

import numpy as np

from kerasmirror import kernels
from kerasmirror._export import export
from kerasmirror.core import config

_VARIABLE = "KERASMIRROR_DEVICE"
# "cpu", "CPU:0", "/gpu:1", "/device:GPU:0": what Keras's backends take.
_NAME = re.compile(r"/?(?:device:)?([a-z]+)(?::(\d+))?", re.IGNORECASE)
_GPU_NAMES = ("gpu", "cuda")
_FOREIGN = ("tpu", "xpu", "mps")
CPU = "cpu:0"


class _Gpu:
    """Whether this process ever chose a GPU: until then nothing below is ever asked.

    `kernels` is the namespace of the CUDA kernels from then on.
    """

    used = False
    kernels = None


class _Open(threading.local):
    def __init__(self):
        self.names = []


GPU = _Gpu()
_OPEN = _Open()
_default = CPU


@export("device")
def device(device_name):
    """Context manager: what is made inside lives on `device_name`, "cpu:0" or "gpu:0" and so on.

    Operations run on the device of their tensors; tensors of different devices do not meet in one
    operation, and nothing is copied from one to the other but by `keras.ops.convert_to_numpy` and
    `keras.ops.convert_to_tensor`. Scopes nest. Without one, the device is that of
    `kerasmirror.config.set_device`, or of the environment variable KERASMIRROR_DEVICE.
    Raises: RuntimeError for a GPU that cannot be used, which says what is missing; ValueError for
    what names no device.
    Source: Keras 3.15 `keras.device`.
    """
    return _DeviceScope(_usable(device_name, "keras.device", "device_name"))


class _DeviceScope:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        _OPEN.names.append(self.name)
        _enter(self.name)
        return self

    def __exit__(self, *error):
        _OPEN.names.pop()
        _enter(current_device())


@export("config.set_device")
def set_device(device_name):
    """Let everything that is made from here on live on `device_name`, outside `keras.device`.

    Errors as those of `keras.device`. Source: our own, Keras leaves this to its backends.
    """
    global _default
    _default = _usable(device_name, "kerasmirror.config.set_device", "device_name")
    _enter(current_device())


@export("config.device")
def current_device():
    """The name of the device that a new tensor lives on, such as "cpu:0" or "gpu:0".

    Source: our own, Keras leaves this to its backends.
    """
    return _OPEN.names[-1] if _OPEN.names else _default


def _enter(name):
    if name != CPU:
        GPU.kernels.device.use(int(name.partition(":")[2]))


def _usable(device_name, owner, argument):
    """The device's name in full, started if it is a GPU."""
    found = _NAME.fullmatch(device_name) if isinstance(device_name, str) else None
    kind, number = (found[1].lower(), int(found[2] or 0)) if found else (None, 0)
    if kind in _GPU_NAMES:
        _start(number)
        return f"gpu:{number}"
    if kind in _FOREIGN:
        raise RuntimeError(
            f"{owner}: `{argument}` must be 'cpu:0' or an NVIDIA GPU ('gpu:0'). There are no "
            f"kernels for other devices. Received: {argument}={device_name!r}"
        )
    if kind != "cpu" or number:
        raise ValueError(
            f"{owner}: `{argument}` must be 'cpu:0' (one device: its cores are threads, see "
            "`keras.config.set_threads`) or a GPU such as 'gpu:0'. "
            f"Received: {argument}={device_name!r}"
        )
    return CPU


def _start(number):
    """Load the CUDA kernels and the GPU of that number.

    Raises: RuntimeError that says what is missing.
    """
    kernels.gpu(number)
    GPU.kernels = kernels.for_device("cuda")
    if config.tensor_cores():
        GPU.kernels.set_tensor_cores(True)
    GPU.used = True


# --- arrays ---------------------------------------------------------------------------------


def placed(array):
    """A NumPy array as an array on the current device; of strings and the like, as it is."""
    if current_device() == CPU or array.dtype.kind in "OSUMm":
        return array
    k = GPU.kernels
    _enter(current_device())
    return k.to_device(array) if array.ndim else k.constant(array)


def host(array):
    """The values of an array of any device as a NumPy array, its own where it is one."""
    return array if isinstance(array, (np.ndarray, np.generic)) else array.to_host()


def copied(array):
    """A copy of an array, on its device."""
    return np.array(array) if isinstance(array, (np.ndarray, np.generic)) else array.copy()


def contiguous(array):
    """The array itself where its values lie side by side, as on a GPU they do; else a copy."""
    return np.ascontiguousarray(array) if isinstance(array, np.ndarray) else array


def address_of(array):
    """Where an array's memory begins."""
    return array.ctypes.data if isinstance(array, np.ndarray) else array.address


def view_of(array, first, shape):
    """The part of `shape` that begins at element `first` of a flat array, in its memory."""
    if isinstance(array, np.ndarray):
        return array[first : first + math.prod(shape)].reshape(shape)
    return array.view_at(first, tuple(shape))


def filled(like, value):
    """An array of one value, of the shape, dtype and device of another."""
    if isinstance(like, (np.ndarray, np.generic)):
        return np.full(like.shape, value, like.dtype)
    array = kernels_at(like).empty(like.shape, like.dtype)
    array.fill(value)
    return array


def overwrite(target, values):
    """Write values of the same shape, of any device, into an array, in its dtype."""
    if isinstance(target, np.ndarray):
        np.copyto(target, host(values), casting="unsafe")
    elif isinstance(values, (np.ndarray, np.generic)):
        values = np.asarray(values, target.dtype, order="C")
        GPU.kernels.memory.overwrite_from_host(target, values)
    else:
        if values.dtype != target.dtype:
            values = GPU.kernels.cast(values, target.dtype)
        GPU.kernels.memory.copy_into(target, values)


_cpu = functools.partial(functools.cache(kernels.for_device), "cpu")


def kernels_at(array):
    """The kernels of the device that an array lives on."""
    if not GPU.used or isinstance(array, np.ndarray):
        return _cpu()
    _enter(array.device)
    return GPU.kernels


def current_kernels():
    """The kernels that make new arrays: those of the current device."""
    if not GPU.used or current_device() == CPU:
        return _cpu()
    _enter(current_device())
    return GPU.kernels


@contextlib.contextmanager
def explained(name):
    """Within it, an error for want of a CUDA kernel says which operation it is, and what to do."""
    try:
        yield
    except (AttributeError, NotImplementedError, TypeError) as error:
        if not any(sign in str(error) for sign in _SIGNS):
            raise
        if isinstance(error, NotImplementedError) and "keras.device" in str(error):
            reason = str(error).removeprefix("kerasmirror: ")
            raise NotImplementedError(f"kerasmirror: {name}: {reason}") from error
        raise NotImplementedError(
            f"kerasmirror: {name} has no CUDA kernel yet for these inputs and options. Run it on "
            'the CPU: with keras.device("cpu:0"): ..., on tensors made there '
            "(`keras.ops.convert_to_numpy` brings them)."
        ) from error


# What errors say that come of an array on a GPU where a rule has only NumPy's way.
_SIGNS = ("kerasmirror:", "DeviceArray", "has no attribute 'address'")


def kernels_for(name, arrays):
    """(kernels of the device that arrays live on, the arrays): None among them is left out.

    Single values of the host go along to a GPU, as numbers do.
    Raises: ValueError where arrays live on different devices.
    """
    gpu = {a.device for a in arrays if a is not None and not isinstance(a, np.ndarray)}
    if not gpu:
        return _cpu(), arrays
    strays = [a for a in arrays if isinstance(a, np.ndarray) and (a.ndim or a.dtype.kind in "OSU")]
    if strays or len(gpu) > 1:
        places = sorted(gpu) + [CPU] * bool(strays)
        raise ValueError(
            f"{name}: inputs must be on one device. Received: tensors on {' and '.join(places)}. "
            "Make them on one, in `with keras.device(...)`, or copy one over: "
            "`keras.ops.convert_to_tensor(keras.ops.convert_to_numpy(x))`"
        )
    k = GPU.kernels
    _enter(gpu.pop())
    return k, [k.constant(a) if isinstance(a, np.ndarray) else a for a in arrays]


if os.environ.get(_VARIABLE):
    _default = _usable(os.environ[_VARIABLE], "kerasmirror", _VARIABLE)
    _enter(_default)
