"""SeparableConv1D and SeparableConv2D."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.layers.convolutional.depthwise import DepthwiseWindow
from kerasmirror.layers.layer import float_inputs
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options
from kerasmirror.ops.nn.conv import conv2d_bias_activation, conv_geometry


class BaseSeparableConv(DepthwiseWindow):
    """`activation(conv(depthwise_conv(inputs, depthwise_kernel), pointwise_kernel) + bias)`.

    First each channel alone, then a window of one place that mixes the channels.
    """

    def __init__(
        self,
        rank,
        depth_multiplier,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
        bias_constraint=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        owner = type(self).__name__
        self.depth_multiplier = checks.positive_int(
            depth_multiplier, "depth_multiplier", owner=owner
        )
        self.filters = checks.positive_int(filters, "filters", owner=owner)
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        self._keep_window(rank, *window, activation, use_bias)
        keep_weight_options(
            self,
            depthwise=(depthwise_initializer, depthwise_regularizer, depthwise_constraint),
            pointwise=(pointwise_initializer, pointwise_regularizer, pointwise_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )

    def build(self, input_shape):
        channels = self._channels_of(input_shape)
        self._depthwise_sizes(input_shape)  # a window that does not fit raises here
        window = (*self.kernel_size, channels, self.depth_multiplier)
        place = (*(1,) * self.rank, channels * self.depth_multiplier, self.filters)
        self.depthwise_kernel = add_weight_with_options(
            self, "depthwise_kernel", window, options="depthwise"
        )
        self.pointwise_kernel = add_weight_with_options(
            self, "pointwise_kernel", place, options="pointwise"
        )
        self._add_bias(self.filters)
        self._settle_inputs(channels)

    def call(self, inputs):
        inputs = float_inputs(self, inputs)
        each = conv2d_bias_activation(
            inputs,
            self.depthwise_kernel,
            None,
            geometry=self._depthwise_geometry(inputs.shape, self.depthwise_kernel.shape[-2]),
            channels_first=self._channels_first,
            depthwise=True,
        )
        mix = self.pointwise_kernel
        geometry = conv_geometry(
            each.shape, mix.shape, 1, "valid", self._channels_first, 1, owner=self.name
        )
        return self._convolved(each, mix, geometry)

    def compute_output_shape(self, input_shape):
        sizes = self._depthwise_sizes(input_shape)
        return self._result_shape(input_shape[0], sizes, self.filters)


@export("layers.SeparableConv1D", "layers.SeparableConvolution1D")
class SeparableConv1D(BaseSeparableConv):
    """A depthwise convolution over one axis, then a convolution that mixes its channels.

    Shapes (channels last): inputs (N, W, C), depthwise_kernel (S, C, depth_multiplier),
    pointwise_kernel (1, C * depth_multiplier, filters), result (N, Q, filters).
    Raises: ValueError for bad sizes.
    Source: Keras 3.15 `keras.layers.SeparableConv1D`. TensorFlow wants equal strides; any go here.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=1,
        padding="valid",
        data_format=None,
        dilation_rate=1,
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
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
            depth_multiplier=depth_multiplier,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )


@export("layers.SeparableConv2D", "layers.SeparableConvolution2D")
class SeparableConv2D(BaseSeparableConv):
    """A depthwise convolution over two axes, then a convolution that mixes its channels.

    Shapes (channels last): inputs (N, H, W, C), depthwise_kernel (R, S, C, depth_multiplier),
    pointwise_kernel (1, 1, C * depth_multiplier, filters), result (N, P, Q, filters).
    Raises: ValueError for bad sizes.
    Source: Keras 3.15 `keras.layers.SeparableConv2D`. TensorFlow wants equal strides; any go here.
    """

    def __init__(
        self,
        filters,
        kernel_size,
        strides=(1, 1),
        padding="valid",
        data_format=None,
        dilation_rate=(1, 1),
        depth_multiplier=1,
        activation=None,
        use_bias=True,
        depthwise_initializer="glorot_uniform",
        pointwise_initializer="glorot_uniform",
        bias_initializer="zeros",
        depthwise_regularizer=None,
        pointwise_regularizer=None,
        bias_regularizer=None,
        activity_regularizer=None,
        depthwise_constraint=None,
        pointwise_constraint=None,
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
            depth_multiplier=depth_multiplier,
            activation=activation,
            use_bias=use_bias,
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer,
            activity_regularizer=activity_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
            **kwargs,
        )
