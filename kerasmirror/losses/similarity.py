"""Circle loss: embeddings of one class together, of different classes apart."""

from __future__ import annotations

import math

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core.tensor import Tensor, set_keras_mask
from kerasmirror.losses.loss import NamedLoss, array_of
from kerasmirror.ops.tensor import to_tensor


@export("losses.circle")
def circle(
    y_true,
    y_pred,
    ref_labels=None,
    ref_embeddings=None,
    remove_diagonal=True,
    gamma=80,
    margin=0.4,
):
    """`log(1 + sum_n exp(gamma * a_n * (s_n - m)) * sum_p exp(-gamma * a_p * (s_p - 1 + m)))`.

    p are the references of a sample's class, n the others, s cosine similarities of unit vectors,
    a_p and a_n how far they are from 1 + m and -m. `remove_diagonal` leaves out the sample itself.
    Shapes: y_true (N,) or (N, 1), y_pred (N, D), result (N,).
    Source: Sun et al. 2020, https://arxiv.org/abs/2002.10857, Eqs. 5-9;
    Keras 3.15 `keras.losses.circle`.
    """
    y_pred = to_tensor(y_pred)
    labels = array_of(y_true).astype(np.int32).reshape(-1, 1)
    references = y_pred if ref_embeddings is None else to_tensor(ref_embeddings)
    others = labels if ref_labels is None else array_of(ref_labels).astype(np.int32)
    same = labels == others.reshape(1, -1)
    different = ~same
    if remove_diagonal:
        same &= ~np.eye(*same.shape, dtype=bool)
    distance = ops.maximum(1 - ops.matmul(y_pred, ops.transpose(references)), 0.0)
    pulled = _log_sum(
        -gamma * ops.maximum((margin + distance) * _mask(same, distance), 0.0)
        * (margin - distance),
        same,
    )  # fmt: skip
    pushed = _log_sum(
        gamma * ops.maximum((1 + margin - distance) * _mask(different, distance), 0.0)
        * (1 - margin - distance),
        different,
    )  # fmt: skip
    values = ops.softplus(pulled + pushed)
    set_keras_mask(values, Tensor(values.data > 0))
    return values


def _mask(chosen, like):
    return Tensor(chosen.astype(like.data.dtype))


def _log_sum(exponents, chosen):
    return ops.logsumexp(ops.where(Tensor(chosen), exponents, -math.inf), axis=1)


@export("losses.Circle")
class Circle(NamedLoss):
    """Circle loss among the unit vectors of a batch.

    Args: gamma scales, margin relaxes; `remove_diagonal` leaves out a sample as its own reference.
    Source: Keras 3.15 `keras.losses.Circle`.
    """

    def __init__(
        self,
        gamma=80.0,
        margin=0.4,
        remove_diagonal=True,
        reduction="sum_over_batch_size",
        name="circle",
        dtype=None,
    ):
        super().__init__(
            circle,
            name=name,
            reduction=reduction,
            dtype=dtype,
            gamma=gamma,
            margin=margin,
            remove_diagonal=remove_diagonal,
        )
        self.gamma = gamma
        self.margin = margin
        self.remove_diagonal = remove_diagonal
