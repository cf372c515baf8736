"""Hinge losses: nothing to gain beyond a margin of 1."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core.symbolic import any_symbolic
from kerasmirror.losses.loss import NamedLoss, array_of
from kerasmirror.ops.tensor import to_tensor


def _signs(y_true, y_pred):
    """Targets as -1 and 1: where all are 0 or 1, they are taken for that."""
    y_true = to_tensor(y_true, y_pred.dtype)
    if any_symbolic(y_true):
        return y_true
    labels = array_of(y_true)
    return 2.0 * y_true - 1.0 if np.logical_or(labels == 0, labels == 1).all() else y_true


@export("losses.hinge", "metrics.hinge")
def hinge(y_true, y_pred):
    """`mean(max(1 - y_true * y_pred, 0))` over the last axis; targets are -1 or 1, or 0 or 1."""
    y_pred = to_tensor(y_pred)
    return ops.mean(ops.maximum(1.0 - _signs(y_true, y_pred) * y_pred, 0.0), axis=-1)


@export("losses.squared_hinge", "metrics.squared_hinge")
def squared_hinge(y_true, y_pred):
    """`mean(max(1 - y_true * y_pred, 0)^2)` over the last axis; targets as for `hinge`."""
    y_pred = to_tensor(y_pred)
    values = ops.maximum(1.0 - _signs(y_true, y_pred) * y_pred, 0.0)
    return ops.mean(ops.square(values), axis=-1)


@export("losses.categorical_hinge", "metrics.categorical_hinge")
def categorical_hinge(y_true, y_pred):
    """`max(neg - pos + 1, 0)`: pos the score of the true class, neg the best of the others.

    Along the last axis, `pos = sum(y_true * y_pred)` and `neg = max((1 - y_true) * y_pred)`.
    """
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, y_pred.dtype)
    pos = ops.sum(y_true * y_pred, axis=-1)
    neg = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(neg - pos + 1.0, 0.0)


@export("losses.Hinge")
class Hinge(NamedLoss):
    """Loss of `mean(max(1 - y_true * y_pred, 0))`. Source: Keras 3.15 `keras.losses.Hinge`."""

    def __init__(self, reduction="sum_over_batch_size", name="hinge", dtype=None):
        super().__init__(hinge, name=name, reduction=reduction, dtype=dtype)


@export("losses.SquaredHinge")
class SquaredHinge(NamedLoss):
    """Loss of `mean(max(1 - y_true * y_pred, 0)^2)`.

    Source: Keras 3.15 `keras.losses.SquaredHinge`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="squared_hinge", dtype=None):
        super().__init__(squared_hinge, name=name, reduction=reduction, dtype=dtype)


@export("losses.CategoricalHinge")
class CategoricalHinge(NamedLoss):
    """Loss of the margin between the true class and the best other one.

    Source: Keras 3.15 `keras.losses.CategoricalHinge`.
    """

    def __init__(self, reduction="sum_over_batch_size", name="categorical_hinge", dtype=None):
        super().__init__(categorical_hinge, name=name, reduction=reduction, dtype=dtype)
