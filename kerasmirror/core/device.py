"""keras.device: where tensors live and operations run. Here that is the CPU, and it alone."""

from __future__ import annotations

import os
import re
import threading

from kerasmirror._export import export

_VARIABLE = "KERASMIRROR_DEVICE"
# "cpu", "CPU:0", "/cpu:0", "/device:CPU:0": what Keras's backends take.
_NAME = re.compile(r"/?(?:device:)?([a-z]+)(?::(\d+))?", re.IGNORECASE)
_GPU = ("gpu", "cuda", "tpu", "xpu", "mps")


class _Open(threading.local):
    def __init__(self):
        self.names = []


_OPEN = _Open()


@export("device")
def device(device_name):
    """Context manager: what is computed inside is computed on `device_name`, "cpu:0" here.

    All kernels run on the CPU, on the threads that `keras.config.set_threads` allows. The
    environment variable KERASMIRROR_DEVICE names the device of a whole process, with the same
    answers, when the package is imported. Scopes nest.
    Raises: RuntimeError for a GPU, ValueError for what names no device.
    Source: Keras 3.15 `keras.device`.
    """
    return _DeviceScope(_checked(device_name, "keras.device", "device_name"))


class _DeviceScope:
    def __init__(self, name):
        self.name = name

    def __enter__(self):
        _OPEN.names.append(self.name)
        return self

    def __exit__(self, *error):
        _OPEN.names.pop()


def current_device():
    """The name of the device that a computation would run on now."""
    return _OPEN.names[-1] if _OPEN.names else "cpu:0"


def _checked(device_name, owner, argument):
    found = _NAME.fullmatch(device_name) if isinstance(device_name, str) else None
    kind, number = (found[1].lower(), int(found[2] or 0)) if found else (None, 0)
    if kind in _GPU:
        raise RuntimeError(
            f"{owner}: `{argument}` must be 'cpu:0'. kerasmirror computes on the CPU and has no "
            "kernels for other devices, whatever this machine has. Name 'cpu:0', or none; a script "
            "for both can choose by `keras.config.backend() == 'kerasmirror'`. "
            f"Received: {argument}={device_name!r}"
        )
    if kind != "cpu" or number:
        raise ValueError(
            f"{owner}: `{argument}` must be 'cpu:0', the one device there is (its cores are "
            "threads, see `keras.config.set_threads`). "
            f"Received: {argument}={device_name!r}"
        )
    return "cpu:0"


if os.environ.get(_VARIABLE):
    _checked(os.environ[_VARIABLE], "kerasmirror", _VARIABLE)
