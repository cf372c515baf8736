"""Which adapter fits the data."""

from __future__ import annotations

import types
from collections.abc import Iterator

from kerasmirror._export import lookup
from kerasmirror.core import checks
from kerasmirror.training.data.array import ArrayAdapter, is_array_like
from kerasmirror.training.data.generator import DatasetAdapter, GeneratorAdapter, LoaderAdapter
from kerasmirror.training.data.iterable import IterableAdapter


def adapter_for(
    x,
    y=None,
    sample_weight=None,
    batch_size=None,
    steps=None,
    shuffle=False,
    class_weight=None,
):
    """The adapter for `x`: arrays, a PyDataset, a Dataset, or a generator.

    Raises: ValueError for data of another kind, or arguments that do not go with it.
    """
    if batch_size is not None:
        batch_size = checks.count(batch_size, "batch_size", owner="keras")
    if class_weight is not None and not isinstance(class_weight, dict):
        checks.fail("keras", "class_weight", "a dict from class number to weight", class_weight)
    py_dataset = lookup("utils.PyDataset")
    if py_dataset is not None and isinstance(x, py_dataset):
        _no_targets(y, sample_weight, "PyDataset")
        return DatasetAdapter(x, shuffle=bool(shuffle), class_weight=class_weight)
    dataset = lookup("utils.Dataset")
    if dataset is not None and isinstance(x, dataset):
        _no_targets(y, sample_weight, "Dataset")
        if steps is None and x.cardinality() == -1:
            raise ValueError(
                "keras: `steps_per_epoch` (or `steps`) must be given for a Dataset without end. "
                "Received: a Dataset that repeats for ever"
            )
        return IterableAdapter(x, class_weight)
    if isinstance(x, (types.GeneratorType, Iterator)):
        _no_targets(y, sample_weight, "generator")
        if class_weight is not None:
            raise ValueError(
                "keras: `class_weight` cannot be used with a generator: yield sample weights. "
                f"Received: class_weight={class_weight}"
            )
        return GeneratorAdapter(x)
    if x is not None and is_array_like(x) and is_array_like(y) and is_array_like(sample_weight):
        return ArrayAdapter(x, y, sample_weight, batch_size, steps, shuffle, class_weight)
    if _gives_batches(x):
        _no_targets(y, sample_weight, type(x).__name__)
        return LoaderAdapter(x, class_weight)
    raise ValueError(
        "keras: `x` must be an array, a nest of arrays, a generator or a PyDataset. "
        f"Received: x of type {type(x)}"
    )


def _gives_batches(x):
    """Whether `x` is an object to loop over that is neither data nor a nest of data itself."""
    nests = (list, tuple, dict, set, frozenset, str, bytes)
    return hasattr(x, "__iter__") and not hasattr(x, "__array__") and not isinstance(x, nests)


def _no_targets(y, sample_weight, kind):
    for name, value in (("y", y), ("sample_weight", sample_weight)):
        if value is not None:
            raise ValueError(
                f"keras: `{name}` must be None when `x` is a {kind}, which yields it. "
                f"Received: {name} of type {type(value)}"
            )
