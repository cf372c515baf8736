"""LayerNormalization, RMSNormalization, UnitNormalization: each sample by itself."""

from __future__ import annotations

import warnings

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.layers.layer import Layer
from kerasmirror.layers.normalization.axes import (
    check_within,
    checked_axis,
    checked_epsilon,
    sizes_along,
)
from kerasmirror.layers.weight_options import add_weight_with_options, keep_weight_options


@export("layers.LayerNormalization")
class LayerNormalization(Layer):
    """`gamma * (x - mean) / sqrt(var + epsilon) + beta`, mean and var over `axis` of each sample.

    Shapes: gamma and beta the input's sizes along `axis`. The deprecated `rms_scaling=True` leaves
    out mean and beta.
    `epsilon` None is that of `keras.config`.
    Raises: TypeError for an axis that is no int, ValueError for one that the input does not have or
    a negative epsilon.
    Source: Ba et al. 2016, https://arxiv.org/abs/1607.06450; Keras 3.15
    `keras.layers.LayerNormalization`.
    """

    def __init__(
        self,
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
        rms_scaling = kwargs.pop("rms_scaling", False)
        if rms_scaling:
            warnings.warn(
                "LayerNormalization: `rms_scaling=True` is deprecated: it divides by the standard "
                "deviation, not by the root mean square. Use `keras.layers.RMSNormalization`.",
                stacklevel=2,
            )
        super().__init__(**kwargs)
        what = "Expected an int or a list/tuple of ints for the argument 'axis'"
        self.axis = checked_axis(axis, "LayerNormalization", what)
        self.epsilon = None if epsilon is None else checked_epsilon(epsilon, "LayerNormalization")
        self.center = center
        self.scale = scale
        self.rms_scaling = rms_scaling
        keep_weight_options(
            self,
            beta=(beta_initializer, beta_regularizer, beta_constraint),
            gamma=(gamma_initializer, gamma_regularizer, gamma_constraint),
        )
        self.supports_masking = True
        self.autocast = False
        self.gamma = None
        self.beta = None

    def build(self, input_shape):
        self.axis, shape = sizes_along(self.axis, input_shape, "LayerNormalization")
        if self.scale or self.rms_scaling:
            self.gamma = add_weight_with_options(self, "gamma", shape, autocast=False)
        if self.center and not self.rms_scaling:
            self.beta = add_weight_with_options(self, "beta", shape, autocast=False)

    def call(self, inputs):
        options = {"rms_scaling": True} if self.rms_scaling else {}
        outputs = ops.layer_normalization(
            inputs, self.gamma, self.beta, self.axis, self.epsilon, **options
        )
        return ops.cast(outputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        check_within(self.axis, input_shape, "LayerNormalization")
        return input_shape

    def get_config(self):
        return {**super().get_config(), "rms_scaling": self.rms_scaling}


@export("layers.RMSNormalization")
class RMSNormalization(Layer):
    """`scale * x / sqrt(mean(x^2) + epsilon)`, the mean over `axis` of each sample.

    Shapes: scale the input's sizes along `axis`. `epsilon` None is that of `keras.config`.
    Raises: TypeError for an axis that is no int, ValueError for one that the input does not have or
    a negative epsilon.
    Source: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467, Equation 4; Keras 3.15
    `keras.layers.RMSNormalization`.
    """

    def __init__(self, axis=-1, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        what = "Invalid value for `axis` argument: expected an int or a list/tuple of ints"
        self.axis = checked_axis(axis, "RMSNormalization", what)
        self.epsilon = None if epsilon is None else checked_epsilon(epsilon, "RMSNormalization")

    def build(self, input_shape):
        self.axis, shape = sizes_along(self.axis, input_shape, "RMSNormalization")
        self.scale = self.add_weight(name="scale", shape=shape, initializer="ones")

    def call(self, inputs):
        return ops.rms_normalization(inputs, self.scale, self.axis, self.epsilon)

    def compute_output_shape(self, input_shape):
        check_within(self.axis, input_shape, "RMSNormalization")
        return input_shape


@export("layers.UnitNormalization")
class UnitNormalization(Layer):
    """`x / sqrt(sum(x^2))`, the sum over `axis`: vectors of length 1.

    Raises: TypeError for an axis that is no int, ValueError for one that the input does not have.
    Source: Keras 3.15 `keras.layers.UnitNormalization`.
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        what = "Invalid value for `axis` argument: expected an int or a list/tuple of ints"
        self.axis = checked_axis(axis, "UnitNormalization", what)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs):
        return ops.normalize(inputs, axis=self.axis, order=2, epsilon=1e-12)

    def compute_output_shape(self, input_shape):
        check_within(self.axis, input_shape, "UnitNormalization")
        return input_shape
