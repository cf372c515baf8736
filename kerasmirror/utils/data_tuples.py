"""A batch as one value, x, or a tuple of two or three: packed and unpacked."""

from __future__ import annotations

from kerasmirror._export import export


@export("utils.pack_x_y_sample_weight")
def pack_x_y_sample_weight(x, y=None, sample_weight=None):
    """`x`, `(x, y)` or `(x, y, sample_weight)`: what a `train_step` gets.

    A list or tuple of inputs alone becomes `(x,)`, so that it is not taken for `(x, y)`.
    Source: Keras 3.15 `keras.utils.pack_x_y_sample_weight`.
    """
    if y is None:
        return (x,) if isinstance(x, (tuple, list)) else x
    return (x, y) if sample_weight is None else (x, y, sample_weight)


@export("utils.unpack_x_y_sample_weight")
def unpack_x_y_sample_weight(data):
    """`(x, y, sample_weight)` of what `pack_x_y_sample_weight` made; what is not there is None.

    Raises: ValueError for a tuple of more than three.
    Source: Keras 3.15 `keras.utils.unpack_x_y_sample_weight`.
    """
    if not isinstance(data, (tuple, list)):
        return data, None, None
    if not 1 <= len(data) <= 3:
        raise ValueError(
            "unpack_x_y_sample_weight: `data` must be x, (x,), (x, y) or (x, y, sample_weight). "
            f"Received: {len(data)} parts"
        )
    return (*data, None, None)[:3]
