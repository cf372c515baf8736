"""DepthwiseConv1D and DepthwiseConv2D."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.layers.convolutional.base import WindowLayer
from kerasmirror.layers.layer import float_inputs
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options
from kerasmirror.ops.nn.conv import depthwise_geometry


class DepthwiseWindow(WindowLayer):
    """A window of weights (*window, C, depth_multiplier) that leaves channels to themselves."""

    def _depthwise_geometry(self, input_shape, channels):
        return depthwise_geometry(
            input_shape,
            (*self.kernel_size, channels, self.depth_multiplier),
            self.strides,
            self.padding,
            self._channels_first,
            self.dilation_rate,
            owner=type(self).__name__,
        )

    def _depthwise_sizes(self, input_shape):
        geometry = self._depthwise_geometry(tuple(input_shape), self._channels_of(input_shape))
        return geometry.out_size[-self.rank :]


class BaseDepthwiseConv(DepthwiseWindow):
    """`activation(depthwise_conv(inputs, kernel) + bias)` over `rank` spatial axes.

    Result channel c * depth_multiplier + m is channel c with its m-th window.
    """

    def __init__(
        self,
        rank,
        depth_multiplier,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        owner = type(self).__name__
        self.depth_multiplier = checks.positive_int(
            depth_multiplier, "depth_multiplier", owner=owner
        )
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        self._keep_window(rank, *window, activation, use_bias)
        keep_weight_options(
            self,
            depthwise=(depthwise_initializer, depthwise_regularizer, depthwise_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )

    def build(self, input_shape):
        channels = self._channels_of(input_shape)
        self._depthwise_sizes(input_shape)  # a window that does not fit raises here
        shape = (*self.kernel_size, channels, self.depth_multiplier)
        self.kernel = add_weight_with_options(self, "kernel", shape, options="depthwise")
        self._add_bias(channels * self.depth_multiplier)
        self._settle_inputs(channels)

    def call(self, inputs):
        inputs = float_inputs(self, inputs)
        geometry = self._depthwise_geometry(inputs.shape, self.kernel.shape[-2])
        return self._convolved(inputs, self.kernel, geometry, depthwise=True)

    def compute_output_shape(self, input_shape):
        filters = self._channels_of(input_shape) * self.depth_multiplier
        return self._result_shape(input_shape[0], self._depthwise_sizes(input_shape), filters)


@export("layers.DepthwiseConv1D")
class DepthwiseConv1D(BaseDepthwiseConv):
    """Each channel convolved alone, along one axis, with windows of its own.

    `activation(depthwise_conv(inputs, kernel) + bias)`.
    Shapes (channels last): inputs (N, W, C), kernel (S, C, depth_multiplier), result
    (N, Q, C * depth_multiplier).
    Raises: ValueError for bad sizes.
    Source: Keras 3.15 `keras.layers.DepthwiseConv1D`. TensorFlow wants equal strides; any go here.
    """

    def __init__(
        self,
        kernel_size,
        strides=1,
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            rank=1,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


@export("layers.DepthwiseConv2D")
class DepthwiseConv2D(BaseDepthwiseConv):
    """Each channel convolved alone, over two axes, with windows of its own.

    `activation(depthwise_conv(inputs, kernel) + bias)`.
    Shapes (channels last): inputs (N, H, W, C), kernel (R, S, C, depth_multiplier), result
    (N, P, Q, C * depth_multiplier).
    Raises: ValueError for bad sizes.
    Source: Keras 3.15 `keras.layers.DepthwiseConv2D`. TensorFlow wants equal strides; any go here.
    """

    def __init__(
        self,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        depth_multiplier=1,
        data_format=None,
        dilation_rate=(1, 1),
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(
            rank=2,
            kernel_size=kernel_size,
            strides=strides,
            padding=padding,
            depth_multiplier=depth_multiplier,
            data_format=data_format,
            dilation_rate=dilation_rate,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
