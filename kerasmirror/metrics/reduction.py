"""Sums and means over all samples seen: Mean, Sum, and means of a function's values."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.tape import no_grad
from kerasmirror.core import dtypes, serialization
from kerasmirror.core.device import kernels_at
from kerasmirror.core.tensor import Tensor, get_keras_mask
from kerasmirror.losses.loss import apply_mask, array_of
from kerasmirror.metrics.metric import Metric, zeros


def as_array(value, dtype):
    """The values of a tensor or of anything NumPy reads, in the dtype called `dtype`."""
    array = value.data if type(value) is Tensor else array_of(value)
    wanted = dtypes.numpy_dtype(dtype)
    return array if array.dtype == wanted else array.astype(wanted)


def samplewise(values, sample_weight, mask, dtype, reduce):
    """One value and one weight (or None) for each sample: (values, weights).

    Axes of the values that the weights lack are reduced (np.sum or np.mean) before weighing, the
    others after it.
    """
    if sample_weight is not None:
        if mask is not None:
            sample_weight = apply_mask(sample_weight, mask, dtype, "sum")
        weights = as_array(sample_weight, dtype)
        values, weights = same_rank(values, weights)
        rank = weights.ndim
        if values.ndim > rank:
            values = reduce(values, axis=tuple(range(rank, values.ndim)))
        weights = np.broadcast_to(weights, values.shape)
        values = values * weights
        if rank > 1:
            weights = reduce(weights, axis=tuple(range(1, rank)))
        sample_weight = weights
    if values.ndim > 1:
        values = reduce(values, axis=tuple(range(1, values.ndim)))
    return values, sample_weight


def same_rank(x1, x2):
    """`squeeze_or_expand_to_same_rank` of the losses, on arrays."""
    if x1.ndim == x2.ndim + 1 and x1.shape[-1] == 1:
        return (x1, x2[:, None]) if x2.ndim == 1 else (x1[..., 0], x2)
    if x2.ndim == x1.ndim + 1 and x2.shape[-1] == 1:
        return (x1[:, None], x2) if x1.ndim == 1 else (x1, x2[..., 0])
    return x1, x2


@export("metrics.Sum")
class Sum(Metric):
    """The sum of all values, times their weights.

    Source: Keras 3.15 `keras.metrics.Sum`.
    """

    def __init__(self, name="sum", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), zeros, self.dtype, name="total")

    def update_state(self, values, sample_weight=None):
        array = as_array(values, self._dtype)
        mask = get_keras_mask(values)
        array, _ = samplewise(array, sample_weight, mask, self._dtype, np.sum)
        self.total.accumulate(array.sum())

    def reset_state(self):
        self.total.writable().fill(0)

    def result(self):
        return Tensor(self.total.numpy())


@export("metrics.Mean")
class Mean(Metric):
    """The weighted mean of all values: `sum(w * x) / sum(w)`, 0 before any.

    Axes beyond those of the weights are averaged first.
    Source: Keras 3.15 `keras.metrics.Mean`.
    """

    def __init__(self, name="mean", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), zeros, self.dtype, name="total")
        self.count = self.add_variable((), zeros, self.dtype, name="count")

    def update_state(self, values, sample_weight=None):
        array = as_array(values, self._dtype)
        if array.ndim == 0 and (sample_weight is None or type(sample_weight) is int):
            weight = array.dtype.type(1 if sample_weight is None else sample_weight)
            self.total.accumulate(array * weight)
            self.count.accumulate(weight)
            return
        mask = get_keras_mask(values)
        array, weights = samplewise(array, sample_weight, mask, self._dtype, np.mean)
        self.total.accumulate(array.sum())
        if weights is not None:
            self.count.accumulate(weights.sum())
        else:
            self.count.accumulate(array.shape[0] if array.ndim else 1)

    def reset_state(self):
        self.total.writable().fill(0)
        self.count.writable().fill(0)

    def result(self):
        total, count = self.total.data, self.count.data
        if not isinstance(count, np.ndarray):  # on a GPU, which nobody waits for here
            return Tensor(kernels_at(count).where(count != 0, total / count, 0))
        mean = total / count if count else np.zeros((), count.dtype)
        return Tensor(np.asarray(mean, count.dtype))


@export("metrics.MeanMetricWrapper")
class MeanMetricWrapper(Mean):
    """The mean of `fn(y_true, y_pred, **kwargs)` over all samples, as their weights say.

    A mask on `y_pred` leaves samples out. Source: Keras 3.15 `keras.metrics.MeanMetricWrapper`.
    """

    def __init__(self, fn, name=None, dtype=None, **kwargs):
        super().__init__(name=name, dtype=dtype)
        self._fn = fn
        self._fn_kwargs = kwargs

    def update_state(self, y_true, y_pred, sample_weight=None):
        mask = get_keras_mask(y_pred)
        with no_grad():
            values = self._fn(y_true, y_pred, **self._fn_kwargs)
        if mask is not None:
            sample_weight = apply_mask(sample_weight, mask, self._dtype, "sum")
        super().update_state(values, sample_weight=sample_weight)

    def get_config(self):
        return {
            **super().get_config(),
            "fn": serialization.serialize_keras_object(self._fn),
            **serialization.serialize_keras_object(self._fn_kwargs),
        }

    @classmethod
    def from_config(cls, config):
        if "fn" in config:
            config = serialization.deserialize_keras_object(config)
        return cls(**config)


class NamedMean(MeanMetricWrapper):
    """A public class of mean metrics: its config is its constructor's arguments."""

    def get_config(self):
        return {"name": self.name, "dtype": self.dtype, **self._fn_kwargs}
