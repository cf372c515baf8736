"""Initializers that draw: normal, uniform, and scaled by the number of connections; orthogonal.

Each draws its seed in the constructor if none is given, as Keras does, so that one
`set_random_seed` gives the weights of Keras on TensorFlow. Uniform values are the same exactly.
"""

from __future__ import annotations

import math

import numpy as np

from kerasmirror import random
from kerasmirror._export import export
from kerasmirror.core import checks, dtypes
from kerasmirror.core.serialization import deserialize_keras_object, serialize_keras_object
from kerasmirror.core.tensor import Tensor
from kerasmirror.initializers.initializer import Initializer

# Standard deviation of a standard normal variable cut off at two deviations.
_TRUNCATED_DEVIATION = 0.87962566103423978


class RandomInitializer(Initializer):
    """Base of all that draw: `seed` is an int, a SeedGenerator, its config, or None for a new int.

    An int gives the same values in every call; a SeedGenerator gives other ones each time.
    """

    def __init__(self, seed=None):
        self._init_seed = seed
        if seed is None:
            seed = random.make_default_seed()
        elif isinstance(seed, dict):
            seed = deserialize_keras_object(seed)
        elif not isinstance(seed, (int, random.SeedGenerator)):
            owner = f"initializers.{type(self).__name__}"
            checks.fail(owner, "seed", "an int, a keras.random.SeedGenerator or None", seed)
        self.seed = seed

    def get_config(self):
        return {"seed": serialize_keras_object(self._init_seed)}


@export("initializers.RandomNormal", "initializers.random_normal")
class RandomNormal(RandomInitializer):
    """Normally distributed with the given mean and standard deviation."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed=seed)

    def __call__(self, shape, dtype=None):
        return random.normal(shape, self.mean, self.stddev, dtype, self.seed)

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


@export("initializers.TruncatedNormal", "initializers.truncated_normal")
class TruncatedNormal(RandomInitializer):
    """Normally distributed, without values two standard deviations or more from the mean."""

    def __init__(self, mean=0.0, stddev=0.05, seed=None):
        self.mean = mean
        self.stddev = stddev
        super().__init__(seed=seed)

    def __call__(self, shape, dtype=None):
        return random.truncated_normal(shape, self.mean, self.stddev, dtype, self.seed)

    def get_config(self):
        return {**super().get_config(), "mean": self.mean, "stddev": self.stddev}


@export("initializers.RandomUniform", "initializers.random_uniform")
class RandomUniform(RandomInitializer):
    """Uniform on [minval, maxval)."""

    def __init__(self, minval=-0.05, maxval=0.05, seed=None):
        self.minval = minval
        self.maxval = maxval
        super().__init__(seed=seed)

    def __call__(self, shape, dtype=None):
        return random.uniform(shape, self.minval, self.maxval, dtype, self.seed)

    def get_config(self):
        return {**super().get_config(), "minval": self.minval, "maxval": self.maxval}


@export("initializers.VarianceScaling", "initializers.variance_scaling")
class VarianceScaling(RandomInitializer):
    """Random values of variance `scale / n`, n the number of connections by `mode`.

    n is the inputs of a unit ("fan_in"), its outputs ("fan_out") or their mean ("fan_avg"), at
    least 1. `distribution` is "truncated_normal" (or "normal", the same), "untruncated_normal" or
    "uniform" (on [-l, l), l = sqrt(3 scale / n)).
    Args: `input_axes` and `output_axes` name the axes of a weight that count as inputs and outputs
    where it is no (..., inputs, outputs).
    Raises: ValueError for a scale that is not positive, an unknown mode or distribution.
    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html, Section 4.2;
    He et al. 2015, https://arxiv.org/abs/1502.01852, Section 2.2; Keras 3.15.
    """

    def __init__(
        self,
        scale=1.0,
        mode="fan_in",
        distribution="truncated_normal",
        seed=None,
        input_axes=None,
        output_axes=None,
    ):
        owner = "initializers.VarianceScaling"
        if not scale > 0:
            raise ValueError(
                f"{owner}: Argument `scale` must be positive float. Received: scale={scale!r}"
            )
        self.scale = scale
        self.mode = _one_of(mode, ("fan_in", "fan_out", "fan_avg"), "mode", owner)
        kinds = ("truncated_normal", "untruncated_normal", "uniform", "normal")
        lower = distribution.lower() if isinstance(distribution, str) else distribution
        _one_of(lower, kinds, "distribution", owner)
        self.distribution = "truncated_normal" if lower == "normal" else lower
        self.input_axes = input_axes
        self.output_axes = output_axes
        super().__init__(seed=seed)

    def __call__(self, shape, dtype=None):
        fan_in, fan_out = compute_fans(shape, self.input_axes, self.output_axes)
        fans = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}
        variance = self.scale / max(1.0, fans[self.mode])
        if self.distribution == "truncated_normal":
            # Cutting off makes the deviation smaller; drawn with a larger one, it is what it says.
            stddev = math.sqrt(variance) / _TRUNCATED_DEVIATION
            return random.truncated_normal(shape, 0.0, stddev, dtype, self.seed)
        if self.distribution == "untruncated_normal":
            return random.normal(shape, 0.0, math.sqrt(variance), dtype, self.seed)
        limit = math.sqrt(3.0 * variance)
        return random.uniform(shape, -limit, limit, dtype, self.seed)

    def get_config(self):
        return {
            **super().get_config(),
            "scale": self.scale,
            "mode": self.mode,
            "distribution": self.distribution,
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


class _Preset(VarianceScaling):
    """A VarianceScaling whose first three arguments are the class's."""

    preset = (1.0, "fan_in", "truncated_normal")

    def __init__(self, seed=None, input_axes=None, output_axes=None):
        super().__init__(*self.preset, seed, input_axes, output_axes)

    def get_config(self):
        return {
            "seed": serialize_keras_object(self._init_seed),
            "input_axes": self.input_axes,
            "output_axes": self.output_axes,
        }


@export("initializers.GlorotUniform", "initializers.glorot_uniform")
class GlorotUniform(_Preset):
    """Uniform on [-l, l), l = sqrt(6 / (fan_in + fan_out)).

    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html, Equation 16.
    """

    preset = (1.0, "fan_avg", "uniform")


@export("initializers.GlorotNormal", "initializers.glorot_normal")
class GlorotNormal(_Preset):
    """Truncated normal with variance 2 / (fan_in + fan_out).

    Source: Glorot and Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html, Equation 12.
    """

    preset = (1.0, "fan_avg", "truncated_normal")


@export("initializers.LecunNormal", "initializers.lecun_normal")
class LecunNormal(_Preset):
    """Truncated normal with variance 1 / fan_in.

    Source: LeCun et al. 1998, https://doi.org/10.1007/3-540-49430-8_2, Equation 16.
    """

    preset = (1.0, "fan_in", "truncated_normal")


@export("initializers.LecunUniform", "initializers.lecun_uniform")
class LecunUniform(_Preset):
    """Uniform on [-l, l), l = sqrt(3 / fan_in).

    Source: LeCun et al. 1998, https://doi.org/10.1007/3-540-49430-8_2, Equation 16.
    """

    preset = (1.0, "fan_in", "uniform")


@export("initializers.HeNormal", "initializers.he_normal")
class HeNormal(_Preset):
    """Truncated normal with variance 2 / fan_in.

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852, Equation 10.
    """

    preset = (2.0, "fan_in", "truncated_normal")


@export("initializers.HeUniform", "initializers.he_uniform")
class HeUniform(_Preset):
    """Uniform on [-l, l), l = sqrt(6 / fan_in).

    Source: He et al. 2015, https://arxiv.org/abs/1502.01852, Equation 10.
    """

    preset = (2.0, "fan_in", "uniform")


@export("initializers.Orthogonal", "initializers.orthogonal", "initializers.OrthogonalInitializer")
class Orthogonal(RandomInitializer):
    """`gain` times a matrix with orthonormal columns (rows, if it has fewer rows).

    The Q of the QR factors of a normal matrix, columns turned so that R's diagonal is positive,
    which makes it uniformly distributed. All axes but the last count as rows.
    Raises: ValueError for a shape of less than two axes.
    Source: Saxe et al. 2014, https://arxiv.org/abs/1312.6120, Section 3; Mezzadri 2007,
    https://arxiv.org/abs/math-ph/0609050, Section 5.
    """

    def __init__(self, gain=1.0, seed=None):
        self.gain = gain
        super().__init__(seed=seed)

    def __call__(self, shape, dtype=None):
        if len(shape) < 2:
            checks.fail("initializers.Orthogonal", "shape", "two sizes or more", tuple(shape))
        rows, columns = math.prod(shape[:-1]), shape[-1]
        flat = (max(rows, columns), min(rows, columns))
        values = random.normal(flat, dtype=dtype, seed=self.seed).data
        small = values.dtype.itemsize < 4
        q, r = np.linalg.qr(values.astype(np.float32) if small else values)
        q = q * np.sign(np.diagonal(r))
        if rows < columns:
            q = q.T
        dtype = dtypes.numpy_dtype(dtypes.standardize_dtype(dtype))
        return Tensor(np.ascontiguousarray(q.reshape(shape) * q.dtype.type(self.gain), dtype))

    def get_config(self):
        return {**super().get_config(), "gain": self.gain}


def compute_fans(shape, input_axes=None, output_axes=None):
    """(fan_in, fan_out): how many values of a weight meet in one output, come from one input.

    A weight is (..., inputs, outputs), with windows in front, unless axes are named.
    """
    shape = tuple(int(size) for size in shape)
    if input_axes is not None and output_axes is not None:
        fan_in = math.prod(shape[axis] for axis in input_axes)
        return fan_in, math.prod(shape[axis] for axis in output_axes)
    if len(shape) < 2:
        size = shape[0] if shape else 1
        return size, size
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _one_of(value, allowed, name, owner):
    if value not in allowed:
        raise ValueError(
            f"{owner}: Invalid `{name}` argument: {value}. It must be one of {allowed}."
        )
    return value
