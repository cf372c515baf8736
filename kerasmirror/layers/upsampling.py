"""Layers that make sequences, images and volumes larger."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.config import standardize_data_format
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer
from kerasmirror.ops.nn.upsampling import repeat_places


def positive_count(value, name, owner):
    """`value` as an int above 0; TypeError for no int, ValueError for another one."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(
            f"{owner}: Expected an integer value for `{name}`. "
            f"Received: {name}={value!r} of type {type(value)}"
        )
    if value <= 0:
        raise ValueError(
            f"{owner}: `{name}` should be a positive integer. Received: {name}={value}"
        )
    return value


@export("layers.UpSampling1D")
class UpSampling1D(Layer):
    """Each step `size` times in a row: (N, W, C) to (N, size * W, C).

    Raises: TypeError for a `size` that is no int, ValueError for one below 1.
    Source: Keras 3.15 `keras.layers.UpSampling1D`.
    """

    def __init__(self, size=2, **kwargs):
        super().__init__(**kwargs)
        self.size = positive_count(size, "size", "UpSampling1D")
        self.input_spec = InputSpec(ndim=3)

    def call(self, inputs):
        return repeat_places(inputs, counts=(1, self.size, 1))

    def compute_output_shape(self, input_shape):
        steps = input_shape[1]
        return (input_shape[0], None if steps is None else self.size * steps, input_shape[2])


class BaseUpSampling(Layer):
    """Each spatial place `size` times in a row along its axis."""

    def __init__(self, rank, size, data_format=None, **kwargs):
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.data_format = standardize_data_format(data_format, owner)
        self.size = checks.int_tuple(size, rank, "size", owner=owner)
        self.input_spec = InputSpec(ndim=rank + 2)

    def _counts(self):
        if self.data_format == "channels_first":
            return (1, 1, *self.size)
        return (1, *self.size, 1)

    def call(self, inputs):
        return repeat_places(inputs, counts=self._counts())

    def compute_output_shape(self, input_shape):
        sizes = zip(input_shape, self._counts(), strict=True)
        return tuple([None if size is None else size * count for size, count in sizes])


@export("layers.UpSampling2D")
class UpSampling2D(BaseUpSampling):
    """Images `size` times as large: (N, H, W, C) to (N, size[0] * H, size[1] * W, C).

    `interpolation` is "nearest" (pixels repeated), "bilinear", "bicubic", "lanczos3" or "lanczos5".
    Raises: ValueError for a size below 1 or an unknown interpolation.
    Source: Keras 3.15 `keras.layers.UpSampling2D`.
    """

    def __init__(self, size=(2, 2), data_format=None, interpolation="nearest", **kwargs):
        super().__init__(2, size, data_format, **kwargs)
        known = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
        lower = interpolation.lower() if isinstance(interpolation, str) else interpolation
        checks.one_of(lower, known, "interpolation", owner="UpSampling2D")
        self.interpolation = lower

    def call(self, inputs):
        if self.interpolation == "nearest":
            return super().call(inputs)
        axes = (2, 3) if self.data_format == "channels_first" else (1, 2)
        sizes = [inputs.shape[axis] * n for axis, n in zip(axes, self.size, strict=True)]
        return ops.image.resize(
            inputs, tuple(sizes), interpolation=self.interpolation, data_format=self.data_format
        )


@export("layers.UpSampling3D")
class UpSampling3D(BaseUpSampling):
    """Volumes `size` times as large: each place repeated along its three axes.

    Shapes (channels last): inputs (N, D, H, W, C), result (N, size[0] * D, ..., C).
    Source: Keras 3.15 `keras.layers.UpSampling3D`.
    """

    def __init__(self, size=(2, 2, 2), data_format=None, **kwargs):
        super().__init__(3, size, data_format, **kwargs)


@export("layers.RepeatVector")
class RepeatVector(Layer):
    """The inputs `n` times: (N, C) to (N, n, C).

    Raises: TypeError for an `n` that is no int, ValueError for one below 1.
    Source: Keras 3.15 `keras.layers.RepeatVector`.
    """

    def __init__(self, n, **kwargs):
        super().__init__(**kwargs)
        self.n = positive_count(n, "n", "RepeatVector")
        self.input_spec = InputSpec(ndim=2)

    def call(self, inputs):
        return repeat_places(ops.expand_dims(inputs, 1), counts=(1, self.n, 1))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.n, input_shape[1])
