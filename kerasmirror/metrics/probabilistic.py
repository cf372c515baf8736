"""Metrics between distributions: means of the losses of the same names."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.losses.probabilistic import (
    binary_crossentropy,
    categorical_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from kerasmirror.metrics.reduction import NamedMean


@export("metrics.KLDivergence")
class KLDivergence(NamedMean):
    """The mean of `sum(y_true * log(y_true / y_pred))`.

    Source: Keras 3.15 `keras.metrics.KLDivergence`.
    """

    def __init__(self, name="kl_divergence", dtype=None):
        super().__init__(kl_divergence, name=name, dtype=dtype)


@export("metrics.Poisson")
class Poisson(NamedMean):
    """The mean of `y_pred - y_true * log(y_pred)`. Source: Keras 3.15 `keras.metrics.Poisson`."""

    def __init__(self, name="poisson", dtype=None):
        super().__init__(poisson, name=name, dtype=dtype)


@export("metrics.BinaryCrossentropy")
class BinaryCrossentropy(NamedMean):
    """The mean binary cross-entropy. Source: Keras 3.15 `keras.metrics.BinaryCrossentropy`."""

    def __init__(
        self, name="binary_crossentropy", dtype=None, from_logits=False, label_smoothing=0
    ):
        super().__init__(
            binary_crossentropy,
            name=name,
            dtype=dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


@export("metrics.CategoricalCrossentropy")
class CategoricalCrossentropy(NamedMean):
    """The mean cross-entropy with one-hot targets.

    Source: Keras 3.15 `keras.metrics.CategoricalCrossentropy`.
    """

    def __init__(
        self,
        name="categorical_crossentropy",
        dtype=None,
        from_logits=False,
        label_smoothing=0,
        axis=-1,
    ):
        super().__init__(
            categorical_crossentropy,
            name=name,
            dtype=dtype,
            from_logits=from_logits,
            label_smoothing=label_smoothing,
            axis=axis,
        )
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis


@export("metrics.SparseCategoricalCrossentropy")
class SparseCategoricalCrossentropy(NamedMean):
    """The mean cross-entropy with class numbers as targets.

    Source: Keras 3.15 `keras.metrics.SparseCategoricalCrossentropy`.
    """

    def __init__(
        self,
        name="sparse_categorical_crossentropy",
        dtype=None,
        from_logits=False,
        ignore_class=None,
        axis=-1,
    ):
        super().__init__(
            sparse_categorical_crossentropy,
            name=name,
            dtype=dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis
