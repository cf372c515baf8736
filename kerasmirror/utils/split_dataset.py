"""split_dataset: two datasets of one."""

from __future__ import annotations

import random

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks, tree
from kerasmirror.core.tensor import Tensor
from kerasmirror.utils.dataset import Dataset

_OWNER = "split_dataset"


@export("utils.split_dataset")
def split_dataset(
    dataset,
    left_size=None,
    right_size=None,
    shuffle=False,
    seed=None,
    preferred_backend=None,
):
    """(left, right): two `keras.utils.Dataset` of the first and of the last samples.

    `dataset` is an array, a list or tuple of arrays of one length, or a Dataset; one of batches is
    cut between its samples and batched again. A size is a number of samples or a share of them; the
    one that is left out is the rest. With `shuffle`, samples are in random order.
    Raises: TypeError for other data, ValueError for sizes that do not fit.
    Source: Keras 3.15 `keras.utils.split_dataset`, which gives two `tf.data.Dataset`.
    """
    if preferred_backend == "torch":
        raise NotImplementedError(
            f"{_OWNER}: PyTorch's datasets are not mirrored, leave `preferred_backend` out. "
            "Received: preferred_backend='torch'"
        )
    samples, batch_size = _samples(dataset)
    if left_size is None and right_size is None:
        raise ValueError(
            f"{_OWNER}: at least one of `left_size` and `right_size` must be given. "
            "Received: left_size=None, right_size=None"
        )
    order = list(range(len(samples)))
    left, right = _sizes(left_size, right_size, len(samples))
    if shuffle:
        random.Random(random.randint(0, int(1e6)) if seed is None else seed).shuffle(order)
    parts = []
    for chosen in (order[:left], order[-right:]):
        rows = [samples[number] for number in chosen]
        arrays = tree.map_structure(lambda *leaves: np.stack(leaves), *rows)
        part = Dataset.from_tensor_slices(arrays)
        parts.append(part if batch_size is None else part.batch(batch_size))
    return tuple(parts)


def _samples(dataset):
    """(a list of nests of arrays, the size of batches or None)."""
    if isinstance(dataset, Dataset):
        if dataset.cardinality() == -1:
            raise ValueError(f"{_OWNER}: `dataset` must have an end. Received: {dataset!r}")
        batch_size = dataset._batch_size
        rows = dataset if batch_size is None else dataset.unbatch()
        samples = list(rows.as_numpy_iterator())
    elif isinstance(dataset, (list, tuple)):
        batch_size = None
        kind = type(dataset).__name__
        for position, array in enumerate(dataset):
            if not isinstance(array, (np.ndarray, Tensor)):
                raise ValueError(
                    f"{_OWNER}: `dataset` must be a {kind} of arrays (Expected a {kind} of "
                    f"`numpy.ndarray` objects). Received: {type(array)} at index {position}"
                )
        lengths = {len(array) for array in dataset}
        if len(lengths) > 1:
            raise ValueError(
                f"{_OWNER}: `dataset` must hold arrays of one length (Received a {kind} of NumPy "
                f"arrays with different lengths). Received: lengths {sorted(lengths)}"
            )
        samples = [tuple(row) for row in zip(*(np.asarray(a) for a in dataset), strict=True)]
    elif isinstance(dataset, (np.ndarray, Tensor)):
        samples, batch_size = list(np.asarray(dataset)), None
    else:
        expected = "a Dataset, an array, or a list or tuple of arrays"
        checks.fail(_OWNER, "dataset", expected, type(dataset), TypeError)
    if not samples:
        raise ValueError(
            f"{_OWNER}: `dataset` must hold at least one sample. Received: an empty dataset"
        )
    return samples, batch_size


def _sizes(left_size, right_size, total):
    """The numbers of samples of both parts."""
    for name, size in (("left_size", left_size), ("right_size", right_size)):
        if size is None:
            continue
        if type(size) not in (int, float):
            checks.fail(_OWNER, name, "an int, a float or None", size, TypeError)
        if not 0 < size < (total if type(size) is int else 1):
            checks.fail(
                _OWNER, name, f"a positive int smaller than {total}, or a float in (0, 1)", size
            )
    if type(left_size) is type(right_size) is float and left_size + right_size > 1:
        raise ValueError(
            f"{_OWNER}: the sum of `left_size` and `right_size` must be at most 1. "
            f"Received: left_size={left_size}, right_size={right_size}"
        )
    left, right = (
        round(size * total) if type(size) is float else size for size in (left_size, right_size)
    )
    left = total - right if left is None else left
    right = total - left if right is None else right
    if left + right > total:
        raise ValueError(
            f"{_OWNER}: the sum of `left_size` and `right_size` must be at most the {total} "
            f"samples. Received: {left} and {right}"
        )
    if left == 0 or right == 0:
        raise ValueError(
            f"{_OWNER}: `left_size` and `right_size` must leave samples on both sides of {total}. "
            f"Received: {left} and {right}"
        )
    return left, right
