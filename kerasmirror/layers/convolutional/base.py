"""BaseConv: what the convolution layers of all ranks share."""

from __future__ import annotations

from kerasmirror import activations
from kerasmirror.core import checks
from kerasmirror.core.config import standardize_data_format
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer, float_inputs
from kerasmirror.layers.weight_options import (
    add_weight_with_options,
    keep_weight_options,
    refuse,
)
from kerasmirror.ops.nn.conv import conv2d_bias_activation, conv_geometry


class BaseConv(Layer):
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
        self.rank = rank
        self.filters = checks.positive_int(filters, "filters", owner=owner)
        self.kernel_size = checks.int_tuple(kernel_size, rank, "kernel_size", owner=owner)
        self.strides = checks.int_tuple(strides, rank, "strides", owner=owner)
        self.dilation_rate = checks.int_tuple(dilation_rate, rank, "dilation_rate", owner=owner)
        allowed = ("valid", "same", "causal") if rank == 1 else ("valid", "same")
        self.padding = checks.padding(padding, owner=owner, allowed=allowed)
        self.data_format = standardize_data_format(data_format, owner)
        self.groups = checks.positive_int(groups, "groups", owner=owner)
        if self.filters % self.groups:
            raise ValueError(
                f"{owner}: `filters` must be divisible by `groups`. "
                f"Received: filters={filters}, groups={groups}"
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{owner}: `strides` must be 1 where `dilation_rate` is above 1. "
                f"Received: strides={self.strides}, dilation_rate={self.dilation_rate}"
            )
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        keep_weight_options(
            self,
            kernel=(kernel_initializer, kernel_regularizer, kernel_constraint),
            bias=(bias_initializer, bias_regularizer, bias_constraint),
        )
        self._channels_first = self.data_format == "channels_first"
        self.input_spec = InputSpec(ndim=rank + 2)

    def build(self, input_shape):
        owner = type(self).__name__
        axis = 1 if self._channels_first else -1
        channels = input_shape[axis]
        if channels is None:
            raise ValueError(
                f"{owner}: `inputs` must have a known number of channels. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )
        if channels % self.groups:
            raise ValueError(
                f"{owner}: `groups` must divide the number of input channels. "
                f"Received: groups={self.groups}, inputs of shape {tuple(input_shape)} with "
                f"{channels} channels"
            )
        kernel_shape = (*self.kernel_size, channels // self.groups, self.filters)
        self._geometry(input_shape, kernel_shape)  # a window that does not fit raises here
        self.kernel = add_weight_with_options(self, "kernel", kernel_shape)
        self.bias = (
            add_weight_with_options(self, "bias", (self.filters,)) if self.use_bias else None
        )
        self.input_spec = InputSpec(ndim=self.rank + 2, axes={axis: channels})

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

    def call(self, inputs):
        inputs = float_inputs(self, inputs)
        fused = activations.fusable(self.activation)
        outputs = conv2d_bias_activation(
            inputs,
            self.kernel,
            self.bias,
            geometry=self._geometry(inputs.shape, self.kernel.shape),
            activation=fused or "linear",
            channels_first=self._channels_first,
        )
        return outputs if fused is not None else self.activation(outputs)

    def compute_output_shape(self, input_shape):
        channels = input_shape[1 if self._channels_first else -1]
        per_group = 1 if channels is None else channels // self.groups
        kernel_shape = (*self.kernel_size, per_group, self.filters)
        size = self._geometry(tuple(input_shape), kernel_shape).out_size[-self.rank :]
        if self._channels_first:
            return (input_shape[0], self.filters, *size)
        return (input_shape[0], *size, self.filters)

    def get_config(self):
        # Keras's convolutions name it always, other layers only where there is one.
        return {"activity_regularizer": None, **super().get_config()}
