"""`tf.config`: there is one CPU, and functions run as they are written."""

from __future__ import annotations

from typing import NamedTuple

from kerasmirror.core import config as _config


class PhysicalDevice(NamedTuple):
    """A device as `list_physical_devices` names it."""

    name: str
    device_type: str


_CPU = PhysicalDevice("/physical_device:CPU:0", "CPU")


def list_physical_devices(device_type=None):
    return [_CPU] if device_type in (None, "CPU") else []


list_logical_devices = get_visible_devices = list_physical_devices


def run_functions_eagerly(run_eagerly):
    """Nothing to do: `tf.function` is the function itself here."""


def functions_run_eagerly():
    return True


def set_visible_devices(devices, device_type=None):
    if device_type == "GPU" and devices:
        raise RuntimeError(
            f"tf.config: `devices` must be empty, there is no GPU here. Received: devices={devices}"
        )


class threading:
    """`tf.config.threading`."""

    @staticmethod
    def set_intra_op_parallelism_threads(num_threads):
        _config.set_threads(num_threads or None)

    @staticmethod
    def set_inter_op_parallelism_threads(num_threads):
        """Nothing to do: operations run one after the other here."""


class experimental:
    """`tf.config.experimental`, as far as scripts call it before they look for GPUs."""

    list_physical_devices = staticmethod(list_physical_devices)

    @staticmethod
    def set_memory_growth(device, enable):
        """Nothing to do: no memory is taken beforehand."""

    @staticmethod
    def enable_op_determinism():
        """Nothing to do: results do not depend on threads."""
