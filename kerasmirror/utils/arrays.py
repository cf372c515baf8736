"""to_categorical, normalize and pad_sequences: plain arrays made ready for a model."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.tensor import Tensor


@export("utils.to_categorical")
def to_categorical(x, num_classes=None):
    """Rows of zeros with a one at the place of each class: `y[i, x[i]] = 1`.

    Shapes: x (...) or (..., 1), result (..., num_classes); by default num_classes is max(x) + 1.
    An array gives a float64 array, a tensor a tensor.
    Raises: IndexError for a class below 0 (Keras counts it from the end) or from num_classes on.
    Source: Keras 3.15 `keras.utils.to_categorical`.
    """
    labels = np.asarray(x).astype("int64")
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if not num_classes:
        num_classes = int(labels.max()) + 1
    if labels.size and not 0 <= labels.min() <= labels.max() < num_classes:
        raise IndexError(
            f"to_categorical: `x` must hold classes from 0 to {num_classes - 1}. "
            f"Received: classes from {labels.min()} to {labels.max()}"
        )
    if isinstance(x, Tensor):
        return ops.one_hot(labels, num_classes)
    categorical = np.zeros((labels.size, num_classes))
    categorical[np.arange(labels.size), labels.reshape(-1)] = 1
    return categorical.reshape(*labels.shape, num_classes)


@export("utils.normalize")
def normalize(x, axis=-1, order=2):
    """`x / norm(x)` along `axis`, where zero vectors stay zero; `order` is the norm's.

    An array gives an array, a tensor a tensor.
    Source: Keras 3.15 `keras.utils.normalize`, whose result for an array and axis 0 is divided by
    the norms of the wrong axis.
    """
    if isinstance(x, Tensor):
        return ops.normalize(x, axis=axis, order=order)
    x = np.asarray(x)
    norm = np.linalg.norm(x, order, axis, keepdims=True)
    return x / np.where(norm == 0, 1, norm)


@export("utils.pad_sequences", "preprocessing.sequence.pad_sequences")
def pad_sequences(
    sequences, maxlen=None, dtype="int32", padding="pre", truncating="pre", value=0.0
):
    """One array of sequences of different lengths: short ones are padded, long ones cut.

    Shapes: n sequences of shapes (length, ...), result (n, maxlen, ...); by default maxlen is the
    greatest length. `padding` and `truncating` are "pre" (at the start) or "post"; `value` fills.
    Raises: ValueError for what is no list of sequences, or of sequences of unequal items.
    Source: Keras 3.15 `keras.utils.pad_sequences`.
    """
    owner = "pad_sequences"
    if not hasattr(sequences, "__len__"):
        checks.fail(owner, "sequences", "a list of sequences", sequences)
    checks.one_of(padding, ("pre", "post"), "padding", owner=owner)
    checks.one_of(truncating, ("pre", "post"), "truncating", owner=owner)
    for sequence in sequences:
        if not hasattr(sequence, "__len__"):
            checks.fail(owner, "sequences", "a list of sequences", sequence)
    textual = np.issubdtype(dtype, np.str_) or np.issubdtype(dtype, np.bytes_)
    if isinstance(value, str) and dtype is not object and not textual:
        raise ValueError(
            f"{owner}: `dtype` {dtype} is not compatible with a text as `value`, pass dtype=object "
            f"for texts of any length. Received: value={value!r}"
        )
    if maxlen is None:
        maxlen = max((len(sequence) for sequence in sequences), default=0)
    item_shape = next((np.asarray(s).shape[1:] for s in sequences if len(s)), ())
    padded = np.full((len(sequences), maxlen, *item_shape), value, dtype=dtype)
    for row, sequence in zip(padded, sequences, strict=True):
        if not len(sequence):
            continue
        kept = sequence[-maxlen:] if truncating == "pre" else sequence[:maxlen]
        kept = np.asarray(kept, dtype=dtype)
        if kept.shape[1:] != item_shape:
            raise ValueError(
                f"pad_sequences: `sequences` must hold items of one shape, here {item_shape}. "
                f"Received: items of shape {kept.shape[1:]}"
            )
        if padding == "post":
            row[: len(kept)] = kept
        else:
            row[maxlen - len(kept) :] = kept
    return padded
