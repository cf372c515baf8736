"""Conv1DTranspose, Conv2DTranspose and Conv3DTranspose."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.layers.convolutional.base import WindowLayer
from kerasmirror.layers.layer import float_inputs
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options


class BaseConvTranspose(WindowLayer):
    """`activation(conv_transpose(inputs, kernel) + bias)` over `rank` spatial axes.

    The map by which a convolution's output gradient becomes its input's: what a stride has made
    smaller becomes larger by it.
    """

    def __init__(
        self,
        rank,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        owner = type(self).__name__
        self.filters = checks.positive_int(filters, "filters", owner=owner)
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        self._keep_window(rank, *window, activation, use_bias)
        self.output_padding = self._checked_output_padding(output_padding)
        self._refuse_stride_with_dilation()
        keep_weight_options(
            self,
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )

    def _checked_output_padding(self, given):
        if given is None:
            return None
        owner = type(self).__name__
        extra = checks.int_tuple(given, self.rank, "output_padding", owner=owner, minimum=0)
        if any(more >= stride for more, stride in zip(extra, self.strides, strict=True)):
            raise ValueError(
                f"{owner}: `output_padding` must be less than `strides` along each axis. "
                f"Received: output_padding={given!r}, strides={self.strides}"
            )
        return extra

    def build(self, input_shape):
        channels = self._channels_of(input_shape)
        self.kernel = add_weight_with_options(
            self, "kernel", (*self.kernel_size, self.filters, channels)
        )
        self._add_bias(self.filters)
        self._settle_inputs(channels)

    def call(self, inputs):
        inputs = float_inputs(self, inputs)
        return self._finished(self._transposed(inputs, ops.cast(self.kernel, inputs.dtype)))

    def _transposed(self, inputs, kernel):
        return ops.conv_transpose(
            inputs,
            kernel,
            self.strides,
            self.padding,
            self.output_padding,
            self.data_format,
            self.dilation_rate,
        )

    def compute_output_shape(self, input_shape):
        inputs = KerasTensor(tuple(input_shape), record_history=False)
        channels = input_shape[1 if self._channels_first else -1]
        kernel_shape = (*self.kernel_size, self.filters, channels)
        kernel = KerasTensor(kernel_shape, record_history=False)
        return tuple(self._transposed(inputs, kernel).shape)


@export("layers.Conv1DTranspose", "layers.Convolution1DTranspose")
class Conv1DTranspose(BaseConvTranspose):
    """Transposed convolution along one axis: `activation(conv_transpose(inputs, kernel) + bias)`.

    Shapes (channels last): inputs (N, Q, C), kernel (S, filters, C), result (N, W, filters) with
    W = Q * stride for "same", (Q - 1) * stride + (S - 1) * dilation + 1 for "valid" (with a window
    below the stride: Q * stride).
    Raises: ValueError for bad sizes, or an `output_padding` that is not below the stride.
    Source: Keras 3.15 `keras.layers.Conv1DTranspose`.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            rank=1,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


@export("layers.Conv2DTranspose", "layers.Convolution2DTranspose")
class Conv2DTranspose(BaseConvTranspose):
    """Transposed convolution over two axes: `activation(conv_transpose(inputs, kernel) + bias)`.

    Shapes (channels last): inputs (N, P, Q, C), kernel (R, S, filters, C), result
    (N, H, W, filters), each size as in `Conv1DTranspose`.
    Raises: ValueError for bad sizes, or an `output_padding` that is not below the stride.
    Source: Keras 3.15 `keras.layers.Conv2DTranspose`.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        output_padding=None,
        data_format=None,
        dilation_rate=(1, 1),
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            rank=2,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            output_padding=output_padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


@export("layers.Conv3DTranspose", "layers.Convolution3DTranspose")
class Conv3DTranspose(BaseConvTranspose):
    """Transposed convolution over volumes: `activation(conv_transpose(inputs, kernel) + bias)`.

    Shapes (channels last): inputs (N, O, P, Q, C), kernel (T, R, S, filters, C), result
    (N, D, H, W, filters), each size as in `Conv1DTranspose`.
    Raises: ValueError for bad sizes, or an `output_padding` that is not below the stride.
    Source: Keras 3.15 `keras.layers.Conv3DTranspose`.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1, 1),
        padding="valid",
        data_format=None,
        output_padding=None,
        dilation_rate=(1, 1, 1),
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        kernel_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        kernel_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            rank=3,
            filters=filters,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            output_padding=output_padding,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
