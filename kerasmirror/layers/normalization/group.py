"""GroupNormalization."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer
from kerasmirror.layers.normalization.axes import check_within, checked_epsilon
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options
from kerasmirror.ops.nn.normalization import group_norm
from kerasmirror.ops.tensor import float_tensor


@export("layers.GroupNormalization")
class GroupNormalization(Layer):
    """`gamma * (x - mean) / sqrt(var + epsilon) + beta`, by the statistics of groups of channels.

    The channels, `axis`, are `groups` groups of neighbours; mean and var are those of a sample's
    places and a group's channels. -1 groups are as many as channels.
    Shapes: gamma and beta (C,).
    Raises: ValueError unless the number of channels is a multiple of the number of groups, or for
    a negative epsilon; TypeError for an axis that is no int.
    Source: Wu and He 2018, https://arxiv.org/abs/1803.08494; Keras 3.15
    `keras.layers.GroupNormalization`.
    """

    def __init__(
        self,
        groups=32,
        axis=-1,
        epsilon=1e-3,
        center=True,
        scale=True,
        beta_initializer="zeros",
        gamma_initializer="ones",
        beta_regularizer=None,
        gamma_regularizer=None,
        beta_constraint=None,
        gamma_constraint=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not isinstance(groups, int) or (groups <= 0 and groups != -1):
            raise ValueError(
                "GroupNormalization: Received an invalid value for argument `groups`, expected a "
                "positive integer (or `-1` for instance normalization). "
                f"Received: groups={groups!r}"
            )
        self.supports_masking = True
        self.autocast = False
        self.groups = groups
        if not isinstance(axis, int):
            checks.fail("GroupNormalization", "axis", "an int", axis, TypeError)
        self.axis = axis
        self.epsilon = checked_epsilon(epsilon, "GroupNormalization")
        self.center = center
        self.scale = scale
        keep_weight_options(
            self,
            beta=(beta_initializer, beta_regularizer, beta_constraint),
            gamma=(gamma_initializer, gamma_regularizer, gamma_constraint),
        )
        self.gamma = None
        self.beta = None

    def build(self, input_shape):
        check_within(self.axis, input_shape, "GroupNormalization")
        channels = input_shape[self.axis]
        if channels is None:
            raise ValueError(
                f"GroupNormalization: Axis {self.axis} of input tensor should have a defined "
                "dimension but the layer received an input with shape "
                f"{tuple(input_shape)}."
            )
        if self.groups == -1:
            self.groups = channels
        if channels < self.groups:
            raise ValueError(
                f"GroupNormalization: Number of groups ({self.groups}) cannot be more than the "
                f"number of channels ({channels}). Received: inputs of shape {tuple(input_shape)}"
            )
        if channels % self.groups:
            raise ValueError(
                f"GroupNormalization: Number of groups ({self.groups}) must be a multiple of the "
                f"number of channels ({channels}), that is, divide it. "
                f"Received: inputs of shape {tuple(input_shape)}"
            )
        rank = len(input_shape)
        self.input_spec = InputSpec(ndim=rank, axes={self.axis: channels})
        if self.scale:
            self.gamma = add_weight_with_options(self, "gamma", (channels,), autocast=False)
        if self.center:
            self.beta = add_weight_with_options(self, "beta", (channels,), autocast=False)

    def call(self, inputs):
        x, rank = float_tensor(inputs), len(inputs.shape)
        axis = self.axis % rank
        others = [i for i in range(rank) if i != axis]
        if axis != rank - 1:
            x = ops.transpose(x, (*others, axis))
        outputs = group_norm(
            x, self.gamma, self.beta, groups=self.groups, epsilon=float(self.epsilon)
        )
        if axis != rank - 1:
            outputs = ops.transpose(outputs, (*range(axis), rank - 1, *range(axis, rank - 1)))
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        check_within(self.axis, input_shape, "GroupNormalization")
        return input_shape
