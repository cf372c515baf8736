"""`tf.image`: images (H, W, C), or a batch of them, channels last."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror import random as _random
from kerasmirror.standin.small_tensorflow.random import generator_for

_GREATEST = {"uint8": 255, "uint16": 65535, "int16": 32767, "int32": 2**31 - 1}


class ResizeMethod:
    """What `resize` calls its methods."""

    BILINEAR = "bilinear"
    NEAREST_NEIGHBOR = "nearest"
    BICUBIC = "bicubic"
    LANCZOS3 = "lanczos3"
    LANCZOS5 = "lanczos5"


def resize(
    images,
    size,
    method=ResizeMethod.BILINEAR,
    preserve_aspect_ratio=False,
    antialias=False,
    name=None,
):
    """The images at `size`; as floats, but for "nearest", as TensorFlow does."""
    if preserve_aspect_ratio:
        raise NotImplementedError("tf.image.resize: `preserve_aspect_ratio` must be False here.")
    images = ops.convert_to_tensor(images)
    images = images if method == "nearest" else ops.cast(images, "float32")
    size = tuple(int(one) for one in size)
    return ops.image.resize(
        images, size, interpolation=method, antialias=antialias, data_format="channels_last"
    )


def convert_image_dtype(image, dtype, saturate=False, name=None):
    """Floats lie in [0, 1], whole numbers between 0 and the greatest one of their dtype."""
    image = ops.convert_to_tensor(image)
    if image.dtype == dtype:
        return image
    if "float" in dtype:
        greatest = _GREATEST.get(image.dtype)
        image = ops.cast(image, dtype)
        return image if greatest is None else ops.multiply(image, 1 / greatest)
    if "float" not in image.dtype:
        raise NotImplementedError("tf.image.convert_image_dtype: one of the dtypes must be floats.")
    scaled = ops.multiply(image, _GREATEST[dtype] + 0.5)
    return ops.cast(ops.clip(scaled, 0, _GREATEST[dtype]) if saturate else scaled, dtype)


def flip_left_right(image):
    return ops.flip(image, -2)


def flip_up_down(image):
    return ops.flip(image, -3)


def rot90(image, k=1, name=None):
    return ops.rot90(image, int(k), axes=(-3, -2))


def rgb_to_grayscale(images, name=None):
    return ops.image.rgb_to_grayscale(images, data_format="channels_last")


def grayscale_to_rgb(images, name=None):
    return ops.repeat(images, 3, axis=-1)


def rgb_to_hsv(images, name=None):
    return ops.image.rgb_to_hsv(images, data_format="channels_last")


def hsv_to_rgb(images, name=None):
    return ops.image.hsv_to_rgb(images, data_format="channels_last")


def adjust_brightness(image, delta):
    return ops.add(image, delta)


def adjust_contrast(images, contrast_factor):
    """(x - mean) * contrast_factor + mean, the mean over each image's channel"""
    mean = ops.mean(images, axis=(-3, -2), keepdims=True)
    return ops.add(ops.multiply(ops.subtract(images, mean), contrast_factor), mean)


def per_image_standardization(image):
    """(x - mean) / max(deviation, 1 / sqrt(number of values)), each image by itself"""
    image = ops.cast(image, "float32")
    axes = (-3, -2, -1)
    least = 1 / np.sqrt(np.prod(image.shape[-3:]))
    deviation = ops.maximum(ops.std(image, axis=axes, keepdims=True), float(least))
    return ops.divide(ops.subtract(image, ops.mean(image, axis=axes, keepdims=True)), deviation)


def crop_to_bounding_box(image, offset_height, offset_width, target_height, target_width):
    rows = slice(offset_height, offset_height + target_height)
    return ops.convert_to_tensor(image)[
        ..., rows, offset_width : offset_width + target_width, slice(None)
    ]


def central_crop(image, central_fraction):
    """The middle of the image, `central_fraction` of its height and width."""
    height, width = ops.shape(image)[-3:-1]
    top, left = (int((n - n * central_fraction) / 2) for n in (height, width))
    return crop_to_bounding_box(image, top, left, height - 2 * top, width - 2 * left)


def total_variation(images, name=None):
    """The sum of the absolute differences of neighbours, for each image."""
    images = ops.convert_to_tensor(images)
    down = ops.abs(images[..., 1:, :, :] - images[..., :-1, :, :])
    right = ops.abs(images[..., :, 1:, :] - images[..., :, :-1, :])
    axes = (-3, -2, -1)
    return ops.add(ops.sum(down, axis=axes), ops.sum(right, axis=axes))


def psnr(a, b, max_val, name=None):
    """20 log10(max_val) - 10 log10(mean of (a - b)^2), for each image"""
    error = ops.mean(ops.square(ops.subtract(a, b)), axis=(-3, -2, -1))
    return ops.subtract(20 * float(np.log10(max_val)), ops.multiply(10.0, ops.log10(error)))


def ssim(img1, img2, max_val, filter_size=11, filter_sigma=1.5, k1=0.01, k2=0.03):
    return ops.image.ssim(img1, img2, max_val, filter_size, filter_sigma, k1, k2)


def random_flip_left_right(image, seed=None):
    return _flipped_at_random(image, -2, seed)


def random_flip_up_down(image, seed=None):
    return _flipped_at_random(image, -3, seed)


def _flipped_at_random(image, axis, seed):
    image = ops.convert_to_tensor(image)
    draws = _random.uniform((*image.shape[:-3], 1, 1, 1), seed=generator_for(seed))
    return ops.where(ops.less(draws, 0.5), ops.flip(image, axis), image)


def random_brightness(image, max_delta, seed=None):
    return adjust_brightness(
        image, _random.uniform((), -max_delta, max_delta, seed=generator_for(seed))
    )


def random_contrast(image, lower, upper, seed=None):
    return adjust_contrast(image, _random.uniform((), lower, upper, seed=generator_for(seed)))


def random_crop(value, size, seed=None, name=None):
    """A part of `size`, from a place that is drawn."""
    value = ops.convert_to_tensor(value)
    free = [whole - int(part) for whole, part in zip(value.shape, size, strict=True)]
    if min(free) < 0:
        raise ValueError(
            "tf.image.random_crop: `size` must not be larger than `value`. "
            f"Received: size={tuple(size)}, value of shape {value.shape}"
        )
    draws = np.asarray(_random.uniform((len(free),), seed=generator_for(seed)))
    starts = [int(draw * (room + 1)) for draw, room in zip(draws, free, strict=True)]
    return value[tuple(slice(start, start + int(n)) for start, n in zip(starts, size, strict=True))]
