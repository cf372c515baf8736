"""Means of the hinge losses."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.losses.hinge import categorical_hinge, hinge, squared_hinge
from kerasmirror.metrics.reduction import NamedMean


@export("metrics.Hinge")
class Hinge(NamedMean):
    """The mean of `max(1 - y_true * y_pred, 0)`. Source: Keras 3.15 `keras.metrics.Hinge`."""

    def __init__(self, name="hinge", dtype=None):
        super().__init__(hinge, name=name, dtype=dtype)


@export("metrics.SquaredHinge")
class SquaredHinge(NamedMean):
    """The mean of `max(1 - y_true * y_pred, 0)^2`.

    Source: Keras 3.15 `keras.metrics.SquaredHinge`.
    """

    def __init__(self, name="squared_hinge", dtype=None):
        super().__init__(squared_hinge, name=name, dtype=dtype)


@export("metrics.CategoricalHinge")
class CategoricalHinge(NamedMean):
    """The mean margin between the true class and the best other one.

    Source: Keras 3.15 `keras.metrics.CategoricalHinge`.
    """

    def __init__(self, name="categorical_hinge", dtype=None):
        super().__init__(categorical_hinge, name=name, dtype=dtype)
