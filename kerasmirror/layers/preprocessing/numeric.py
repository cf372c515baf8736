"""Rescaling and Normalization of numbers."""

from __future__ import annotations

import itertools
import math

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import config, dtypes, serialization
from kerasmirror.core.tensor import Tensor
from kerasmirror.layers.layer import Layer


@export("layers.Rescaling")
class Rescaling(Layer):
    """`inputs * scale + offset`, in the compute dtype.

    scale and offset are numbers or arrays that broadcast to the inputs; with channels first, an
    array of scales is one per channel.
    Source: Keras 3.15 `keras.layers.Rescaling`.
    """

    def __init__(self, scale, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale
        self.offset = offset
        self.supports_masking = True

    def call(self, inputs):
        dtype = self.compute_dtype
        scale = np.asarray(self.scale, dtypes.numpy_dtype(dtype))
        offset = np.asarray(self.offset, dtypes.numpy_dtype(dtype))
        if scale.ndim and config.image_data_format() == "channels_first":
            scale = scale.reshape(scale.shape + (1,) * (3 - scale.ndim))
        return ops.add(ops.multiply(ops.cast(inputs, dtype), scale), offset)

    def compute_output_shape(self, input_shape):
        return input_shape

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for key in ("scale", "offset"):
            if key in config:
                config[key] = serialization.deserialize_keras_object(config[key])
        return super().from_config(config)


@export("layers.Normalization")
class Normalization(Layer):
    """`(inputs - mean) / sqrt(variance)` for each position along `axis`; the reverse if `invert`.

    mean and variance are given, or learned from data by `adapt`. A standard deviation below
    epsilon counts as epsilon.
    Args: `axis` is an int, a tuple of ints, or None for one mean and variance of everything.
    Raises: ValueError when only one of mean and variance is given, or the shapes do not fit.
    Source: Keras 3.15 `keras.layers.Normalization`.
    """

    def __init__(self, axis=-1, mean=None, variance=None, invert=False, **kwargs):
        super().__init__(**kwargs)
        self.axis = () if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
        if (mean is None) != (variance is None):
            raise ValueError(
                "Normalization: `mean` and `variance` must be given together. "
                f"Received: mean={mean}, variance={variance}"
            )
        if mean is not None:
            if np.shape(mean) != np.shape(variance):
                raise ValueError(
                    "Normalization: `mean` and `variance` must have the same shape. "
                    f"Received: shapes {np.shape(mean)} and {np.shape(variance)}"
                )
            if np.ndim(mean) > len(self.axis):
                raise ValueError(
                    f"Normalization: `mean` must have at most {len(self.axis)} axes, as many as "
                    f"`axis`. Received: mean of shape {np.shape(mean)}, axis={self.axis}"
                )
        self.input_mean = mean
        self.input_variance = variance
        self.invert = invert
        self.supports_masking = True
        self.mean = None
        self.variance = None

    def build(self, input_shape):
        rank = len(input_shape)
        if any(not -rank <= axis < rank for axis in self.axis):
            raise ValueError(
                f"Normalization: `axis` must be among the axes of inputs of shape "
                f"{tuple(input_shape)}. Received: axis={self.axis}"
            )
        self._kept = tuple(sorted(axis % rank for axis in self.axis))
        unknown = [axis for axis in self._kept if input_shape[axis] is None]
        if unknown:
            raise ValueError(
                "Normalization: `inputs` must have known sizes along `axis`. "
                f"Received: inputs of shape {tuple(input_shape)}, axis={self.axis}"
            )
        self._reduced = tuple(i for i in range(rank) if i not in self._kept)
        self._stretched = tuple(input_shape[i] if i in self._kept else 1 for i in range(rank))
        self._built_shape = tuple(input_shape)
        shape = tuple(input_shape[i] for i in self._kept)
        if self.input_mean is None:
            self.adapt_mean = self._state("mean", shape, "zeros")
            self.adapt_variance = self._state("variance", shape, "ones")
            # Keras keeps a count in its files; nothing reads it.
            self.count = self._state("count", (), "zeros", dtype="int64")
            self.finalize_state()
        else:
            self.mean, self.variance = (
                self._aligned(np.asarray(value, self._array_dtype()))
                for value in (self.input_mean, self.input_variance)
            )

    def _state(self, name, shape, initializer, dtype=None):
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, dtype=dtype, trainable=False
        )

    def _array_dtype(self):
        return dtypes.numpy_dtype(self.compute_dtype)

    def _aligned(self, values):
        """`values` along the kept axes, from the right, stretched for broadcasting."""
        shape = [1] * len(self._stretched)
        for i in range(1, values.ndim + 1):
            shape[self._kept[-i]] = values.shape[-i]
        return np.broadcast_to(values.reshape(shape), self._stretched)

    def adapt(self, data):
        """Set mean and variance to those of `data`: an array, or an iterable of batches.

        Raises: ValueError for data that does not fit the built shape or an empty iterable,
        TypeError for anything else.
        """
        if self.input_mean is not None:
            raise ValueError(
                "Normalization.adapt: the layer must have been made without `mean` and "
                "`variance`. Received: a layer that was given both"
            )
        if isinstance(data, (np.ndarray, Tensor)):
            batches, first = [data], np.asarray(data)
        elif hasattr(data, "__iter__") or hasattr(data, "__getitem__"):
            rest = iter(data)
            first = next(rest, None)
            if first is None:
                raise ValueError(
                    "Normalization.adapt: `data` must have at least one batch. Received: none"
                )
            batches = itertools.chain([first], rest)
            first = np.asarray(_inputs_of(first))
        else:
            raise TypeError(
                "Normalization.adapt: `data` must be an array or an iterable of batches. "
                f"Received: data of type {type(data)}"
            )
        if not self.built:
            self.build(first.shape)
        mean, variance = self._statistics(batches)
        self.adapt_mean.assign(mean.astype(self.adapt_mean.data.dtype))
        self.adapt_variance.assign(variance.astype(self.adapt_variance.data.dtype))
        self.finalize_state()

    def _statistics(self, batches):
        # Batches are merged in float64: mean and squares about it, weighted by their counts.
        mean = variance = np.zeros(())
        total = 0
        for batch in batches:
            batch = np.asarray(_inputs_of(batch), dtype="float64")
            wrong = [i for i in self._kept if batch.shape[i] != self._built_shape[i]]
            if batch.ndim != len(self._built_shape) or wrong:
                raise ValueError(
                    f"Normalization.adapt: `data` must fit the built shape {self._built_shape}. "
                    f"Received: data of shape {batch.shape}"
                )
            count = math.prod(batch.shape[i] for i in self._reduced)
            total += count
            share = count / total
            batch_mean = batch.mean(axis=self._reduced)
            new_mean = mean + (batch_mean - mean) * share
            variance = (variance + (mean - new_mean) ** 2) * (1 - share) + (
                batch.var(axis=self._reduced) + (batch_mean - new_mean) ** 2
            ) * share
            mean = new_mean
        return mean, variance

    def finalize_state(self):
        """Take the adapted mean and variance into use."""
        if self.input_mean is None and self.adapt_mean is not None:
            dtype = self._array_dtype()
            self.mean = self.adapt_mean.numpy().astype(dtype).reshape(self._stretched)
            self.variance = self.adapt_variance.numpy().astype(dtype).reshape(self._stretched)

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self.finalize_state()

    def call(self, inputs):
        inputs = ops.cast(inputs, self.compute_dtype)
        deviation = np.maximum(np.sqrt(self.variance), self._array_dtype().type(config.epsilon()))
        if self.invert:
            return ops.add(self.mean, ops.multiply(inputs, deviation))
        return ops.divide(ops.subtract(inputs, self.mean), deviation)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config["mean"] = _listed(self.input_mean)
        config["variance"] = _listed(self.input_variance)
        return config


def _inputs_of(batch):
    return batch[0] if isinstance(batch, (tuple, list)) else batch


def _listed(value):
    return None if value is None else np.asarray(value).tolist()
