"""Connectionist temporal classification: sequences of labels without their alignment."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core.tensor import Tensor
from kerasmirror.losses.loss import NamedLoss, array_of
from kerasmirror.ops.tensor import to_tensor


@export("losses.ctc")
def ctc(y_true, y_pred):
    """Minus the log probability of the labels, summed over all their alignments.

    Class 0 is the blank, and 0 in `y_true` pads.
    Shapes: y_true (batch, labels) of class numbers, y_pred (batch, time, classes) of logits.
    Raises: ValueError for other ranks. Source: Graves et al. 2006,
    https://doi.org/10.1145/1143844.1143891, Eq. 8; Keras 3.15 `keras.losses.ctc`.
    """
    y_true, y_pred = to_tensor(y_true), to_tensor(y_pred)
    for name, value, expected in (
        ("y_true", y_true, "(batch, labels)"),
        ("y_pred", y_pred, "(batch, time, classes)"),
    ):
        if len(value.shape) != expected.count(",") + 1:
            raise ValueError(
                f"losses.ctc: `{name}` must have shape {expected}. "
                f"Received: {name}.shape={tuple(value.shape)}"
            )
    labels = array_of(y_true)
    lengths = (labels != 0).sum(-1).astype(np.int32)
    times = np.full(y_pred.shape[0], y_pred.shape[1], np.int32)
    return ops.ctc_loss(
        Tensor(labels.astype(np.int32)), y_pred, Tensor(lengths), Tensor(times), mask_index=0
    )


@export("losses.CTC")
class CTC(NamedLoss):
    """Connectionist temporal classification. Source: Keras 3.15 `keras.losses.CTC`.

    Shapes: y_true (batch, labels) with 0 as padding, y_pred (batch, time, classes) of logits.
    """

    def __init__(self, reduction="sum_over_batch_size", name="ctc", dtype=None):
        super().__init__(ctc, name=name, reduction=reduction, dtype=dtype)
