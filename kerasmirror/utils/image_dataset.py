"""image_dataset_from_directory: batches of images from files."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks, config
from kerasmirror.core.tensor import Tensor
from kerasmirror.utils import directories, images

_FORMATS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_OWNER = "image_dataset_from_directory"
_INTERPOLATIONS = ("bilinear", "nearest", "bicubic", "lanczos3", "lanczos5")
_TENSORFLOW_ONLY = ("area", "gaussian", "mitchellcubic")


@export("utils.image_dataset_from_directory", "preprocessing.image_dataset_from_directory")
def image_dataset_from_directory(
    directory,
    labels="inferred",
    label_mode="int",
    class_names=None,
    color_mode="rgb",
    batch_size=32,
    image_size=(256, 256),
    shuffle=True,
    seed=None,
    validation_split=None,
    subset=None,
    interpolation="bilinear",
    follow_links=False,
    crop_to_aspect_ratio=False,
    pad_to_aspect_ratio=False,
    data_format=None,
    format="tf",
    verbose=True,
):
    """A `keras.utils.Dataset` of (images, labels) from the image files below `directory`.

    With `labels="inferred"`, each subfolder is a class. Files are read while the dataset is gone
    through. Its elements are batches of `batch_size` images, or single ones for None.

    Shapes: images (batch, *image_size, channels), float32 from 0 to 255 (uint8 with
    "nearest"); labels (batch,) for "int", (batch, 1) for "binary", (batch,
    classes) for "categorical". Without labels, the elements are the images alone.
    Args: `labels`, "inferred", None, or one per file in alphabetical order; `subset`, "training",
    "validation" or "both" (a list of two datasets) with a `validation_split`;
    `crop_to_aspect_ratio` and `pad_to_aspect_ratio` keep proportions.
    Raises: ValueError for bad arguments or no files, ImportError without Pillow.
    Source: Keras 3.15 `keras.utils.image_dataset_from_directory`, which gives a `tf.data.Dataset`;
    after `shuffle` with a seed, the files are the same, their order within the buffer is not.
    """
    checks.one_of(color_mode, ("rgb", "rgba", "grayscale"), "color_mode", owner=_OWNER)
    if isinstance(image_size, int):
        image_size = (image_size, image_size)
    image_size = checks.int_tuple(image_size, 2, "image_size", owner=_OWNER)
    interpolation = interpolation.lower()
    if interpolation in _TENSORFLOW_ONLY:
        raise NotImplementedError(
            f"{_OWNER}: `interpolation` must be one of {', '.join(_INTERPOLATIONS)}; "
            f"{interpolation!r} is TensorFlow's own. Received: interpolation={interpolation!r}"
        )
    checks.one_of(interpolation, _INTERPOLATIONS, "interpolation", owner=_OWNER)
    if crop_to_aspect_ratio and pad_to_aspect_ratio:
        raise ValueError(
            f"{_OWNER}: only one of `pad_to_aspect_ratio` and `crop_to_aspect_ratio` can be True. "
            "Received: both"
        )
    directories.check_labels(_OWNER, labels, label_mode, class_names, "image")
    directories.check_format(_OWNER, format)
    first = config.standardize_data_format(data_format, _OWNER) == "channels_first"
    pillow = images.pillow(_OWNER)

    def load(path):
        with pillow.open(path) as img:
            array = np.asarray(images.in_colors(img, color_mode, _OWNER))
        if array.ndim == 2:
            array = array[:, :, np.newaxis]
        if array.dtype != np.uint8:  # grey of 16 or 32 bits, as 8 bits
            array = (array.astype("int64") >> 8).clip(0, 255).astype("uint8")
        image = Tensor(array if interpolation == "nearest" else array.astype("float32"))
        if crop_to_aspect_ratio:
            image = images.smart_resize(image, image_size, interpolation)
        elif pad_to_aspect_ratio:
            image = images.resize_with_pad(image, image_size, interpolation)
        else:
            image = ops.image.resize(image, image_size, interpolation, data_format="channels_last")
        return Tensor(np.ascontiguousarray(image.data.transpose(2, 0, 1))) if first else image

    return directories.datasets(
        _OWNER,
        directory,
        labels,
        label_mode,
        class_names,
        _FORMATS,
        "image",
        load,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
        format,
    )
