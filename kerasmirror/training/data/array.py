"""ArrayAdapter: NumPy arrays, tensors and lists of numbers as batches."""

from __future__ import annotations

import math
import random
from numbers import Real

import numpy as np

from kerasmirror.autodiff.primitive import kernels_of
from kerasmirror.core import checks, config, seeds, tree
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable
from kerasmirror.training.data import batch as batches


def as_array(value, name="x"):
    """`value` as a NumPy array; floats become `floatx()`.

    Raises: ValueError for what is not numbers (strings, ragged lists, objects).
    """
    if value is None:
        return None
    if isinstance(value, (Tensor, Variable)):
        value = value.data
    elif hasattr(value, "to_numpy"):  # pandas
        value = value.to_numpy()
    elif hasattr(value, "detach"):  # PyTorch, whose tensors may wait for a gradient, elsewhere
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(
            f"keras: `{name}` must be a regular array, with rows of one length. "
            f"Received: {name} of type {type(value)} with rows of different lengths"
        ) from None
    given = array.dtype
    if given.kind == "O":
        try:
            array = array.astype(config.floatx())
        except (TypeError, ValueError):
            array = None
    if array is None or given.kind not in "fiubVO":
        raise ValueError(
            f"keras: `{name}` must hold real numbers. Received: {name} of shape "
            f"{np.shape(value)} and dtype {given}"
        )
    if array.dtype.kind == "f" and array.dtype != config.floatx():
        array = array.astype(config.floatx())
    return array


def is_array_like(structure):
    """Whether all leaves can be cut along a first axis of samples."""
    if structure is None:
        return True
    leaves = tree.flatten(structure)
    return all(
        leaf is None or hasattr(leaf, "__array__") or isinstance(leaf, (int, float, str))
        for leaf in leaves
    )


def to_arrays(structure, name):
    """Every leaf as an array; a list of plain numbers is one array, not many leaves."""
    leaves = tree.flatten(structure)
    if isinstance(structure, (list, tuple)) and not any(
        leaf is None or hasattr(leaf, "__array__") for leaf in leaves
    ):
        return as_array(structure, name)
    return tree.map_structure(lambda leaf: as_array(leaf, name), structure)


class ArrayAdapter:
    """Batches of arrays held in memory, shuffled as Keras on TensorFlow shuffles them.

    `shuffle` is True, False or "batch" (only within batches). With a global seed
    (`keras.utils.set_random_seed`) the order is TensorFlow's, the same in every epoch; without
    one, each epoch has an order of its own.
    """

    alone_in_tuple = False

    def __init__(
        self,
        x,
        y=None,
        sample_weight=None,
        batch_size=None,
        steps=None,
        shuffle=False,
        class_weight=None,
    ):
        x, y = to_arrays(x, "x"), to_arrays(y, "y")
        sample_weight = to_arrays(sample_weight, "sample_weight")
        if sample_weight is not None and class_weight is not None:
            raise ValueError(
                "keras: only one of `class_weight` and `sample_weight` can be given. "
                f"Received: class_weight={class_weight}, sample_weight of type "
                f"{type(sample_weight)}"
            )
        if class_weight is not None:
            sample_weight = batches.class_weights_to_sample_weights(y, class_weight)
        if tree.is_nested(sample_weight) is False and sample_weight is not None:
            if tree.is_nested(y) and len(tree.flatten(y)) > 1:
                sample_weight = tree.map_structure(lambda _: sample_weight, y)
        self.num_samples = batches.check_same_length(x, y, sample_weight)
        if self.num_samples == 0:
            raise ValueError(
                "keras: `x` must contain at least one sample. Received: arrays of length 0"
            )
        if batch_size is None:
            batch_size = math.ceil(self.num_samples / steps) if steps else 32
        self.batch_size = batch_size
        self.parts = (x, y, sample_weight)
        self.shuffle = shuffle
        self.num_batches = math.ceil(self.num_samples / batch_size)

    def __iter__(self):
        order = self._order()
        for start in range(0, self.num_samples, self.batch_size):
            stop = min(start + self.batch_size, self.num_samples)
            places = slice(start, stop) if order is None else order[start:stop]
            yield tuple([_take(part, places) for part in self.parts])

    def _order(self):
        """The samples' order in this epoch, None for their own."""
        if not self.shuffle:
            return None
        seed = seeds.global_seed()
        if seed is None:
            seed = random.getrandbits(62) or 1
        if self.shuffle == "batch":
            order = np.arange(self.num_samples)
            for number, start in enumerate(range(0, self.num_samples, self.batch_size)):
                chunk = order[start : start + self.batch_size]
                chunk[:] = chunk[kernels_of("cpu").shuffle_order(len(chunk), seed + number)]
            return order
        return kernels_of("cpu").shuffle_order(self.num_samples, seed)


def _take(part, places):
    if part is None:
        return None
    if isinstance(part, np.ndarray):
        return part[places] if isinstance(places, slice) else _gathered(part, places)
    return tree.map_structure(lambda leaf: _take(leaf, places), part)


def _gathered(array, places):
    """The samples at `places`, in memory of the kernels: new pages cost more than the copying."""
    if array.dtype.kind == "O" or not array.flags.c_contiguous:
        return array.take(places, axis=0)
    out = kernels_of("cpu").empty((len(places), *array.shape[1:]), array.dtype)
    # Every place is inside; "raise" would copy the result once more.
    return array.take(places, axis=0, out=out, mode="clip")


def split_for_validation(arrays, validation_split):
    """((train arrays), (validation arrays)): the last share of the samples validates.

    Raises: ValueError when a part would be empty, or the data cannot be cut.
    """
    expected = "a float between 0 and 1"
    if not isinstance(validation_split, Real):
        checks.fail("Model.fit", "validation_split", expected, validation_split, TypeError)
    if not 0 < validation_split < 1:
        checks.fail("Model.fit", "validation_split", expected, validation_split)
    if not all(is_array_like(part) for part in arrays):
        raise ValueError(
            "Model.fit: `validation_split` needs arrays or tensors, for other data pass "
            f"`validation_data`. Received: x of type {type(arrays[0])}"
        )
    parts = [
        to_arrays(part, name)
        for part, name in zip(arrays, ("x", "y", "sample_weight"), strict=True)
    ]
    n = batches.check_same_length(*parts)
    split = math.floor(n * (1.0 - validation_split))
    if split in (0, n):
        raise ValueError(
            f"Model.fit: `validation_split` must leave samples on both sides of {n}. "
            f"Received: validation_split={validation_split!r}"
        )
    train = tuple(_take(part, slice(0, split)) for part in parts)
    return train, tuple(_take(part, slice(split, n)) for part in parts)
