"""What the operations on images share: ranks, layouts, one image as a batch of one."""

from __future__ import annotations

from kerasmirror.core import dtypes
from kerasmirror.core.config import standardize_data_format
from kerasmirror.ops.numpy.shape import expand_dims, squeeze, transpose
from kerasmirror.ops.tensor import to_tensor


def check_rank(images, owner, name="images", ranks=(3, 4)):
    """Raise ValueError unless `images` is one image or a batch of them."""
    if len(images.shape) not in ranks:
        kinds = {3: "rank 3 (one image)", 4: "rank 4 (a batch)"}
        expected = " or ".join(kinds[rank] for rank in ranks)
        raise ValueError(
            f"{owner}: Invalid {name} rank: expected {expected}. "
            f"Received: {name}.shape={tuple(images.shape)}"
        )


def check_float(images, owner):
    """Raise ValueError unless `images` holds floats."""
    if not dtypes.is_float_dtype(images.dtype):
        raise ValueError(
            f"{owner}: Invalid images dtype: expected float dtype. "
            f"Received: images.dtype={images.dtype}"
        )


def channels_axis(data_format, owner):
    """-1 or -3: where the channels are."""
    return -1 if standardize_data_format(data_format, owner) == "channels_last" else -3


def spatial_axes(data_format, owner):
    """The axes of height and width, counted from the end."""
    return (-3, -2) if channels_axis(data_format, owner) == -1 else (-2, -1)


def as_batch(images, data_format, owner):
    """`images` as a batch with channels last, and the function that undoes this."""
    images = to_tensor(images)
    check_rank(images, owner)
    first = channels_axis(data_format, owner) == -3
    single = len(images.shape) == 3
    if single:
        images = expand_dims(images, 0)
    if first:
        images = transpose(images, (0, 2, 3, 1))

    def restore(result):
        if first:
            result = transpose(result, (0, 3, 1, 2))
        return squeeze(result, 0) if single else result

    return images, restore
