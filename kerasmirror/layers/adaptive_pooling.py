"""Adaptive pooling: as many stretches along each spatial axis as are asked for."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core.config import standardize_data_format
from kerasmirror.layers.layer import Layer

_EXPECTED = {
    1: "an integer or a tuple of one",
    2: "an integer or (height, width) tuple",
    3: "an integer or (depth, height, width) tuple",
}


class BaseAdaptivePooling(Layer):
    """`output_size` stretches of each spatial axis, as even as whole numbers allow."""

    def __init__(self, rank, output_size, data_format=None, **kwargs):
        super().__init__(**kwargs)
        owner = type(self).__name__
        sizes = (output_size,) * rank if isinstance(output_size, int) else output_size
        if not isinstance(sizes, (tuple, list)) or len(sizes) != rank:
            raise TypeError(
                f"{owner}: `output_size` must be {_EXPECTED[rank]}. "
                f"Received: {output_size} of type {type(output_size)}"
            )
        self.output_size = tuple(sizes)
        self.data_format = standardize_data_format(data_format, owner)

    def compute_output_shape(self, input_shape):
        if self.data_format == "channels_first":
            return (input_shape[0], input_shape[1], *self.output_size)
        return (input_shape[0], *self.output_size, input_shape[-1])


class BaseAdaptiveAveragePooling(BaseAdaptivePooling):
    """The mean of each stretch."""

    def call(self, inputs):
        return ops.adaptive_average_pool(inputs, self.output_size, self.data_format)


class BaseAdaptiveMaxPooling(BaseAdaptivePooling):
    """The largest value of each stretch."""

    def call(self, inputs):
        return ops.adaptive_max_pool(inputs, self.output_size, self.data_format)


@export("layers.AdaptiveAveragePooling1D")
class AdaptiveAveragePooling1D(BaseAdaptiveAveragePooling):
    """The mean of `output_size` stretches of each axis: (N, W, C) to (N, Q, C).

    Stretch i of m over n places goes from `floor(i n / m)` to `ceil((i + 1) n / m)`.
    Raises: TypeError unless `output_size` is an int or 1.
    Source: Keras 3.15 `keras.layers.AdaptiveAveragePooling1D`.
    """

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(1, output_size, data_format, **kwargs)


@export("layers.AdaptiveAveragePooling2D")
class AdaptiveAveragePooling2D(BaseAdaptiveAveragePooling):
    """The mean of `output_size` stretches of each axis: (N, H, W, C) to (N, P, Q, C).

    Stretch i of m over n places goes from `floor(i n / m)` to `ceil((i + 1) n / m)`.
    Raises: TypeError unless `output_size` is an int or 2.
    Source: Keras 3.15 `keras.layers.AdaptiveAveragePooling2D`.
    """

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(2, output_size, data_format, **kwargs)


@export("layers.AdaptiveAveragePooling3D")
class AdaptiveAveragePooling3D(BaseAdaptiveAveragePooling):
    """The mean of `output_size` stretches of each axis: (N, D, H, W, C) to (N, O, P, Q, C).

    Stretch i of m over n places goes from `floor(i n / m)` to `ceil((i + 1) n / m)`.
    Raises: TypeError unless `output_size` is an int or 3.
    Source: Keras 3.15 `keras.layers.AdaptiveAveragePooling3D`.
    """

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(3, output_size, data_format, **kwargs)


@export("layers.AdaptiveMaxPooling1D")
class AdaptiveMaxPooling1D(BaseAdaptiveMaxPooling):
    """The maximum of `output_size` stretches of each axis: (N, W, C) to (N, Q, C).

    Stretch i of m over n places goes from `floor(i n / m)` to `ceil((i + 1) n / m)`.
    Raises: TypeError unless `output_size` is an int or 1.
    Source: Keras 3.15 `keras.layers.AdaptiveMaxPooling1D`.
    """

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(1, output_size, data_format, **kwargs)


@export("layers.AdaptiveMaxPooling2D")
class AdaptiveMaxPooling2D(BaseAdaptiveMaxPooling):
    """The maximum of `output_size` stretches of each axis: (N, H, W, C) to (N, P, Q, C).

    Stretch i of m over n places goes from `floor(i n / m)` to `ceil((i + 1) n / m)`.
    Raises: TypeError unless `output_size` is an int or 2.
    Source: Keras 3.15 `keras.layers.AdaptiveMaxPooling2D`.
    """

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(2, output_size, data_format, **kwargs)


@export("layers.AdaptiveMaxPooling3D")
class AdaptiveMaxPooling3D(BaseAdaptiveMaxPooling):
    """The maximum of `output_size` stretches of each axis: (N, D, H, W, C) to (N, O, P, Q, C).

    Stretch i of m over n places goes from `floor(i n / m)` to `ceil((i + 1) n / m)`.
    Raises: TypeError unless `output_size` is an int or 3.
    Source: Keras 3.15 `keras.layers.AdaptiveMaxPooling3D`.
    """

    def __init__(self, output_size, data_format=None, **kwargs):
        super().__init__(3, output_size, data_format, **kwargs)
