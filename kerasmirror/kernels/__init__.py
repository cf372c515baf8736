"""Kernels: arrays in, arrays out. `for_device` loads one device's namespace when first asked."""

import importlib

from . import helpers

_DEVICES = ("cpu",)


def for_device(device):
    """The flat namespace of all kernels of `device`; numba is not imported before this call."""
    if device not in _DEVICES:
        raise ValueError(
            f"kernels: `device` must be one of {_DEVICES}. Received: device={device!r}"
        )
    helpers.start_if_empty()
    namespace = importlib.import_module(f"{__name__}.{device}")
    namespace.load()
    return namespace
