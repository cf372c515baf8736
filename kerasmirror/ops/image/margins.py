"""Zeros around images, and margins cut off."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.autodiff.composite import composite
from kerasmirror.ops.image.layout import check_rank, spatial_axes
from kerasmirror.ops.numpy.indexing import get_item
from kerasmirror.ops.numpy.repetition import pad
from kerasmirror.ops.tensor import to_tensor


def _axis_margins(owner, names, before, after, target, size, sign):
    """(before, after, target) of one axis, the one that was not given from the other two.

    `sign` is 1 where the margins are added to `size`, -1 where they are cut off.
    """
    if sum(value is None for value in (before, after, target)) != 1:
        raise ValueError(
            f"{owner}: Must specify exactly two of {names[0]}, {names[1]}, {names[2]}. "
            f"Received: {names[0]}={before}, {names[1]}={after}, {names[2]}={target}"
        )
    for name, value in zip(names, (before, after, target), strict=True):
        _check_not_negative(owner, name, value)
    if size is None:
        if sign < 0 and target is None:
            raise ValueError(
                f"{owner}: When the {names[2].removeprefix('target_')} of the images is unknown, "
                f"`{names[2]}` must be given. Received: {names[2]}=None"
            )
        return before, after, target
    if target is None:
        target = size + sign * (before + after)
    elif before is None:
        before = sign * (target - size) - after
    else:
        after = sign * (target - size) - before
    for name, value in zip(names, (before, after, target), strict=True):
        _check_not_negative(owner, name, value)
    return before, after, target


def _check_not_negative(owner, name, value):
    if value is not None and value < 0:
        raise ValueError(f"{owner}: {name} must be >= 0. Received: {name}={value}")


def _margins(owner, images, kind, sign, data_format, **given):
    """The axes of height and width, and (before, after, target) of both."""
    check_rank(images, owner)
    axes = spatial_axes(data_format, owner)
    margins = []
    for names, axis in zip(
        (
            (f"top_{kind}", f"bottom_{kind}", "target_height"),
            (f"left_{kind}", f"right_{kind}", "target_width"),
        ),
        axes,
        strict=True,
    ):
        values = [given[name] for name in names]
        margins.append(_axis_margins(owner, names, *values, images.shape[axis], sign))
    return axes, margins


def _sized(images, axes, margins):
    shape = list(images.shape)
    for axis, (_, _, target) in zip(axes, margins, strict=True):
        shape[axis] = target
    return tuple(shape), images.dtype


def _padded_spec(images, **given):
    return _sized(images, *_margins("ops.image.pad_images", images, "padding", 1, **given))


@export("ops.image.pad_images")
@composite(_padded_spec)
def pad_images(
    images,
    top_padding=None,
    left_padding=None,
    bottom_padding=None,
    right_padding=None,
    target_height=None,
    target_width=None,
    data_format=None,
):
    """Zeros around images; of each axis' two paddings and target size, two are given.

    Shapes: (H, W, C) or (N, H, W, C), or with the channels before H; result with the target sizes.
    Raises: ValueError for other ranks, one or three of the values, or negative ones.
    """
    images = to_tensor(images)
    axes, margins = _margins(
        "ops.image.pad_images",
        images,
        "padding",
        1,
        data_format,
        top_padding=top_padding,
        left_padding=left_padding,
        bottom_padding=bottom_padding,
        right_padding=right_padding,
        target_height=target_height,
        target_width=target_width,
    )
    widths = [(0, 0)] * len(images.shape)
    for axis, (before, after, _) in zip(axes, margins, strict=True):
        widths[axis] = (before, after)
    return pad(images, widths)


def _cropped_spec(images, **given):
    return _sized(images, *_margins("ops.image.crop_images", images, "cropping", -1, **given))


@export("ops.image.crop_images")
@composite(_cropped_spec)
def crop_images(
    images,
    top_cropping=None,
    left_cropping=None,
    bottom_cropping=None,
    right_cropping=None,
    target_height=None,
    target_width=None,
    data_format=None,
):
    """Images without their margins; of each axis' two croppings and target size, two are given.

    Shapes: (H, W, C) or (N, H, W, C), or with the channels before H; result with the target sizes.
    Raises: ValueError for other ranks, one or three of the values, or negative ones.
    """
    images = to_tensor(images)
    axes, margins = _margins(
        "ops.image.crop_images",
        images,
        "cropping",
        -1,
        data_format,
        top_cropping=top_cropping,
        left_cropping=left_cropping,
        bottom_cropping=bottom_cropping,
        right_cropping=right_cropping,
        target_height=target_height,
        target_width=target_width,
    )
    key = [slice(None)] * len(images.shape)
    for axis, (before, _, target) in zip(axes, margins, strict=True):
        key[axis] = slice(before, before + target)
    return get_item(images, tuple(key))
