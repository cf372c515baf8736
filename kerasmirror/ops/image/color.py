"""Colours: RGB as grey, and as hue, saturation and value and back."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.composite import composite
from kerasmirror.core import dtypes
from kerasmirror.ops.image.layout import channels_axis, check_float, check_rank
from kerasmirror.ops.numpy import elementwise, reduction
from kerasmirror.ops.numpy.indexing import where
from kerasmirror.ops.numpy.joining import split, stack
from kerasmirror.ops.numpy.shape import moveaxis, squeeze
from kerasmirror.ops.tensor import cast, to_tensor

# ITU-R BT.601's weights of red, green and blue, in the four digits that TensorFlow uses.
_GREY = (0.2989, 0.5870, 0.1140)


def _grey_spec(images, data_format):
    axis = _grey_axis(images, data_format)
    shape = list(images.shape)
    shape[axis] = 1
    return tuple(shape), images.dtype


def _grey_axis(images, data_format):
    owner = "ops.image.rgb_to_grayscale"
    check_rank(images, owner)
    axis = channels_axis(data_format, owner)
    if images.shape[axis] not in (None, 1, 3):
        raise ValueError(
            f"{owner}: Invalid channel size: expected 3 (RGB) or 1 (Grayscale). "
            f"Received: images.shape={tuple(images.shape)}"
        )
    return axis


@export("ops.image.rgb_to_grayscale")
@composite(_grey_spec)
def rgb_to_grayscale(images, data_format=None):
    """`0.2989 R + 0.587 G + 0.114 B`; grey images stay as they are.

    Shapes: (H, W, 3) or (N, H, W, 3), or with the channels before H; result with one channel.
    Raises: ValueError for other ranks, or channels other than 3 and 1.
    """
    images = to_tensor(images)
    axis = _grey_axis(images, data_format)
    if images.shape[axis] == 1:
        return images
    dtype = dtypes.result_type(images.dtype, float)
    weights = np.array(_GREY, dtypes.numpy_dtype(dtype)).reshape((3,) + (1,) * (-1 - axis))
    grey = reduction.sum(cast(images, dtype) * to_tensor(weights), axis=axis, keepdims=True)
    return cast(grey, images.dtype)


def _same_spec(owner):
    def spec(images, data_format):
        _check_colours(images, data_format, owner)
        return tuple(images.shape), images.dtype

    return spec


def _check_colours(images, data_format, owner):
    check_rank(images, owner)
    check_float(images, owner)
    axis = channels_axis(data_format, owner)
    if images.shape[axis] not in (None, 3):
        raise ValueError(
            f"{owner}: Input images must have 3 channels, but received images with "
            f"{images.shape[axis]} channels. Received: images.shape={tuple(images.shape)}"
        )
    return axis


def _channels(images, axis):
    return [squeeze(part, axis) for part in split(images, 3, axis)]


@export("ops.image.rgb_to_hsv")
@composite(_same_spec("ops.image.rgb_to_hsv"))
def rgb_to_hsv(images, data_format=None):
    """Hue (0 red, 1/3 green, 2/3 blue), saturation and value of colours in [0, 1].

    Shapes: (H, W, 3) or (N, H, W, 3), or with the channels before H; result alike.
    Raises: ValueError for other ranks or channels, or images that are not floats.
    Source: Smith 1978, https://doi.org/10.1145/800248.807361, algorithm RGB_TO_HSV.
    """
    images = to_tensor(images)
    axis = _check_colours(images, data_format, "ops.image.rgb_to_hsv")
    red, green, blue = _channels(images, axis)
    value = reduction.max(images, axis=axis)
    spread = value - reduction.min(images, axis=axis)
    # Where the colour is grey, the divisors are 1, so that no gradient becomes NaN.
    saturation = where(value > 0, spread / where(value > 0, value, 1), 0)
    divisor = where(spread > 0, 6 * spread, 1)
    hue = where(
        value == red,
        (green - blue) / divisor,
        where(value == green, (blue - red) / divisor + 1 / 3, (red - green) / divisor + 2 / 3),
    )
    hue = where(spread > 0, hue, 0)
    hue = where(hue < 0, hue + 1, hue)
    return moveaxis(stack([hue, saturation, value], axis=0), 0, axis)


@export("ops.image.hsv_to_rgb")
@composite(_same_spec("ops.image.hsv_to_rgb"))
def hsv_to_rgb(images, data_format=None):
    """The colours of given hue, saturation and value, all in [0, 1].

    Shapes: (H, W, 3) or (N, H, W, 3), or with the channels before H; result alike.
    Raises: ValueError for other ranks or channels, or images that are not floats.
    Source: Smith 1978, https://doi.org/10.1145/800248.807361, algorithm HSV_TO_RGB.
    """
    images = to_tensor(images)
    axis = _check_colours(images, data_format, "ops.image.hsv_to_rgb")
    hue, saturation, value = _channels(images, axis)
    # How much of each pure colour a hue has: a trapezium over the circle of hues.
    parts = [
        elementwise.clip(elementwise.absolute(hue * 6 - 3) - 1, 0, 1),
        elementwise.clip(2 - elementwise.absolute(hue * 6 - 2), 0, 1),
        elementwise.clip(2 - elementwise.absolute(hue * 6 - 4), 0, 1),
    ]
    colours = [((1 - saturation) + saturation * part) * value for part in parts]
    return moveaxis(stack(colours, axis=0), 0, axis)
