"""Metrics that count with NumPy: batches come to the host from a GPU, and the state lies there."""

from __future__ import annotations

import functools

from kerasmirror.core.device import CPU, GPU, device, host
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable
from kerasmirror.metrics.metric import Metric


def on_host(method):
    """A metric's method that computes on the host, whatever the device, from values of any device.

    Bringing them waits for the device: once for each batch.
    """

    @functools.wraps(method)
    def run(self, *values, **named):
        if not GPU.used:
            return method(self, *values, **named)
        with device(CPU):
            values = [_brought(value) for value in values]
            named = {name: _brought(value) for name, value in named.items()}
            return method(self, *values, **named)

    return run


def _brought(value):
    if isinstance(value, (Tensor, Variable)) and hasattr(value.data, "to_host"):
        return Tensor(host(value.data))
    return value.to_host() if hasattr(value, "to_host") else value


class HostMetric(Metric):
    """A metric whose variables lie on the host; its methods are marked with `on_host`."""

    def add_variable(self, *args, **kwargs):
        with device(CPU):
            return super().add_variable(*args, **kwargs)
