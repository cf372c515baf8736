"""Images of another size: every new pixel is a weighted mean of old ones, axis by axis."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.composite import composite
from kerasmirror.core import checks, dtypes
from kerasmirror.ops.image.layout import check_rank, spatial_axes
from kerasmirror.ops.numpy.contraction import tensordot
from kerasmirror.ops.numpy.elementwise import clip, round
from kerasmirror.ops.numpy.indexing import get_item, take
from kerasmirror.ops.numpy.repetition import pad
from kerasmirror.ops.numpy.shape import moveaxis
from kerasmirror.ops.tensor import cast, saturate_cast, to_array, to_tensor

_INTERPOLATIONS = ("bilinear", "nearest", "lanczos3", "lanczos5", "bicubic")


def _triangle(x):
    return np.maximum(0, 1 - x)


def _cubic(x):
    """Keys 1981, https://doi.org/10.1109/TASSP.1981.1163711, Eq. 15, a = -1/2."""
    near = ((1.5 * x - 2.5) * x) * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(radius):
    def weight(x):
        return np.where(x <= radius, np.sinc(x) * np.sinc(x / radius), 0)

    return weight


# A weight for each distance (at least 0) in pixels.
_KERNELS = {
    "bilinear": _triangle,
    "bicubic": _cubic,
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
_NAMES = {
    **dict.fromkeys(("linear", "bilinear", "trilinear"), "bilinear"),
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), "bicubic"),
    "lanczos3": "lanczos3",
    "lanczos5": "lanczos5",
}


def _weights(old, new, scale, translation, kernel, antialias):
    """(old, new) matrix: what each old pixel gives to each new one; columns sum to 1.

    New pixel j looks at the place (j + 1/2 - translation) / scale - 1/2; outside the image it gets
    nothing. With `antialias` the kernel is widened where the image shrinks.
    """
    width = max(1 / scale, 1) if antialias else 1
    places = (np.arange(new) + 0.5 - translation) / scale - 0.5
    weights = kernel(np.abs(places - np.arange(old)[:, None]) / width)
    sums = weights.sum(0)
    enough = np.abs(sums) > 1000 * np.finfo(np.float32).eps
    weights = np.where(enough, weights / np.where(sums == 0, 1, sums), 0)
    return np.where((places >= -0.5) & (places <= old - 0.5), weights, 0)


def _edge_weights(old, new, kernel):
    """As `_weights` without antialiasing, but places outside the image lie on its edge."""
    places = (np.arange(new) + 0.5) * (old / new) - 0.5
    if kernel is _triangle:
        places = places.clip(0, old - 1)
    else:
        # TensorFlow reads the kernel from a table with 1024 steps to a pixel.
        places = np.floor(places) + np.rint(places % 1 * 1024) / 1024
    weights = kernel(np.abs(places - np.arange(old)[:, None]))
    return weights / weights.sum(0)


def _mixed(images, axis, weights):
    weights = to_tensor(weights.astype(dtypes.numpy_dtype(images.dtype)))
    return moveaxis(tensordot(images, weights, axes=((axis,), (0,))), -1, axis)


def _checked_size(size, owner):
    size = tuple(size)
    if len(size) == 2 and any(isinstance(n, Integral) and n < 1 for n in size):
        raise ValueError(
            f"{owner}: `size` must have positive height and width. Received: size={size}"
        )
    return checks.int_tuple(size, 2, "size", owner=owner)


def _resized_spec(images, size, data_format, **options):
    owner = "ops.image.resize"
    check_rank(images, owner)
    shape = list(images.shape)
    for axis, sizes in zip(
        spatial_axes(data_format, owner), _checked_size(size, owner), strict=True
    ):
        shape[axis] = sizes
    return tuple(shape), images.dtype


@export("ops.image.resize")
@composite(_resized_spec)
def resize(
    images,
    size,
    interpolation="bilinear",
    antialias=False,
    crop_to_aspect_ratio=False,
    pad_to_aspect_ratio=False,
    fill_mode="constant",
    fill_value=0.0,
    data_format=None,
):
    """Images of `size` (height, width), by interpolation around the centres of the new pixels.

    `interpolation` is "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5"; `antialias`
    widens its kernel where images shrink. `crop_to_aspect_ratio` first cuts the largest part of
    the target's proportions out of the middle, `pad_to_aspect_ratio` puts `fill_value` around the
    image. Whole numbers are rounded.
    Shapes: (H, W, C) or (N, H, W, C), or with the channels before H; result with the new sizes.
    Raises: ValueError for other ranks, names or sizes, or both ways to keep the proportions.
    Source: Keras 3.15 `keras.ops.image.resize` on TensorFlow.
    """
    owner = "ops.image.resize"
    images = to_tensor(images)
    check_rank(images, owner)
    size = _checked_size(size, owner)
    checks.one_of(interpolation, _INTERPOLATIONS, "interpolation", owner=owner)
    checks.one_of(fill_mode, ("constant",), "fill_mode", owner=owner)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            f"{owner}: only one of `crop_to_aspect_ratio` and `pad_to_aspect_ratio` can be True. "
            "Received: both"
        )
    axes = spatial_axes(data_format, owner)
    if crop_to_aspect_ratio:
        images = _cropped(images, axes, size)
    if pad_to_aspect_ratio:
        images = _padded(images, axes, size, fill_value)
    given = images.dtype
    if interpolation == "nearest":
        return _nearest(images, axes, size)
    images = images if dtypes.is_float_dtype(given) else cast(images, "float32")
    for axis, new in zip(axes, size, strict=True):
        old = images.shape[axis]
        if old == new:
            continue
        kernel = _KERNELS[interpolation]
        if antialias or interpolation.startswith("lanczos"):
            weights = _weights(old, new, new / old, 0, kernel, antialias)
        else:
            weights = _edge_weights(old, new, kernel)
        images = _mixed(images, axis, weights)
    if dtypes.is_float_dtype(given):
        return images
    return saturate_cast(round(images), given)


def _nearest(images, axes, size):
    for axis, new in zip(axes, size, strict=True):
        old = images.shape[axis]
        places = np.floor((np.arange(new) + 0.5) * np.float32(old / new)).astype(np.int32)
        images = take(images, to_tensor(places.clip(0, old - 1)), axis)
    return images


def _cropped(images, axes, size):
    """The largest part in the middle that has the proportions of `size`."""
    height, width = (images.shape[axis] for axis in axes)
    kept = (
        max(min(height, int(width * size[0] / size[1])), 1),
        max(min(width, int(height * size[1] / size[0])), 1),
    )
    key = [slice(None)] * len(images.shape)
    for axis, all_of_it, part in zip(axes, (height, width), kept, strict=True):
        start = (all_of_it - part) // 2
        key[axis] = slice(start, start + part)
    return get_item(images, tuple(key))


def _padded(images, axes, size, fill_value):
    """The image in the middle of one of the proportions of `size`; odd margins are rounded down."""
    height, width = (images.shape[axis] for axis in axes)
    whole = (
        max(height, int(width * size[0] / size[1])),
        max(width, int(height * size[1] / size[0])),
    )
    widths = [(0, 0)] * len(images.shape)
    for axis, part, all_of_it in zip(axes, (height, width), whole, strict=True):
        widths[axis] = ((all_of_it - part) // 2,) * 2
    return pad(images, widths, constant_values=fill_value)


def _translated_spec(images, output_shape, **options):
    return tuple(output_shape), images.dtype


@export("ops.image.scale_and_translate")
@composite(_translated_spec)
def scale_and_translate(
    images, output_shape, scale, translation, spatial_dims, method, antialias=True
):
    """Images stretched by `scale`, then moved by `translation` pixels, along `spatial_dims`.

    `method` is "linear", "cubic" (and "bi-" and "tri-" before them), "lanczos3" or "lanczos5".
    Whole numbers are rounded and stay within the values of the images.
    Shapes: any, result `output_shape`; scale and translation (len(spatial_dims),).
    Raises: ValueError for another method, or sizes that do not fit.
    Source: Keras 3.15 `keras.ops.image.scale_and_translate`.
    """
    owner = "ops.image.scale_and_translate"
    checks.one_of(method, tuple(_NAMES), "method", owner=owner)
    images = to_tensor(images)
    scale, translation = (
        np.asarray(to_array(v), np.float64).reshape(-1) for v in (scale, translation)
    )
    if not len(scale) == len(translation) == len(spatial_dims):
        raise ValueError(
            f"{owner}: `scale` and `translation` must have a value for each of `spatial_dims`. "
            f"Received: scale={scale}, translation={translation}, spatial_dims={spatial_dims}"
        )
    if len(output_shape) != len(images.shape):
        raise ValueError(
            f"{owner}: `output_shape` must have {len(images.shape)} sizes. "
            f"Received: output_shape={tuple(output_shape)}"
        )
    given = images.dtype
    mixed = images if dtypes.is_float_dtype(given) else cast(images, "float32")
    for axis, s, t in zip(spatial_dims, scale, translation, strict=True):
        old, new = images.shape[axis], output_shape[axis]
        mixed = _mixed(mixed, axis, _weights(old, new, s, t, _KERNELS[_NAMES[method]], antialias))
    if dtypes.is_float_dtype(given):
        return mixed
    if not images.size:
        return cast(mixed, given)
    least, largest = float(images.data.min()), float(images.data.max())
    return cast(clip(round(mixed), least, largest), given)
