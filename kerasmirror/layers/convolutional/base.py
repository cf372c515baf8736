"""What the convolution layers of all kinds and ranks share, and BaseConv, the plain one."""

from __future__ import annotations

from kerasmirror import activations, ops
from kerasmirror.core import checks
from kerasmirror.core.config import standardize_data_format
from kerasmirror.kernels.geometry import window_output
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer, float_inputs
from kerasmirror.layers.weight_options import (
    add_weight_with_options,
    keep_weight_options,
    refuse,
)
from kerasmirror.ops.nn.conv import conv2d_bias_activation, conv_geometry


class WindowLayer(Layer):
    """What every layer that slides a window of weights keeps, and what follows its convolution."""

    def _keep_window(
        self,
        rank,
        kernel_size,
        strides,
        padding,
        data_format,
        dilation_rate,
        activation,
        use_bias,
        causal=False,
    ):
        owner = type(self).__name__
        self.rank = rank
        self.kernel_size = checks.int_tuple(kernel_size, rank, "kernel_size", owner=owner)
        self.strides = checks.int_tuple(strides, rank, "strides", owner=owner)
        self.dilation_rate = checks.int_tuple(dilation_rate, rank, "dilation_rate", owner=owner)
        allowed = ("valid", "same", "causal") if causal else ("valid", "same")
        self.padding = checks.padding(padding, owner=owner, allowed=allowed)
        self.data_format = standardize_data_format(data_format, owner)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self._channels_first = self.data_format == "channels_first"
        self.input_spec = InputSpec(ndim=rank + 2)

    def _refuse_stride_with_dilation(self):
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{type(self).__name__}: `strides` must be 1 where `dilation_rate` is above 1. "
                f"Received: strides={self.strides}, dilation_rate={self.dilation_rate}"
            )

    def _channels_of(self, input_shape):
        """The number of channels, which weights need. Raises: ValueError where it is unknown."""
        channels = input_shape[1 if self._channels_first else -1]
        if channels is None:
            raise ValueError(
                f"{type(self).__name__}: `inputs` must have a known number of channels. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )
        return channels

    def _settle_inputs(self, channels):
        """From now on inputs have this many channels."""
        axis = 1 if self._channels_first else -1
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})

    def _result_shape(self, batch, sizes, filters):
        return (batch, filters, *sizes) if self._channels_first else (batch, *sizes, filters)

    def _add_bias(self, filters):
        self.bias = add_weight_with_options(self, "bias", (filters,)) if self.use_bias else None

    def _convolved(self, inputs, kernel, geometry, depthwise=False):
        """`activation(conv(inputs, kernel) + bias)`, in one pass where the activation allows it."""
        fused = activations.fusable(self.activation)
        outputs = conv2d_bias_activation(
            inputs,
            kernel,
            self.bias,
            geometry=geometry,
            activation=fused or "linear",
            channels_first=self._channels_first,
            depthwise=depthwise,
        )
        return outputs if fused is not None else self.activation(outputs)

    def _finished(self, outputs):
        """`activation(outputs + bias)` as operations of their own."""
        if self.use_bias:
            bias = ops.cast(self.bias, outputs.dtype)
            if self._channels_first:
                bias = ops.reshape(bias, (-1, *(1,) * self.rank))
            outputs = ops.add(outputs, bias)
        return self.activation(outputs)

    def get_config(self):
        # Keras's convolutions name it always, other layers only where there is one.
        return {"activity_regularizer": None, **super().get_config()}


class BaseConv(WindowLayer):
    """`activation(conv(inputs, kernel) + bias)` over `rank` spatial axes.

    Shapes (channels last): inputs (N, *spatial, C), kernel (*window, C / groups, filters), bias
    (filters,), result (N, *positions, filters); channels first has the channels on axis 1.
    """

    def __init__(
        self,
        rank,
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
        lora_rank=None,
        lora_alpha=None,
        **kwargs,
    ):
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        owner = type(self).__name__
        refuse(self, lora_rank=lora_rank, lora_alpha=lora_alpha)
        self.filters = checks.positive_int(filters, "filters", owner=owner)
        window = (kernel_size, strides, padding, data_format, dilation_rate)
        self._keep_window(rank, *window, activation, use_bias, causal=rank == 1)
        self.groups = checks.positive_int(groups, "groups", owner=owner)
        if self.filters % self.groups:
            raise ValueError(
                f"{owner}: `filters` must be divisible by `groups`. "
                f"Received: filters={filters}, groups={groups}"
            )
        self._refuse_stride_with_dilation()
        keep_weight_options(
            self,
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )

    def build(self, input_shape):
        channels = self._channels_of(input_shape)
        if channels % self.groups:
            raise ValueError(
                f"{type(self).__name__}: `groups` must divide the number of input channels. "
                f"Received: groups={self.groups}, inputs of shape {tuple(input_shape)} with "
                f"{channels} channels"
            )
        kernel_shape = (*self.kernel_size, channels // self.groups, self.filters)
        self._output_sizes(input_shape, kernel_shape)  # a window that does not fit raises here
        self.kernel = add_weight_with_options(self, "kernel", kernel_shape)
        self._add_bias(self.filters)
        self._settle_inputs(channels)

    def _output_sizes(self, input_shape, kernel_shape):
        if self.rank == 3:
            return self._volume_sizes(input_shape)
        return self._geometry(input_shape, kernel_shape).out_size[-self.rank :]

    def _geometry(self, input_shape, kernel_shape):
        return conv_geometry(
            input_shape,
            kernel_shape,
            self.strides,
            self.padding,
            self._channels_first,
            self.dilation_rate,
            owner=type(self).__name__,
        )

    def _volume_sizes(self, input_shape):
        spatial = tuple(input_shape[2:] if self._channels_first else input_shape[1:-1])
        axes = zip(spatial, self.kernel_size, self.strides, self.dilation_rate, strict=True)
        sizes = tuple(window_output(*axis, self.padding)[0] for axis in axes)
        if 0 in sizes and 0 not in spatial:
            raise ValueError(
                f"{type(self).__name__}: `inputs` must be at least as large as the dilated window. "
                f"Received: inputs.shape={tuple(input_shape)}, kernel_size={self.kernel_size}, "
                f"dilation_rate={self.dilation_rate}, padding={self.padding!r}"
            )
        return sizes

    def call(self, inputs):
        inputs = float_inputs(self, inputs)
        if self.rank == 3:
            return self._finished(self._convolved_volume(inputs))
        geometry = self._geometry(inputs.shape, self.kernel.shape)
        return self._convolved(inputs, self.kernel, geometry)

    def _convolved_volume(self, inputs):
        kernel = ops.cast(self.kernel, inputs.dtype)
        window = (self.strides, self.padding, self.data_format, self.dilation_rate)
        return ops.conv(inputs, kernel, *window)

    def compute_output_shape(self, input_shape):
        channels = input_shape[1 if self._channels_first else -1]
        per_group = 1 if channels is None else channels // self.groups
        sizes = self._output_sizes(tuple(input_shape), (*self.kernel_size, per_group, self.filters))
        return self._result_shape(input_shape[0], sizes, self.filters)
