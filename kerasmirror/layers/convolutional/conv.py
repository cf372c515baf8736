"""Conv1D, Conv2D and Conv3D."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.layers.convolutional.base import BaseConv


@export("layers.Conv1D", "layers.Convolution1D")
class Conv1D(BaseConv):
    """Convolution along one axis: `activation(conv(inputs, kernel) + bias)`.

    Shapes (channels last): inputs (N, W, C), kernel (S, C / groups, filters), result
    (N, Q, filters). `padding` "causal" pads before only, so that no output sees the future.
    Raises: ValueError for bad sizes, or groups that do not divide filters and channels.
    Source: Keras 3.15 `keras.layers.Conv1D`, without LoRA.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        groups=1,
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
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
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


@export("layers.Conv2D", "layers.Convolution2D")
class Conv2D(BaseConv):
    """Convolution over two axes: `activation(conv(inputs, kernel) + bias)`.

    Shapes (channels last): inputs (N, H, W, C), kernel (R, S, C / groups, filters), result
    (N, P, Q, filters).
    Raises: ValueError for bad sizes, or groups that do not divide filters and channels.
    Source: Keras 3.15 `keras.layers.Conv2D`, without LoRA.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1),
        groups=1,
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
            data_format=data_format,
            dilation_rate=dilation_rate,
            groups=groups,
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


@export("layers.Conv3D", "layers.Convolution3D")
class Conv3D(BaseConv):
    """Convolution over volumes: `activation(conv(inputs, kernel) + bias)`.

    Shapes (channels last): inputs (N, D, H, W, C), kernel (T, R, S, C / groups, filters), result
    (N, O, P, Q, filters).
    Raises: ValueError for bad sizes, or groups that do not divide filters and channels.
    Source: Keras 3.15 `keras.layers.Conv3D`, without LoRA.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1, 1),
        groups=1,
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
            dilation_rate=dilation_rate,
            groups=groups,
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
