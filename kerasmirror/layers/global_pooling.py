"""Pooling over all spatial axes at once."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core.config import standardize_data_format
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer


class BaseGlobalPooling(Layer):
    """All spatial positions of a channel replaced by one number."""

    def __init__(self, rank, data_format=None, keepdims=False, **kwargs):
        super().__init__(**kwargs)
        self.data_format = standardize_data_format(data_format, type(self).__name__)
        self.keepdims = keepdims
        self.input_spec = InputSpec(ndim=rank + 2)
        start = 2 if self.data_format == "channels_first" else 1
        self._axes = tuple(range(start, start + rank))
        self._build_at_init()

    def compute_output_shape(self, input_shape):
        shape = [1 if i in self._axes else size for i, size in enumerate(input_shape)]
        if self.keepdims:
            return tuple(shape)
        return tuple(size for i, size in enumerate(shape) if i not in self._axes)


class BaseGlobalMaxPooling(BaseGlobalPooling):
    """The largest value of each channel."""

    def call(self, inputs):
        return ops.max(inputs, axis=self._axes, keepdims=self.keepdims)


class BaseGlobalAveragePooling(BaseGlobalPooling):
    """The mean of each channel."""

    def call(self, inputs):
        return ops.mean(inputs, axis=self._axes, keepdims=self.keepdims)


@export("layers.GlobalMaxPooling1D", "layers.GlobalMaxPool1D")
class GlobalMaxPooling1D(BaseGlobalMaxPooling):
    """The largest value of each channel: (N, W, C) to (N, C), or (N, 1, C) with `keepdims`.

    Source: Keras 3.15 `keras.layers.GlobalMaxPooling1D`.
    """

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(1, data_format, keepdims, **kwargs)


@export("layers.GlobalMaxPooling2D", "layers.GlobalMaxPool2D")
class GlobalMaxPooling2D(BaseGlobalMaxPooling):
    """The largest value of each channel: (N, H, W, C) to (N, C), or (N, 1, 1, C) with `keepdims`.

    Source: Keras 3.15 `keras.layers.GlobalMaxPooling2D`.
    """

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(2, data_format, keepdims, **kwargs)


@export("layers.GlobalAveragePooling1D", "layers.GlobalAvgPool1D")
class GlobalAveragePooling1D(BaseGlobalAveragePooling):
    """The mean of each channel: (N, W, C) to (N, C), or (N, 1, C) with `keepdims`.

    Steps where the mask (N, W) is false do not count.
    Source: Keras 3.15 `keras.layers.GlobalAveragePooling1D`.
    """

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(1, data_format, keepdims, **kwargs)
        self.supports_masking = True

    def call(self, inputs, mask=None):
        if mask is None:
            return super().call(inputs)
        channel_axis = 1 if self.data_format == "channels_first" else 2
        weight = ops.expand_dims(ops.cast(mask, inputs.dtype), channel_axis)
        total = ops.sum(ops.multiply(inputs, weight), axis=self._axes, keepdims=self.keepdims)
        return ops.divide(total, ops.sum(weight, axis=self._axes, keepdims=self.keepdims))

    def compute_mask(self, inputs, mask=None):
        return None


@export("layers.GlobalAveragePooling2D", "layers.GlobalAvgPool2D")
class GlobalAveragePooling2D(BaseGlobalAveragePooling):
    """The mean of each channel: (N, H, W, C) to (N, C), or (N, 1, 1, C) with `keepdims`.

    Source: Keras 3.15 `keras.layers.GlobalAveragePooling2D`.
    """

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(2, data_format, keepdims, **kwargs)


@export("layers.GlobalMaxPooling3D", "layers.GlobalMaxPool3D")
class GlobalMaxPooling3D(BaseGlobalMaxPooling):
    """The largest value of each channel: (N, D, H, W, C) to (N, C), or (N, 1, 1, 1, C).

    Source: Keras 3.15 `keras.layers.GlobalMaxPooling3D`.
    """

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(3, data_format, keepdims, **kwargs)


@export("layers.GlobalAveragePooling3D", "layers.GlobalAvgPool3D")
class GlobalAveragePooling3D(BaseGlobalAveragePooling):
    """The mean of each channel: (N, D, H, W, C) to (N, C), or (N, 1, 1, 1, C) with `keepdims`.

    Source: Keras 3.15 `keras.layers.GlobalAveragePooling3D`.
    """

    def __init__(self, data_format=None, keepdims=False, **kwargs):
        super().__init__(3, data_format, keepdims, **kwargs)
