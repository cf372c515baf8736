"""Layers that act in training only: Dropout."""

from __future__ import annotations

from kerasmirror import random
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.layers.layer import Layer


@export("layers.Dropout")
class Dropout(Layer):
    """In training, each value is 0 with probability `rate`, else divided by `1 - rate`.

    `noise_shape` has 1 (or None for the input's size) on the axes along which a draw is shared.
    Raises: ValueError for a rate outside [0, 1] or a bad `noise_shape`.
    Source: Srivastava et al. 2014, https://jmlr.org/papers/v15/srivastava14a.html; Keras 3.15
    `keras.layers.Dropout`. Draws the same masks as Keras on TensorFlow from the same seed.
    """

    def __init__(self, rate, noise_shape=None, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.rate = checks.real_in(
            rate,
            0,
            1,
            "rate",
            owner="Dropout",
            expected="a number between 0 and 1",
            wrong_type=TypeError,
        )
        self.seed = seed
        self.noise_shape = _checked_noise_shape(noise_shape)
        if rate > 0:
            self.seed_generator = random.SeedGenerator(seed)
        self.supports_masking = True
        self._build_at_init()

    def call(self, inputs, training=False):
        if training and self.rate > 0:
            return random.dropout(
                inputs, self.rate, noise_shape=self.noise_shape, seed=self.seed_generator
            )
        return inputs

    def compute_output_shape(self, input_shape):
        return input_shape


def _checked_noise_shape(noise_shape):
    if noise_shape is None:
        return None
    good = isinstance(noise_shape, (list, tuple)) and all(
        size is None or (isinstance(size, int) and size > 0) for size in noise_shape
    )
    if not good:
        checks.fail(
            "Dropout", "noise_shape", "None, or a tuple of ints above 0 and Nones", noise_shape
        )
    return tuple(noise_shape)
