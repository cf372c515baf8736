"""Losses of overlap: Dice and Tversky."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import config
from kerasmirror.losses.loss import NamedLoss
from kerasmirror.ops.tensor import to_tensor


@export("losses.dice")
def dice(y_true, y_pred, axis=None):
    """`1 - 2 * sum(y_true * y_pred) / (sum(y_true) + sum(y_pred) + epsilon)` over `axis`."""
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, y_pred.dtype)
    common = ops.sum(y_true * y_pred, axis=axis)
    total = ops.sum(y_true, axis=axis) + ops.sum(y_pred, axis=axis) + config.epsilon()
    return 1 - 2.0 * common / total


@export("losses.tversky")
def tversky(y_true, y_pred, alpha=0.5, beta=0.5, axis=None):
    """`1 - c / (c + alpha * missed + beta * extra + epsilon)` over `axis`.

    c is `sum(y_true * y_pred)`, missed `sum(y_true * (1 - y_pred))`, extra
    `sum((1 - y_true) * y_pred)`. Source: Salehi et al. 2017, https://arxiv.org/abs/1706.05721,
    Eq. 4, with alpha and beta as Keras has them.
    """
    y_pred = to_tensor(y_pred)
    y_true = to_tensor(y_true, y_pred.dtype)
    common = ops.sum(y_true * y_pred, axis=axis)
    missed = ops.sum((1 - y_pred) * y_true, axis=axis)
    extra = ops.sum(y_pred * (1 - y_true), axis=axis)
    return 1 - common / (common + missed * alpha + extra * beta + config.epsilon())


@export("losses.Dice")
class Dice(NamedLoss):
    """One minus twice the overlap by the sum of both areas. Source: Keras 3.15 `losses.Dice`.

    Args: axis are the axes an area spans, None for all.
    """

    def __init__(self, reduction="sum_over_batch_size", name="dice", axis=None, dtype=None):
        super().__init__(dice, name=name, reduction=reduction, dtype=dtype, axis=axis)
        self.axis = axis


@export("losses.Tversky")
class Tversky(NamedLoss):
    """Dice with weights: `alpha` for what is missed, `beta` for what is too much.

    Args: axis are the axes an area spans, None for all. Source: Keras 3.15 `losses.Tversky`.
    """

    def __init__(
        self,
        alpha=0.5,
        beta=0.5,
        reduction="sum_over_batch_size",
        name="tversky",
        axis=None,
        dtype=None,
    ):
        super().__init__(
            tversky, name=name, reduction=reduction, dtype=dtype, alpha=alpha, beta=beta, axis=axis
        )
        self.alpha = alpha
        self.beta = beta
        self.axis = axis
