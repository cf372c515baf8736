"""Layers that move values without computing any: Flatten, Reshape, Permute."""

from __future__ import annotations

import math
from numbers import Integral

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.config import standardize_data_format
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer


@export("layers.Flatten")
class Flatten(Layer):
    """All axes but the batch axis in one: (N, H, W, C) to (N, H * W * C).

    Channels first is moved to channels last before, so that weights behind it mean the same.
    Source: Keras 3.15 `keras.layers.Flatten`.
    """

    def __init__(self, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format, "Flatten")
        self.input_spec = InputSpec(min_ndim=1)

    def call(self, inputs):
        shape = inputs.shape
        if self.data_format == "channels_first" and len(shape) > 2:
            inputs = ops.transpose(inputs, (0, *range(2, len(shape)), 1))
        size = self.compute_output_shape(shape)[1]
        return ops.reshape(inputs, (shape[0], -1 if size is None else size))

    def compute_output_shape(self, input_shape):
        rest = input_shape[1:]
        return (input_shape[0], None if None in rest else math.prod(rest))

    def compute_output_spec(self, inputs):
        return KerasTensor(self.compute_output_shape(inputs.shape), inputs.dtype)


@export("layers.Reshape")
class Reshape(Layer):
    """The axes behind the batch axis become `target_shape`, one of which may be -1.

    Raises: ValueError when the sizes do not multiply to the same number, or two are -1.
    Source: Keras 3.15 `keras.layers.Reshape`.
    """

    def __init__(self, target_shape, **kwargs):
        super().__init__(**kwargs)
        expected = "non-negative integers, or one -1 among them"
        if isinstance(target_shape, Integral):
            target_shape = (target_shape,)
        elif not hasattr(target_shape, "__iter__"):
            checks.fail("Reshape", "target_shape", expected, target_shape, TypeError)
        target_shape = tuple(target_shape)
        good = all(
            isinstance(s, Integral) and not isinstance(s, bool) and s >= -1 for s in target_shape
        )
        if not good:
            checks.fail("Reshape", "target_shape", expected, target_shape)
        if target_shape.count(-1) > 1:
            expected = "have at most one unknown dimension, a -1"
            raise ValueError(
                f"Reshape: `target_shape` must {expected}. Received: target_shape={target_shape}"
            )
        target_shape = tuple(int(s) for s in target_shape)
        self.target_shape = target_shape
        self._build_at_init()

    def call(self, inputs):
        target = self.compute_output_shape(inputs.shape)[1:]
        sizes = tuple(-1 if size is None else size for size in target)
        return ops.reshape(inputs, (inputs.shape[0], *sizes))

    def compute_output_shape(self, input_shape):
        rest = tuple(input_shape[1:])
        target = self.target_shape
        if None in rest:
            return (input_shape[0], *(None if size == -1 else size for size in target))
        total = math.prod(rest)
        known = math.prod(size for size in target if size != -1)
        free = -1 in target
        if (free and (known == 0 or total % known)) or (not free and known != total):
            raise ValueError(
                "Reshape: `target_shape` must have as many values as the input. "
                f"Received: target_shape={target}, inputs of shape {tuple(input_shape)}"
            )
        return (input_shape[0], *(total // known if size == -1 else size for size in target))

    def compute_output_spec(self, inputs):
        return KerasTensor(self.compute_output_shape(inputs.shape), inputs.dtype)


@export("layers.Permute")
class Permute(Layer):
    """The axes behind the batch axis in the order `dims`, counted from 1.

    Raises: ValueError unless `dims` are the numbers 1, 2, ... in any order.
    Source: Keras 3.15 `keras.layers.Permute`.
    """

    def __init__(self, dims, **kwargs):
        super().__init__(**kwargs)
        self.dims = tuple(dims)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ValueError(
                "Permute: Invalid permutation argument `dims`, which must hold each number from 1 "
                f"to the number of axes once. Received: dims={dims}"
            )
        self.input_spec = InputSpec(ndim=len(self.dims) + 1)

    def call(self, inputs):
        return ops.transpose(inputs, (0, *self.dims))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], *[input_shape[axis] for axis in self.dims])

    def compute_output_spec(self, inputs):
        return KerasTensor(self.compute_output_shape(inputs.shape), inputs.dtype)
