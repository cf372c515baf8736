"""Data settled for a step and back: arrays as tensors, placeholders, outputs as one array."""

from __future__ import annotations

import numpy as np

from kerasmirror.core import tree
from kerasmirror.core.device import host
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.training.data import array as array_data
from kerasmirror.training.data import batch as batches


def one_batch(x, y, sample_weight):
    """(x, y, sample_weight) of arrays, which are equally long."""
    data = tuple(
        array_data.to_arrays(part, name)
        for part, name in ((x, "x"), (y, "y"), (sample_weight, "sample_weight"))
    )
    batches.check_same_length(*data)
    return data


def as_tensors(data):
    """A batch with tensors for arrays."""
    return tuple([_tensor(part) for part in data])


def _tensor(part):
    if isinstance(part, np.ndarray):
        return Tensor(part)
    return None if part is None else tree.map_structure(_tensor, part)


def placeholder(value):
    """A KerasTensor like one array of a batch, for batches of any length."""
    if value is None:
        return None
    return KerasTensor((None, *value.shape[1:]), value.dtype, record_history=False)


def plain(value):
    """A result as a float, or an array where it is none; in a dict, too."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array


def joined(collected):
    """The batches' outputs, one after the other along the first axis."""
    if not collected:
        raise ValueError("Model.predict: `x` must contain at least one batch. Received: none")

    def join(*parts):
        if len(parts) == 1:
            return np.array(host(parts[0].data))
        return np.concatenate([host(part.data) for part in parts])

    return tree.map_structure(join, *collected)
