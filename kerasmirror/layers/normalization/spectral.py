"""SpectralNormalization: a layer whose kernel has spectral norm 1."""

from __future__ import annotations

import numpy as np

from kerasmirror import initializers, ops
from kerasmirror._export import export
from kerasmirror.core import config
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.layers.core.wrapper import Wrapper
from kerasmirror.layers.input_spec import InputSpec


@export("layers.SpectralNormalization")
class SpectralNormalization(Wrapper):
    """Calls `layer`; in training its kernel W is divided by its largest singular value first.

    The value is v W u' with unit vectors from `power_iterations` steps v = u W' and u = v W, which
    go on from the step before. W is taken as a matrix (..., its last axis).
    Raises: ValueError for fewer than one iteration, or a layer without `kernel` or `embeddings`.
    Source: Miyato et al. 2018, https://arxiv.org/abs/1802.05957, Algorithm 1; Keras 3.15
    `keras.layers.SpectralNormalization`.
    """

    def __init__(self, layer, power_iterations=1, **kwargs):
        super().__init__(layer, **kwargs)
        if power_iterations <= 0:
            raise ValueError(
                "SpectralNormalization: `power_iterations` should be greater than zero. "
                f"Received: power_iterations={power_iterations}"
            )
        self.power_iterations = power_iterations

    def build(self, input_shape):
        super().build(input_shape)
        self.input_spec = InputSpec(min_ndim=1, axes={-1: input_shape[-1]})
        for name in ("kernel", "embeddings"):
            if hasattr(self.layer, name):
                self.kernel = getattr(self.layer, name)
                break
        else:
            raise ValueError(
                f"SpectralNormalization: the {type(self.layer).__name__} object has no attribute "
                f"'kernel' nor 'embeddings'. Received: layer={self.layer!r}"
            )
        self.kernel_shape = self.kernel.shape
        self.vector_u = self.add_weight(
            shape=(1, self.kernel_shape[-1]),
            initializer=initializers.TruncatedNormal(stddev=0.02),
            trainable=False,
            name="vector_u",
            dtype=self.kernel.dtype,
        )

    def call(self, inputs, training=False):
        if training and not isinstance(inputs, KerasTensor) and np.any(self.kernel.data):
            vector_u, kernel = self.normalized_weights()
            self.vector_u.assign(vector_u)
            self.kernel.assign(kernel)
        return ops.cast(self.layer(inputs), inputs.dtype)

    def normalized_weights(self):
        """(u, kernel) after a step: arrays to be assigned."""
        matrix = np.asarray(self.kernel.data, "float32").reshape(-1, self.kernel_shape[-1])
        vector_u = np.asarray(self.vector_u.data, "float32")
        for _ in range(self.power_iterations):
            vector_v = _unit(vector_u @ matrix.T)
            vector_u = _unit(vector_v @ matrix)
        sigma = vector_v @ matrix @ vector_u.T
        return vector_u, (matrix / sigma).reshape(self.kernel_shape)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)


def _unit(vector):
    return vector / max(float(np.linalg.norm(vector)), config.epsilon())
