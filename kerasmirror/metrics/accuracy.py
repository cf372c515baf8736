"""Accuracies: the share of predictions that are right."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import config, dtypes
from kerasmirror.core.device import kernels_at
from kerasmirror.core.tensor import Tensor
from kerasmirror.metrics.reduction import NamedMean, same_rank
from kerasmirror.ops.tensor import to_tensor


def _array(value):
    if type(value) is Tensor:
        return value.data
    return value if type(value) is np.ndarray else to_tensor(value).data


def _matches(found):
    """Booleans as 0.0 and 1.0."""
    return Tensor(found.astype(dtypes.numpy_dtype(config.floatx())))


def accuracy(y_true, y_pred):
    """1 where `y_true == y_pred`, else 0."""
    y_pred = _array(y_pred)
    y_true, y_pred = same_rank(_array(y_true).astype(y_pred.dtype), y_pred)
    return _matches(y_true == y_pred)


@export("metrics.binary_accuracy")
def binary_accuracy(y_true, y_pred, threshold=0.5):
    """1 where `y_pred > threshold` is what `y_true` (0 or 1) says, else 0."""
    y_true, y_pred = same_rank(_array(y_true), _array(y_pred))
    if y_pred.dtype.kind in "biu":  # a threshold of their dtype would not lie between 0 and 1
        y_pred = y_pred.astype(dtypes.numpy_dtype(config.floatx()))
    return _matches(y_true == (y_pred > y_pred.dtype.type(threshold)))


@export("metrics.categorical_accuracy")
def categorical_accuracy(y_true, y_pred):
    """1 where the largest entry of `y_true` and of `y_pred` is in the same place, else 0."""
    return _matches(_array(y_true).argmax(-1) == _array(y_pred).argmax(-1))


@export("metrics.sparse_categorical_accuracy")
def sparse_categorical_accuracy(y_true, y_pred):
    """1 where the largest entry of `y_pred` is in place `y_true`, else 0."""
    y_true, y_pred = _array(y_true), _array(y_pred)
    if y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1:
        y_true = y_true[..., 0]
    matches = y_true == y_pred.argmax(-1)
    if matches.ndim > 1 and matches.shape[-1] == 1:
        matches = matches[..., 0]
    return _matches(matches)


@export("metrics.top_k_categorical_accuracy")
def top_k_categorical_accuracy(y_true, y_pred, k=5):
    """1 where the largest entry of `y_true` is in the place of one of the `k` largest, else 0."""
    return _matches(_in_top_k(_array(y_true).argmax(-1), _array(y_pred), k))


@export("metrics.sparse_top_k_categorical_accuracy")
def sparse_top_k_categorical_accuracy(y_true, y_pred, k=5, from_sorted_ids=False):
    """1 where entry `y_true` of `y_pred` is among the `k` largest, else 0.

    With `from_sorted_ids`, `y_pred` holds class numbers, best first.
    """
    y_true, y_pred = _array(y_true), _array(y_pred)
    shape = y_true.shape
    y_true, y_pred = y_true.reshape(-1), y_pred.reshape(-1, y_pred.shape[-1])
    if from_sorted_ids:
        found = (y_pred[:, :k] == y_true[:, None]).any(-1)
    else:
        found = _in_top_k(y_true.astype(np.int64), y_pred, k)
    return _matches(found.reshape(shape))


def _in_top_k(labels, scores, k):
    """Whether fewer than `k` scores are larger than the label's; never where it is not finite."""
    own = np.take_along_axis(scores, labels[..., None], -1)
    larger = (scores > own).sum(-1)
    return (larger < k) & np.isfinite(own[..., 0])


def _countable(labels, scores):
    return (
        type(scores) is type(labels)
        and scores.ndim == 2
        and 0 < scores.shape[1]
        and scores.dtype in _COUNTED
        and labels.dtype.kind in "iu"
        and labels.shape in ((len(scores),), (len(scores), 1))
        and len(scores) < 2**24
    )


_COUNTED = (np.dtype(np.float32), np.dtype(np.float64))


@export("metrics.Accuracy")
class Accuracy(NamedMean):
    """The share of predictions equal to their targets.

    Source: Keras 3.15 `keras.metrics.Accuracy`.
    """

    def __init__(self, name="accuracy", dtype=None):
        super().__init__(accuracy, name=name, dtype=dtype)


@export("metrics.BinaryAccuracy")
class BinaryAccuracy(NamedMean):
    """The share of predictions on the right side of `threshold`.

    Source: Keras 3.15 `keras.metrics.BinaryAccuracy`.
    """

    def __init__(self, name="binary_accuracy", dtype=None, threshold=0.5):
        super().__init__(binary_accuracy, name=name, dtype=dtype, threshold=threshold)
        self.threshold = threshold


@export("metrics.CategoricalAccuracy")
class CategoricalAccuracy(NamedMean):
    """The share of samples whose largest prediction is at the largest entry of the target.

    Source: Keras 3.15 `keras.metrics.CategoricalAccuracy`.
    """

    def __init__(self, name="categorical_accuracy", dtype=None):
        super().__init__(categorical_accuracy, name=name, dtype=dtype)


@export("metrics.SparseCategoricalAccuracy")
class SparseCategoricalAccuracy(NamedMean):
    """The share of samples whose largest prediction is that of the target's class.

    Source: Keras 3.15 `keras.metrics.SparseCategoricalAccuracy`.
    """

    def __init__(self, name="sparse_categorical_accuracy", dtype=None):
        super().__init__(sparse_categorical_accuracy, name=name, dtype=dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        plain = type(y_true) is Tensor and type(y_pred) is Tensor and sample_weight is None
        if plain and getattr(y_pred, "mask", None) is None:
            labels, scores = y_true.data, y_pred.data
            if labels.size == len(scores) and _countable(labels, scores):
                # In one pass; a count below 2^24 is exact in float32, as is the sum of matches.
                count = kernels_at(scores).count_matches(scores, labels)
                on_gpu = hasattr(count, "to_host")
                self.total.accumulate(count if on_gpu else self.total.data.dtype.type(count))
                self.count.accumulate(len(scores))
                return
        super().update_state(y_true, y_pred, sample_weight)


@export("metrics.TopKCategoricalAccuracy")
class TopKCategoricalAccuracy(NamedMean):
    """The share of samples whose class is among the `k` largest predictions.

    Source: Keras 3.15 `keras.metrics.TopKCategoricalAccuracy`.
    """

    def __init__(self, k=5, name="top_k_categorical_accuracy", dtype=None):
        super().__init__(top_k_categorical_accuracy, name=name, dtype=dtype, k=k)
        self.k = k


@export("metrics.SparseTopKCategoricalAccuracy")
class SparseTopKCategoricalAccuracy(NamedMean):
    """The same with class numbers as targets; `from_sorted_ids`: predictions are class numbers.

    Source: Keras 3.15 `keras.metrics.SparseTopKCategoricalAccuracy`.
    """

    def __init__(
        self, k=5, name="sparse_top_k_categorical_accuracy", dtype=None, from_sorted_ids=False
    ):
        super().__init__(
            sparse_top_k_categorical_accuracy,
            name=name,
            dtype=dtype,
            k=k,
            from_sorted_ids=from_sorted_ids,
        )
        self.k = k
        self.from_sorted_ids = from_sorted_ids
