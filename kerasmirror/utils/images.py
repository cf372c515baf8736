"""Images as arrays, Pillow images and files: array_to_img, img_to_array, load_img, save_img."""

from __future__ import annotations

import io
import os
import pathlib
import warnings

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks, config
from kerasmirror.core.tensor import Tensor

_MODES = {"grayscale": 1, "rgb": 3, "rgba": 4}
_RESAMPLING = ("nearest", "bilinear", "bicubic", "hamming", "box", "lanczos")


def pillow(owner):
    """Pillow's module Image.

    Raises: ImportError where it is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            f"{owner}: Pillow must be installed to work with images: `pip install pillow`. "
            "(Could not import PIL.Image.)"
        ) from None
    return Image


@export("utils.array_to_img", "preprocessing.image.array_to_img")
def array_to_img(x, data_format=None, scale=True, dtype=None):
    """A Pillow image of an array of rank 3 with 1, 3 or 4 channels.

    With `scale`, the smallest value becomes 0 and the largest 255. One channel of values above 255
    gives an image of 32-bit integers.
    Raises: ValueError for another rank or number of channels, ImportError without Pillow.
    Source: Keras 3.15 `keras.utils.array_to_img`.
    """
    data_format = config.standardize_data_format(data_format, "array_to_img")
    image = pillow("array_to_img")
    array = np.array(x, dtype=config.floatx() if dtype is None else dtype)
    if array.ndim != 3:
        raise ValueError(
            "array_to_img: `x` must have rank 3 (a single image). "
            f"Received: x of shape {array.shape}"
        )
    if data_format == "channels_first":
        array = array.transpose(1, 2, 0)
    if scale:
        array = array - np.min(array)
        largest = np.max(array)
        if largest != 0:
            array = array / largest
        array = array * 255
    channels = array.shape[2]
    if channels not in (1, 3, 4):
        raise ValueError(
            f"array_to_img: `x` must have 1, 3 or 4 channels. Received: {channels} channels "
            f"({data_format}) in an array of shape {np.shape(x)}"
        )
    if channels > 1:
        return image.fromarray(array.astype("uint8"))
    kind = "int32" if np.max(array) > 255 else "uint8"
    return image.fromarray(np.ascontiguousarray(array[:, :, 0]).astype(kind))


@export("utils.img_to_array", "preprocessing.image.img_to_array")
def img_to_array(img, data_format=None, dtype=None):
    """The array of a Pillow image, of rank 3 in any case.

    Raises: ValueError for what is no image of rank 2 or 3.
    Source: Keras 3.15 `keras.utils.img_to_array`.
    """
    data_format = config.standardize_data_format(data_format, "img_to_array")
    array = np.asarray(img, dtype=config.floatx() if dtype is None else dtype)
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    elif array.ndim != 3:
        raise ValueError(
            f"img_to_array: `img` must have rank 2 or 3. Received: an image of shape {array.shape}"
        )
    return array.transpose(2, 0, 1) if data_format == "channels_first" else array


@export("utils.save_img", "preprocessing.image.save_img")
def save_img(path, x, data_format=None, file_format=None, scale=True, **kwargs):
    """Write an array as an image file; `file_format` by default from the ending of `path`.

    `kwargs` go to Pillow's `save`. JPEG has no transparency: a fourth channel is dropped.
    Source: Keras 3.15 `keras.utils.save_img`.
    """
    if file_format is None and isinstance(path, (str, pathlib.Path)):
        file_format = pathlib.Path(path).suffix[1:].lower()
    if file_format and file_format.lower() == "jpg":
        file_format = "jpeg"
    img = array_to_img(x, data_format=data_format, scale=scale)
    if img.mode == "RGBA" and file_format == "jpeg":
        warnings.warn(
            "save_img: the JPEG format does not support RGBA images, converting to RGB.",
            stacklevel=2,
        )
        img = img.convert("RGB")
    img.save(path, format=file_format, **kwargs)


@export("utils.load_img", "preprocessing.image.load_img")
def load_img(
    path,
    color_mode="rgb",
    target_size=None,
    interpolation="nearest",
    keep_aspect_ratio=False,
):
    """A Pillow image from a file (a path or a BytesIO), in the given colours and size.

    Args: `color_mode`, "grayscale", "rgb" or "rgba"; `target_size`, (height, width);
    `interpolation`, "nearest", "bilinear", "bicubic", "hamming", "box" or "lanczos";
    `keep_aspect_ratio`, the largest part of that ratio is cut from the middle first.
    Raises: TypeError for another kind of path, ValueError for another mode or interpolation.
    Source: Keras 3.15 `keras.utils.load_img`.
    """
    image = pillow("load_img")
    if isinstance(path, io.BytesIO):
        img = image.open(path)
    elif isinstance(path, (str, bytes, os.PathLike)):
        with open(path, "rb") as file:
            img = image.open(io.BytesIO(file.read()))
    else:
        checks.fail("load_img", "path", "a path or a BytesIO", path, TypeError)
    img = in_colors(img, color_mode, "load_img")
    if target_size is None or img.size == (target_size[1], target_size[0]):
        return img
    if interpolation not in _RESAMPLING:
        checks.fail("load_img", "interpolation", f"one of {', '.join(_RESAMPLING)}", interpolation)
    height, width = target_size
    box = None
    if keep_aspect_ratio:
        box = _middle(img.size[1], img.size[0], height, width)
    return img.resize((width, height), image.Resampling[interpolation.upper()], box=box)


def in_colors(img, color_mode, owner):
    """The image in the colours of `color_mode`; grey images of more than 8 bits stay such.

    Raises: ValueError for another mode.
    """
    checks.one_of(color_mode, tuple(_MODES), "color_mode", owner=owner)
    if color_mode == "grayscale":
        return img if img.mode in ("L", "I;16", "I") else img.convert("L")
    mode = color_mode.upper()
    return img if img.mode == mode else img.convert(mode)


def channels_of(color_mode):
    """How many channels a colour mode has."""
    return _MODES[color_mode]


def _middle(height, width, target_height, target_width):
    """(left, top, right, bottom) of the largest part of the target's ratio."""
    crop_height = min(height, width * target_height // target_width)
    crop_width = min(width, height * target_width // target_height)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return left, top, left + crop_width, top + crop_height


@export("preprocessing.image.smart_resize")
def smart_resize(
    x,
    size,
    interpolation="bilinear",
    data_format="channels_last",
    **kwargs,
):
    """Images of `size` (height, width), cut in the middle to that ratio before they are resized.

    Shapes: x (height, width, channels), a batch of such, or channels first. An array gives an
    array, a tensor a tensor.
    Raises: ValueError for another rank, or a size that is not two ints.
    Source: Keras 3.15 `keras.preprocessing.image.smart_resize`.
    """
    kwargs.pop("backend_module", None)
    if kwargs:
        raise TypeError(f"smart_resize: unknown arguments. Received: {list(kwargs)}")
    if len(size) != 2:
        checks.fail("smart_resize", "size", "a tuple of 2 ints", size)
    images = ops.convert_to_tensor(x)
    if images.ndim not in (3, 4):
        raise ValueError(
            "smart_resize: `x` must be an image (height, width, channels) or a batch of images. "
            f"Received: x of shape {tuple(images.shape)}"
        )
    first = data_format == "channels_first"
    height, width = images.shape[-2:] if first else images.shape[-3:-1]
    crop_height = max(min(height, int(float(width * size[0]) / size[1])), 1)
    crop_width = max(min(width, int(float(height * size[1]) / size[0])), 1)
    top, left = int((height - crop_height) / 2), int((width - crop_width) / 2)
    rows, columns = slice(top, top + crop_height), slice(left, left + crop_width)
    images = images[..., rows, columns] if first else images[..., rows, columns, :]
    if interpolation != "nearest" and "float" not in images.dtype:
        images = ops.cast(images, "float32")  # resized whole numbers are not rounded here
    images = ops.image.resize(
        images, size=size, interpolation=interpolation, data_format=data_format
    )
    return images if isinstance(x, Tensor) else images.numpy()


def resize_with_pad(image, size, interpolation):
    """The image (height, width, channels) as large as fits into `size`, with zeros around it.

    TensorFlow's rule for `tf.image.resize_with_pad`: the smaller side is rounded down.
    """
    height, width = image.shape[:2]
    ratio = max(height / size[0], width / size[1])
    fitted = height / ratio, width / ratio
    inner = tuple(min(int(n), limit) for n, limit in zip(fitted, size, strict=True))
    inner = tuple(max(n, 1) for n in inner)
    image = ops.image.resize(image, size=inner, interpolation=interpolation).data
    top, left = (int((limit - n) / 2) for n, limit in zip(fitted, size, strict=True))
    out = np.zeros((*size, image.shape[2]), image.dtype)
    out[top : top + inner[0], left : left + inner[1]] = image
    return Tensor(out)
