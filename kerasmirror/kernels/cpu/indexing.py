"""Elements read and added at positions: the gradients of indexing.

Additions at one place come in the order of the positions, so sums never change between runs.
"""

from __future__ import annotations

import numpy as np

from kerasmirror.kernels.cpu import memory

__all__ = ["add_at", "get_at", "put_along_axis_add", "set_at", "take_along_axis"]


def get_at(x: np.ndarray, key) -> np.ndarray:
    """x[key], as an array even for a single element; a view where the key has no arrays."""
    return np.asarray(x[key])


def set_at(x: np.ndarray, key, values) -> np.ndarray:
    """A copy of x with x[key] = values; of several values for one place the last stays."""
    y = memory.empty(x.shape, x.dtype)
    y[...] = x
    y[key] = values
    return y


def add_at(shape, key, values: np.ndarray, reduction: str = "add", start=None) -> np.ndarray:
    """Zeros of `shape`, or a copy of `start`, with `values` added at `key`.

    `reduction` "max", "min" and "mul" take the larger, the smaller or the product instead.
    """
    if start is None:
        y = memory.zeros(shape, values.dtype)
        if _has_no_arrays(key):
            y[key] = values
            return y
    else:
        y = memory.empty(start.shape, start.dtype)
        y[...] = start
    ufunc = {"add": np.add, "max": np.maximum, "min": np.minimum, "mul": np.multiply}[reduction]
    ufunc.at(y, key, values)
    return y


def take_along_axis(x: np.ndarray, indices: np.ndarray, axis: int) -> np.ndarray:
    """y[..., i, ...] = x[..., indices[..., i, ...], ...]; the other axes broadcast."""
    return x[_places(x.shape, indices, axis)]


def put_along_axis_add(shape, indices: np.ndarray, values: np.ndarray, axis: int) -> np.ndarray:
    """Zeros of `shape` with `values` added at `indices`: the gradient of take_along_axis."""
    y = memory.zeros(shape, values.dtype)
    np.add.at(y, _places(shape, indices, axis), values)
    return y


def _has_no_arrays(key):
    parts = key if isinstance(key, tuple) else (key,)
    return not any(isinstance(part, np.ndarray) for part in parts)


def _places(shape, indices, axis):
    # An axis of size 1 is read at 0 wherever the other operand is longer.
    places = []
    for i, n in enumerate(shape):
        if i == axis:
            places.append(indices)
        else:
            form = [1] * len(shape)
            form[i] = n
            places.append(np.arange(n).reshape(form))
    return tuple(places)
