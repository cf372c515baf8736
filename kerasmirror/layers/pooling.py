"""Pooling layers over one, two and three axes."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.config import standardize_data_format
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer
from kerasmirror.ops.nn.pool import pool_geometry


class BasePooling(Layer):
    """Each window of the input replaced by one number."""

    def __init__(self, rank, pool_size, strides, padding, data_format, name, **kwargs):
        super().__init__(name=name, **kwargs)
        owner = type(self).__name__
        self.pool_size = checks.int_tuple(pool_size, rank, "pool_size", owner=owner)
        strides = self.pool_size if strides is None else strides
        self.strides = checks.int_tuple(strides, rank, "strides", owner=owner)
        self.padding = checks.padding(padding, owner=owner)
        self.data_format = standardize_data_format(data_format, owner)
        self.input_spec = InputSpec(ndim=rank + 2)
        self._build_at_init()

    def call(self, inputs):
        return self._pool(
            inputs,
            pool_size=self.pool_size,
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
        )

    def compute_output_shape(self, input_shape):
        first = self.data_format == "channels_first"
        spatial = tuple(input_shape[2:] if first else input_shape[1:-1])
        geometry = pool_geometry(
            spatial, self.pool_size, self.strides, self.padding, type(self).__name__
        )
        size = geometry.out_size[-len(spatial) :]
        if first:
            return (input_shape[0], input_shape[1], *size)
        return (input_shape[0], *size, input_shape[-1])


class BaseMaxPooling(BasePooling):
    """The largest value of each window."""

    def _pool(self, inputs, **options):
        return ops.max_pool(inputs, **options)


class BaseAveragePooling(BasePooling):
    """The mean of each window; padded places do not count."""

    def _pool(self, inputs, **options):
        return ops.average_pool(inputs, **options)


@export("layers.MaxPooling1D", "layers.MaxPool1D")
class MaxPooling1D(BaseMaxPooling):
    """The largest value of each window along one axis.

    Shapes (channels last): inputs (N, W, C), result (N, Q, C). `strides` is `pool_size` unless
    given.
    Source: Keras 3.15 `keras.layers.MaxPooling1D`.
    """

    def __init__(
        self, pool_size=2, strides=None, padding="valid", data_format=None, name=None, **kwargs
    ):
        super().__init__(1, pool_size, strides, padding, data_format, name, **kwargs)


@export("layers.MaxPooling2D", "layers.MaxPool2D")
class MaxPooling2D(BaseMaxPooling):
    """The largest value of each window over two axes.

    Shapes (channels last): inputs (N, H, W, C), result (N, P, Q, C). `strides` is `pool_size`
    unless given. The first of several largest values gets the gradient.
    Source: Keras 3.15 `keras.layers.MaxPooling2D`.
    """

    def __init__(
        self,
        pool_size=(2, 2),
        strides=None,
        padding="valid",
        data_format=None,
        name=None,
        **kwargs,
    ):
        super().__init__(2, pool_size, strides, padding, data_format, name, **kwargs)


@export("layers.AveragePooling1D", "layers.AvgPool1D")
class AveragePooling1D(BaseAveragePooling):
    """The mean of each window along one axis; padded places do not count.

    Shapes (channels last): inputs (N, W, C), result (N, Q, C).
    Source: Keras 3.15 `keras.layers.AveragePooling1D`.
    """

    def __init__(
        self, pool_size, strides=None, padding="valid", data_format=None, name=None, **kwargs
    ):
        super().__init__(1, pool_size, strides, padding, data_format, name, **kwargs)


@export("layers.AveragePooling2D", "layers.AvgPool2D")
class AveragePooling2D(BaseAveragePooling):
    """The mean of each window over two axes; padded places do not count.

    Shapes (channels last): inputs (N, H, W, C), result (N, P, Q, C).
    Source: Keras 3.15 `keras.layers.AveragePooling2D`.
    """

    def __init__(
        self, pool_size, strides=None, padding="valid", data_format=None, name=None, **kwargs
    ):
        super().__init__(2, pool_size, strides, padding, data_format, name, **kwargs)


@export("layers.MaxPooling3D", "layers.MaxPool3D")
class MaxPooling3D(BaseMaxPooling):
    """The largest value of each window over three axes.

    Shapes (channels last): inputs (N, D, H, W, C), result (N, O, P, Q, C). `strides` is
    `pool_size` unless given.
    Source: Keras 3.15 `keras.layers.MaxPooling3D`.
    """

    def __init__(
        self,
        pool_size=(2, 2, 2),
        strides=None,
        padding="valid",
        data_format=None,
        name=None,
        **kwargs,
    ):
        super().__init__(3, pool_size, strides, padding, data_format, name, **kwargs)


@export("layers.AveragePooling3D", "layers.AvgPool3D")
class AveragePooling3D(BaseAveragePooling):
    """The mean of each window over three axes; padded places do not count.

    Shapes (channels last): inputs (N, D, H, W, C), result (N, O, P, Q, C).
    Source: Keras 3.15 `keras.layers.AveragePooling3D`.
    """

    def __init__(
        self, pool_size, strides=None, padding="valid", data_format=None, name=None, **kwargs
    ):
        super().__init__(3, pool_size, strides, padding, data_format, name, **kwargs)
