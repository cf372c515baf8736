"""timeseries_dataset_from_array: windows over a series as batches."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.tensor import Tensor
from kerasmirror.utils import directories
from kerasmirror.utils.dataset import Dataset

_OWNER = "timeseries_dataset_from_array"


@export("utils.timeseries_dataset_from_array", "preprocessing.timeseries_dataset_from_array")
def timeseries_dataset_from_array(
    data,
    targets,
    sequence_length,
    sequence_stride=1,
    sampling_rate=1,
    batch_size=128,
    shuffle=False,
    seed=None,
    start_index=None,
    end_index=None,
    format="tf",
):
    """A `keras.utils.Dataset` of windows `data[i], data[i + rate], ...` and targets `targets[i]`.

    i is 0, stride, 2 stride, ... within `data[start_index:end_index]`. Without targets (None) the
    elements are the windows alone, without `batch_size` single ones.

    Shapes: windows (batch, sequence_length, ...), targets (batch, ...).
    Raises: ValueError for indices, strides or rates outside of the data.
    Source: Keras 3.15 `keras.utils.timeseries_dataset_from_array`, which gives a `tf.data.Dataset`.
    """
    length = len(data)
    _check_bounds(start_index, end_index, length)
    for name, value in (("sampling_rate", sampling_rate), ("sequence_stride", sequence_stride)):
        if value <= 0:
            raise ValueError(
                f"{_OWNER}: `{name}` must be higher than 0. Received: {name}={value!r}"
            )
        if value >= length:
            raise ValueError(
                f"{_OWNER}: `{name}` must be lower than the length of the data, {length}. "
                f"Received: {name}={value!r}"
            )
    sequence_length = checks.count(sequence_length, "sequence_length", owner=_OWNER)
    directories.check_format(_OWNER, format)
    directories.refuse_grain(_OWNER, format)
    start = 0 if start_index is None else start_index
    end = length if end_index is None else end_index
    count = end - start - (sequence_length - 1) * sampling_rate
    if targets is not None:
        count = min(count, len(targets))
    positions = np.arange(0, max(count, 0), sequence_stride, dtype="int64")
    if shuffle:
        if seed is None:
            seed = np.random.randint(1e6)
        np.random.RandomState(seed).shuffle(positions)
    series = _array(data)[start:end]
    marks = None if targets is None else _array(targets)[start:end]
    steps = np.arange(sequence_length) * sampling_rate

    def windows(position):
        places = position.data[..., np.newaxis] + steps
        found = Tensor(series[places])
        return found if marks is None else (found, Tensor(np.asarray(marks[position.data])))

    # Batches of positions first: one gather then makes a whole batch of windows.
    dataset = Dataset.from_tensor_slices(positions)
    if shuffle:
        dataset = dataset.shuffle(batch_size * 8 if batch_size else 1024, seed=seed)
    if batch_size is not None:
        dataset = dataset.batch(batch_size)
    return dataset.map(windows)


def _array(values):
    return values.data if isinstance(values, Tensor) else np.asarray(values)


def _check_bounds(start_index, end_index, length):
    if start_index and start_index < 0:
        raise ValueError(
            f"{_OWNER}: `start_index` must be 0 or greater. Received: start_index={start_index}"
        )
    if start_index and start_index >= length:
        raise ValueError(
            f"{_OWNER}: `start_index` must be lower than the length of the data, {length}. "
            f"Received: start_index={start_index}"
        )
    if end_index is None or end_index == 0 and not start_index:
        return
    if start_index and end_index <= start_index:
        raise ValueError(
            f"{_OWNER}: `end_index` must be higher than `start_index`. "
            f"Received: start_index={start_index}, end_index={end_index}"
        )
    if end_index >= length:
        raise ValueError(
            f"{_OWNER}: `end_index` must be lower than the length of the data, {length}. "
            f"Received: end_index={end_index}"
        )
    if end_index <= 0:
        raise ValueError(
            f"{_OWNER}: `end_index` must be higher than 0. Received: end_index={end_index}"
        )
