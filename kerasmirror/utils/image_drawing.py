"""keras.visualization: boxes and masks drawn on images, and galleries of images."""

from __future__ import annotations

import math

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import config, dtypes
from kerasmirror.layers.preprocessing.bounding_boxes import convert_format


def _images(images, data_format, owner):
    """The batch of images as an array, channels last.

    Raises: ValueError for another rank.
    """
    array = ops.convert_to_numpy(images)
    if array.ndim != 4:
        raise ValueError(
            f"{owner}: `images` must be batched 4D tensor. Received: images.shape={array.shape}"
        )
    first = config.standardize_data_format(data_format, owner) == "channels_first"
    return array.transpose(0, 2, 3, 1) if first else array


@export("visualization.draw_bounding_boxes")
def draw_bounding_boxes(
    images,
    bounding_boxes,
    bounding_box_format,
    class_mapping=None,
    color=(128, 128, 128),
    line_thickness=2,
    text_thickness=1,
    font_scale=1.0,
    data_format=None,
):
    """Images (uint8, channels last) with their boxes, and the classes' names, drawn in.

    Shapes: images (batch, height, width, channels); `bounding_boxes` is a dict with "boxes" (batch,
    n, 4), "labels" (batch, n), where -1 is no box, and perhaps "confidences" (batch, n).
    Floats up to 1 count from 0 to 1, others from 0 to 255. `class_mapping` has names by class.
    Raises: ValueError or TypeError for other images or boxes; ImportError without OpenCV.
    Source: Keras 3.15 `keras.visualization.draw_bounding_boxes`.
    """
    owner = "draw_bounding_boxes"
    try:
        import cv2
    except ImportError:
        raise ImportError(
            f"The `{owner}` function requires the `cv2` package (OpenCV). Please install it with "
            "`pip install opencv-python`."
        ) from None
    array = _images(images, data_format, owner)
    if not isinstance(bounding_boxes, dict):
        raise TypeError(
            f"{owner}: `bounding_boxes` should be a dict. "
            f"Received: bounding_boxes of type {type(bounding_boxes)}"
        )
    if "boxes" not in bounding_boxes or "labels" not in bounding_boxes:
        raise ValueError(
            f"{owner}: `bounding_boxes` should be a dict containing 'boxes' and 'labels' keys. "
            f"Received: keys {sorted(bounding_boxes)}"
        )
    height, width = array.shape[1:3]
    boxes = convert_format(bounding_boxes["boxes"], bounding_box_format, "xyxy", height, width)
    boxes = ops.convert_to_numpy(boxes).astype("int32")
    labels = ops.convert_to_numpy(bounding_boxes["labels"]).astype("int32")
    confidences = bounding_boxes.get("confidences")
    confidences = None if confidences is None else ops.convert_to_numpy(confidences)
    names = class_mapping or {}
    text_thickness = text_thickness or line_thickness
    drawn = np.ascontiguousarray(_as_bytes(array))
    for number, image in enumerate(drawn):
        for place, label in enumerate(labels[number].tolist()):
            if label == -1:
                continue
            x1, y1, x2, y2 = boxes[number, place].tolist()
            cv2.rectangle(image, (x1, y1), (x2, y2), color, line_thickness)
            if label in names:
                text = str(names[label])
                if confidences is not None:
                    text += f" | {confidences[number, place]:.2f}"
                origin = _place_of_text(x1, y1, font_scale, text_thickness)
                font = cv2.FONT_HERSHEY_SIMPLEX
                cv2.putText(image, text, origin, font, font_scale, color, text_thickness)
    return drawn


def _as_bytes(array):
    if array.dtype.kind == "f" and array.size:
        scaled = np.clip(array, 0, 1) * 255 if array.max() <= 1 else np.clip(array, 0, 255)
        return scaled.astype("uint8")
    return array.astype("uint8")


def _place_of_text(x, y, font_scale, thickness):
    """Above the box, or inside of it where there is no room above."""
    height = 2 * int(font_scale * 12)
    if y - 8 - height > 0:
        return x, y - 8
    return x + 3, y + height + thickness + 3


@export("visualization.draw_segmentation_masks")
def draw_segmentation_masks(
    images,
    segmentation_masks,
    num_classes=None,
    color_mapping=None,
    alpha=0.8,
    blend=True,
    ignore_index=-1,
    data_format=None,
):
    """Images (channels last) with pixels in their class' colour: `(1 - alpha) image + alpha color`.

    Shapes: images (batch, height, width, 3), masks of ints (batch, height, width, 1) or (batch,
    height, width). Without `blend` a float32 array of the images with the bare colours is given.
    Pixels of class `ignore_index` stay. `num_classes` is the largest class and one by default.
    Raises: ValueError for other images, TypeError for masks that are no ints.
    Source: Keras 3.15 `keras.visualization.draw_segmentation_masks`, which leaves the largest class
    out where `num_classes` is not given.
    """
    owner = "draw_segmentation_masks"
    array = _images(images, data_format, owner).astype("float32")
    masks = ops.convert_to_numpy(segmentation_masks)
    if not dtypes.is_int_dtype(str(masks.dtype)):
        raise TypeError(
            f"{owner}: `segmentation_masks` must be in integer dtype. "
            f"Received: segmentation_masks.dtype={masks.dtype}"
        )
    if masks.ndim == 4:
        first = config.standardize_data_format(data_format, owner) == "channels_first"
        masks = masks[:, 0] if first else masks[..., 0]
    if num_classes is None:
        num_classes = int(masks.max()) + 1
    colors = _palette(num_classes) if color_mapping is None else color_mapping
    outputs = array.copy()
    for label in range(num_classes):
        outputs[masks == label] = colors[label]
    if not blend:
        return outputs
    outputs = array * (1 - alpha) + outputs * alpha
    return np.where((masks != ignore_index)[..., np.newaxis], outputs, array).astype("uint8")


def _palette(count):
    steps = np.array([2**25 - 1, 2**15 - 1, 2**21 - 1])
    return [(number * steps) % 255 for number in range(count)]


@export("visualization.plot_image_gallery")
def plot_image_gallery(
    images,
    y_true=None,
    y_pred=None,
    label_map=None,
    rows=None,
    cols=None,
    value_range=(0, 255),
    scale=2,
    path=None,
    show=None,
    transparent=True,
    dpi=60,
    legend_handles=None,
    data_format=None,
):
    """Show a batch of images side by side, or write the picture to `path`.

    Args: `y_true` and `y_pred`, classes that are named above the images by `label_map`; `rows` and
    `cols` (by default about a square with room for all); `value_range` of the images; `scale`,
    inches an image. `legend_handles` are Matplotlib's.
    Raises: ValueError for other images, classes without `label_map`, or both `path` and `show`;
    ImportError without Matplotlib.
    Source: Keras 3.15 `keras.visualization.plot_image_gallery`.
    """
    owner = "plot_image_gallery"
    plt = _pyplot(owner)
    if path is not None and show:
        raise ValueError(
            f"{owner}() expects either `path` to be set, or `show` to be true. Received: both"
        )
    if (y_true is not None or y_pred is not None) and label_map is None:
        raise ValueError(
            f"{owner}: If `y_true` or `y_pred` are provided, a `label_map` must also be provided. "
            "Received: label_map=None"
        )
    array = _images(images, data_format, owner)
    low, high = value_range
    array = ((array.astype("float32") - low) / (high - low) * 255).astype("uint8")
    rows = rows or math.ceil(math.sqrt(len(array)))
    cols = cols or math.ceil(len(array) / rows)
    figure, axes = plt.subplots(
        nrows=rows,
        ncols=cols,
        figsize=(cols * scale, rows * scale),
        frameon=False,
        layout="tight",
        squeeze=False,
    )
    if legend_handles is not None:
        figure.legend(handles=legend_handles, loc="lower center")
    classes = [
        (word, ops.convert_to_numpy(given))
        for word, given in (("Label", y_true), ("Pred", y_pred))
        if given is not None
    ]
    for number, axis in enumerate(axes.flat):
        axis.axis("off")
        if number >= len(array):
            continue
        axis.imshow(array[number])
        parts = [
            f"{word}: {label_map.get(given[number].item(), 'Unknown')}"
            for word, given in classes
            if number < len(given)
        ]
        if parts:
            axis.set_title("  ".join(parts), fontsize=8)
    if path is not None:
        figure.savefig(path, pad_inches=0, bbox_inches="tight", transparent=transparent, dpi=dpi)
    elif show is None or show:
        plt.show()
    plt.close(figure)


def _pyplot(owner):
    try:
        import matplotlib.pyplot as plt
    except ImportError:
        raise ImportError(
            f"The `{owner}` function requires the `matplotlib` package. Please install it with "
            "`pip install matplotlib`."
        ) from None
    return plt


@export("visualization.plot_bounding_box_gallery")
def plot_bounding_box_gallery(
    images,
    bounding_box_format,
    y_true=None,
    y_pred=None,
    value_range=(0, 255),
    true_color=(0, 188, 212),
    pred_color=(255, 235, 59),
    line_thickness=2,
    font_scale=1.0,
    text_thickness=None,
    class_mapping=None,
    ground_truth_mapping=None,
    prediction_mapping=None,
    legend=False,
    legend_handles=None,
    rows=None,
    cols=None,
    data_format=None,
    **kwargs,
):
    """Show a batch of images with true and predicted boxes; see `draw_bounding_boxes`.

    Both kinds have a colour and names by class of their own. Images of another `value_range` are
    brought to 0 to 255 before boxes are drawn. `kwargs` go to `plot_image_gallery`.
    Raises: as both; ValueError for `legend` with `legend_handles`.
    Source: Keras 3.15 `keras.visualization.plot_bounding_box_gallery`.
    """
    owner = "plot_bounding_box_gallery"
    _pyplot(owner)
    array = _images(images, data_format, owner)
    low, high = value_range
    array = ((array.astype("float32") - low) / (high - low) * 255).astype("uint8")
    kinds = (
        ("Ground Truth", y_true, true_color, ground_truth_mapping),
        ("Prediction", y_pred, pred_color, prediction_mapping),
    )
    for _, boxes, color, mapping in kinds:
        if boxes is not None:
            array = draw_bounding_boxes(
                array,
                boxes,
                bounding_box_format,
                class_mapping=mapping or class_mapping,
                color=color,
                line_thickness=line_thickness,
                text_thickness=text_thickness,
                font_scale=font_scale,
                data_format="channels_last",
            )
    if legend:
        if legend_handles:
            raise ValueError(f"{owner}: Only pass `legend` OR `legend_handles`. Received: both")
        from matplotlib.patches import Patch

        legend_handles = [
            Patch(color=np.array(color) / 255, label=label) for label, _, color, _ in kinds
        ]
    plot_image_gallery(
        array,
        legend_handles=legend_handles,
        rows=rows,
        cols=cols,
        data_format="channels_last",
        **kwargs,
    )


@export("visualization.plot_segmentation_mask_gallery")
def plot_segmentation_mask_gallery(
    images,
    num_classes,
    value_range=(0, 255),
    y_true=None,
    y_pred=None,
    color_mapping=None,
    blend=True,
    alpha=0.8,
    ignore_index=-1,
    data_format=None,
    **kwargs,
):
    """Show images, a row each, beside themselves with true and with predicted masks.

    See `draw_segmentation_masks`; `kwargs` go to `plot_image_gallery`.
    Source: Keras 3.15 `keras.visualization.plot_segmentation_mask_gallery`.
    """
    array = _images(images, data_format, "plot_segmentation_mask_gallery")
    columns = [array]
    for given in (y_true, y_pred):
        if given is None:
            continue
        masks = ops.convert_to_numpy(given).astype("int32")
        if masks.ndim == 4 and config.standardize_data_format(data_format) == "channels_first":
            masks = masks.transpose(0, 2, 3, 1)
        columns.append(
            draw_segmentation_masks(
                array,
                masks,
                num_classes,
                color_mapping,
                alpha,
                blend,
                ignore_index,
                data_format="channels_last",
            )
        )
    pictures = np.stack(columns, axis=1).reshape(-1, *array.shape[1:])
    plot_image_gallery(
        pictures,
        value_range=value_range,
        rows=len(array),
        cols=len(columns),
        data_format="channels_last",
        **kwargs,
    )
