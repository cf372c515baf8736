"""Kernels: arrays in, arrays out. `for_device` loads one device's namespace when first asked."""

import importlib
import importlib.util

_DEVICES = ("cpu", "cuda")


def for_device(device):
    """The flat namespace of all kernels of `device`; numba is imported when it compiles."""
    if device not in _DEVICES:
        raise ValueError(
            f"kernels: `device` must be one of {_DEVICES}. Received: device={device!r}"
        )
    namespace = importlib.import_module(f"{__name__}.{device}")
    namespace.load()
    return namespace


def gpu(number):
    """The GPU of that number, started; the kernels' files are not loaded for it.

    Raises: RuntimeError that says what is missing.
    """
    if importlib.util.find_spec("numba_cuda") is None:
        errors = importlib.import_module(f"{__name__}.cuda.errors")
        raise errors.unavailable("the package numba-cuda is not installed")
    return importlib.import_module(f"{__name__}.cuda.device").get(number)
