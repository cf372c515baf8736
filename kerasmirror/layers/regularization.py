"""Layers that act in training only: dropout and noise; and a penalty on what passes."""

from __future__ import annotations

import math
from numbers import Real

from kerasmirror import ops, random, regularizers
from kerasmirror._export import export
from kerasmirror.core.config import standardize_data_format
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer

# The negative limit of selu, -alpha * scale, with its constants.
_SELU_LIMIT = -1.6732632423543772848170429916717 * 1.0507009873554804934193349852946


def checked_rate(value, name, owner):
    """`value`, which must be between 0 and 1; TypeError for no number."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    # Written so that NaN, which compares false with everything, is refused.
    if not number or not 0 <= value <= 1:
        raise (ValueError if number else TypeError)(
            f"{owner}: Invalid value received for argument `{name}`. Expected a float value "
            f"between 0 and 1. Received: {name}={value!r}"
        )
    return value


class _Random(Layer):
    """Layers that draw numbers in training; there is a generator where there is noise at all."""

    def _keep_noise(self, amount, seed):
        self.seed = seed
        if amount > 0:
            self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True
        self._build_at_init()

    def compute_output_shape(self, input_shape):
        return input_shape


@export("layers.Dropout")
class Dropout(_Random):
    """In training, each value is 0 with probability `rate`, else divided by `1 - rate`.

    `noise_shape` has 1 (or None for the input's size) on the axes along which a draw is shared.
    Raises: ValueError for a rate outside [0, 1] or a bad `noise_shape`.
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html; Keras 3.15
    `keras.layers.Dropout`. Draws the same masks as Keras on TensorFlow from the same seed.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = checked_rate(rate, "rate", type(self).__name__)
        self.noise_shape = _checked_noise_shape(noise_shape, type(self).__name__)
        self._keep_noise(rate, seed)

    def call(self, inputs, training=False):
        if training and self.rate > 0:
            return random.dropout(
                inputs, self.rate, noise_shape=self.noise_shape, seed=self.seed_generator
            )
        return inputs


def _checked_noise_shape(noise_shape, owner):
    if noise_shape is None:
        return None
    wrong = None
    if isinstance(noise_shape, str) or not hasattr(noise_shape, "__iter__"):
        wrong = "a tuple or list of integers"
    elif not all(size is None or isinstance(size, int) for size in noise_shape):
        wrong = "all elements to be integers or None"
    elif not all(size is None or size > 0 for size in noise_shape):
        wrong = "all dimensions to be positive integers or None"
    if wrong is not None:
        raise ValueError(
            f"{owner}: Invalid value received for argument `noise_shape`. Expected {wrong}. "
            f"Received: noise_shape={noise_shape!r}"
        )
    return tuple(noise_shape)


class BaseSpatialDropout(Dropout):
    """Dropout of whole feature maps: one draw for all places of a channel of a sample."""

    def __init__(self, rank, rate, seed=None, name=None, dtype=None, data_format=None):
        super().__init__(rate, seed=seed, name=name, dtype=dtype)
        if data_format is not False:
            self.data_format = standardize_data_format(data_format, type(self).__name__)
        self.input_spec = InputSpec(ndim=rank + 2)

    def _noise_shape(self, shape):
        places = [1] * (len(shape) - 2)
        if getattr(self, "data_format", "channels_last") == "channels_first":
            return (shape[0], shape[1], *places)
        return (shape[0], *places, shape[-1])

    def call(self, inputs, training=False):
        if training and self.rate > 0:
            noise_shape = self._noise_shape(inputs.shape)
            return random.dropout(
                inputs, self.rate, noise_shape=noise_shape, seed=self.seed_generator
            )
        return inputs

    def get_config(self):
        config = {"rate": self.rate, "seed": self.seed, "name": self.name, "dtype": self.dtype}
        if hasattr(self, "data_format"):
            config["data_format"] = self.data_format
        return config


@export("layers.SpatialDropout1D")
class SpatialDropout1D(BaseSpatialDropout):
    """In training, each channel of a sequence is 0 with probability `rate`; (N, W, C).

    Source: Tompson et al. 2014, https://arxiv.org/abs/1411.4280; Keras 3.15.
    """

    def __init__(self, rate, seed=None, name=None, dtype=None):
        super().__init__(1, rate, seed, name, dtype, data_format=False)


@export("layers.SpatialDropout2D")
class SpatialDropout2D(BaseSpatialDropout):
    """In training, each channel of an image is 0 with probability `rate`; (N, H, W, C).

    Source: Tompson et al. 2014, https://arxiv.org/abs/1411.4280; Keras 3.15.
    """

    def __init__(self, rate, data_format=None, seed=None, name=None, dtype=None):
        super().__init__(2, rate, seed, name, dtype, data_format)


@export("layers.SpatialDropout3D")
class SpatialDropout3D(BaseSpatialDropout):
    """In training, each channel of a volume is 0 with probability `rate`; (N, D, H, W, C).

    Source: Tompson et al. 2014, https://arxiv.org/abs/1411.4280; Keras 3.15.
    """

    def __init__(self, rate, data_format=None, seed=None, name=None, dtype=None):
        super().__init__(3, rate, seed, name, dtype, data_format)


@export("layers.GaussianDropout")
class GaussianDropout(_Random):
    """In training, each value times a normal number of mean 1 and variance `rate / (1 - rate)`.

    Raises: ValueError for a rate outside [0, 1].
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html, Section 10;
    Keras 3.15 `keras.layers.GaussianDropout`.
    """

    def __init__(self, rate, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = checked_rate(rate, "rate", "GaussianDropout")
        self._keep_noise(rate, seed)

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        deviation = math.sqrt(self.rate / (1.0 - self.rate))
        noise = random.normal(
            inputs.shape, 1.0, deviation, dtype=self.compute_dtype, seed=self.seed_generator
        )
        return ops.multiply(inputs, noise)


@export("layers.GaussianNoise")
class GaussianNoise(_Random):
    """In training, normal noise of standard deviation `stddev` is added.

    Raises: ValueError for a deviation outside [0, 1].
    Source: Keras 3.15 `keras.layers.GaussianNoise`.
    """

    def __init__(self, stddev, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.stddev = checked_rate(stddev, "stddev", "GaussianNoise")
        self._keep_noise(stddev, seed)

    def call(self, inputs, training=False):
        if not training or self.stddev == 0:
            return inputs
        noise = random.normal(
            inputs.shape, 0.0, self.stddev, dtype=self.compute_dtype, seed=self.seed_generator
        )
        return ops.add(inputs, noise)


@export("layers.AlphaDropout")
class AlphaDropout(_Random):
    """Dropout to selu's negative limit, then `a * x + b` so that mean and variance stay.

    In training, each value becomes the limit with probability `rate`; `noise_shape` as in Dropout.
    Raises: ValueError for a rate outside [0, 1] or a bad `noise_shape`.
    Source: Klambauer et al. 2017, https://arxiv.org/abs/1706.02515, Section 3; Keras 3.15.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = checked_rate(rate, "rate", "AlphaDropout")
        self.noise_shape = _checked_noise_shape(noise_shape, "AlphaDropout")
        self._keep_noise(rate, seed)

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        sizes = self.noise_shape or (None,) * len(inputs.shape)
        shape = [n if size is None else size for size, n in zip(sizes, inputs.shape, strict=True)]
        drawn = random.uniform(shape, seed=self.seed_generator)
        kept = ops.greater_equal(drawn, self.rate)
        slope = ((1 - self.rate) * (1 + self.rate * _SELU_LIMIT**2)) ** -0.5
        offset = -slope * _SELU_LIMIT * self.rate
        chosen = ops.where(kept, inputs, _SELU_LIMIT)
        return ops.add(ops.multiply(chosen, slope), offset)


@export("layers.ActivityRegularization")
class ActivityRegularization(Layer):
    """The inputs as they are; `l1 * sum |x| + l2 * sum x^2` of them is added to the loss.

    Source: Keras 3.15 `keras.layers.ActivityRegularization`.
    """

    def __init__(self, l1=0.0, l2=0.0, **kwargs):
        super().__init__(activity_regularizer=regularizers.L1L2(l1=l1, l2=l2), **kwargs)
        self.supports_masking = True
        self.l1 = l1
        self.l2 = l2
        self._build_at_init()

    def call(self, inputs):
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        config = super().get_config()
        config.pop("activity_regularizer", None)
        return config
