"""keras.utils.bounding_boxes: boxes in images, their formats, overlaps and moves.

A format is a name such as "rel_center_xywh": `rel_` for shares of the image's width and height,
`center_` where the first two numbers are the box's middle, then the order of the axes, and "wh" or
"hw" where the last two numbers are sizes instead of the far corner.
"""

from __future__ import annotations

import math

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks, config

FORMATS = (
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
)
_DELTA_FORMATS = ("center_xywh", "center_yxhw")


@export("utils.bounding_boxes.convert_format")
def convert_format(boxes, source, target, height=None, width=None, dtype="float32"):
    """Boxes of the format `source` in the format `target`; names in any case.

    Shapes: boxes (..., 4), or a dict with such `boxes`, which gives a dict. `height` and `width`
    of the image are needed where one of the formats is relative.
    Raises: ValueError for an unknown format, another last axis, or an image of unknown size.
    Source: Keras 3.15 `keras.utils.bounding_boxes.convert_format`.
    """
    if isinstance(boxes, dict):
        found = convert_format(boxes["boxes"], source, target, height, width, dtype)
        return {**boxes, "boxes": found}
    owner = "convert_format"
    boxes = ops.convert_to_tensor(boxes)
    if boxes.shape[-1] != 4:
        raise ValueError(
            f"{owner}: `boxes` must be a tensor with the last dimension of 4. "
            f"Received: boxes.shape={tuple(boxes.shape)}"
        )
    source, target = source.lower(), target.lower()
    if source not in FORMATS or target not in FORMATS:
        raise ValueError(
            f"{owner}: Invalid source or target format, they must be among {', '.join(FORMATS)}. "
            f"Received: source={source!r}, target={target!r}"
        )
    relative = source.startswith("rel_"), target.startswith("rel_")
    if any(relative) and (width is None or height is None):
        raise ValueError(
            f"{owner} must receive `height` and `width` to convert relative formats. "
            f"Received: source={source!r}, target={target!r}, height={height}, width={width}"
        )
    boxes = ops.cast(boxes, dtype)
    if source == target:
        return boxes
    sizes = None
    if relative[0] != relative[1]:
        sizes = [ops.cast(size, dtype) for size in (width, height)]
    corners = _corners(ops.split(boxes, 4, axis=-1), source)
    if relative[0] and sizes:
        corners = [corner * sizes[i % 2] for i, corner in enumerate(corners)]
    elif relative[1] and sizes:
        corners = [corner / sizes[i % 2] for i, corner in enumerate(corners)]
    return ops.concatenate(_numbers(corners, target), axis=-1)


def _corners(numbers, form):
    """[x1, y1, x2, y2] of the four numbers of a box."""
    form = form.removeprefix("rel_")
    if form.endswith("yxyx") or form.endswith("yxhw"):
        b, a, d, c = numbers
    else:
        a, b, c, d = numbers
    if form.startswith("center_"):
        return [a - c / 2, b - d / 2, a + c / 2, b + d / 2]
    return [a, b, a + c, b + d] if form == "xywh" else [a, b, c, d]


def _numbers(corners, form):
    """The four numbers of a box with the corners [x1, y1, x2, y2]."""
    form = form.removeprefix("rel_")
    a, b, c, d = corners
    if form.startswith("center_"):
        c, d = c - a, d - b
        a, b = a + c / 2, b + d / 2
    elif form == "xywh":
        c, d = c - a, d - b
    return [b, a, d, c] if form.endswith(("yxyx", "yxhw")) else [a, b, c, d]


@export("utils.bounding_boxes.clip_to_image_size")
def clip_to_image_size(bounding_boxes, height=None, width=None, bounding_box_format="xyxy"):
    """A dict of `boxes` cut to the image; `labels` of boxes with nothing left are -1.

    Raises: NotImplementedError for formats but "xyxy" and "rel_xyxy", ValueError for "xyxy"
    without the image's size.
    Source: Keras 3.15 `keras.utils.bounding_boxes.clip_to_image_size`.
    """
    if bounding_box_format not in ("xyxy", "rel_xyxy"):
        raise _only_corners("clip_to_image_size", bounding_box_format, '"xyxy" or "rel_xyxy"')
    if bounding_box_format == "rel_xyxy":
        height = width = 1.0
    elif height is None or width is None:
        raise ValueError(
            'clip_to_image_size: `height` and `width` must be set if `format="xyxy"`. '
            f"Received: height={height}, width={width}"
        )
    x1, y1, x2, y2 = _inside(bounding_boxes["boxes"], height, width)
    result = {**bounding_boxes, "boxes": ops.concatenate([x1, y1, x2, y2], axis=-1)}
    labels = bounding_boxes.get("labels")
    if labels is not None:
        areas = ops.squeeze((x2 - x1) * (y2 - y1), axis=-1)
        result["labels"] = ops.where(areas > 0, labels, -1)
    return result


def _inside(boxes, height, width):
    x1, y1, x2, y2 = ops.split(ops.convert_to_tensor(boxes), 4, axis=-1)
    return [
        ops.clip(x1, 0, width),
        ops.clip(y1, 0, height),
        ops.clip(x2, 0, width),
        ops.clip(y2, 0, height),
    ]


@export("utils.bounding_boxes.affine_transform")
def affine_transform(
    boxes,
    angle,
    translate_x,
    translate_y,
    scale,
    shear_x,
    shear_y,
    height,
    width,
    center_x=None,
    center_y=None,
    bounding_box_format="xyxy",
):
    """The smallest boxes around boxes that are turned, moved, sheared and scaled with their image.

    Shapes: boxes (batch, n, 4); angles and shears (degrees), translations (shares of the image)
    and scales (batch,). The centre, as shares of the image, is the middle by default.
    Raises: NotImplementedError for formats but "xyxy".
    Source: Keras 3.15 `keras.utils.bounding_boxes.affine_transform`.
    """
    if bounding_box_format != "xyxy":
        raise _only_corners("affine_transform", bounding_box_format, '"xyxy"')
    center = [
        (0.5 if share is None else share) * (size - 1)
        for share, size in ((center_x, width), (center_y, height))
    ]
    shift = [
        -ops.convert_to_tensor(share) * (size - 1)
        for share, size in ((translate_x, width), (translate_y, height))
    ]
    rows = _rows_of_inverse(angle, shear_x, shear_y, ops.convert_to_tensor(scale), center, shift)
    (a0, a1, a2), (b0, b1, b2) = ([one[:, None, None] for one in row] for row in rows)
    boxes = ops.cast(ops.convert_to_tensor(boxes), a0.dtype)
    x1, y1, x2, y2 = ops.split(boxes, 4, axis=-1)
    x = ops.concatenate([x1, x2, x2, x1], axis=-1)
    y = ops.concatenate([y1, y1, y2, y2], axis=-1)
    moved = a0 * x + a1 * y + a2, b0 * x + b1 * y + b2
    corners = [ops.min(one, axis=-1) for one in moved] + [ops.max(one, axis=-1) for one in moved]
    return ops.stack(corners, axis=-1)


def _rows_of_inverse(angle, shear_x, shear_y, scale, center, shift):
    """Two rows of the matrix that takes points of the changed image back: a0 x + a1 y + a2, ...

    rotation(r - s_y) / cos(s_y) and a shear, inverted; its determinant is 1 before the scaling.
    """
    r, sx, sy = (-ops.convert_to_tensor(one) * (math.pi / 180) for one in (angle, shear_x, shear_y))
    a = ops.cos(r - sy) / ops.cos(sy)
    b = a * ops.tan(sx) + ops.sin(r)
    c = -ops.sin(r - sy) / ops.cos(sy)
    d = ops.cos(r) - c * ops.tan(sx)
    rows = [[d * scale, -b * scale], [-c * scale, a * scale]]
    x, y = (middle + moved for middle, moved in zip(center, shift, strict=True))
    return [
        [one, two, middle - one * x - two * y]
        for (one, two), middle in zip(rows, center, strict=True)
    ]


@export("utils.bounding_boxes.crop")
def crop(boxes, top, left, height, width, bounding_box_format="xyxy"):
    """Boxes in the part of the image that begins at (top, left) and has the given size.

    Raises: NotImplementedError for formats but "xyxy".
    Source: Keras 3.15 `keras.utils.bounding_boxes.crop`.
    """
    if bounding_box_format != "xyxy":
        raise _only_corners("crop", bounding_box_format, '"xyxy"')
    return ops.concatenate(_inside(_moved(boxes, -left, -top), height, width), axis=-1)


@export("utils.bounding_boxes.pad")
def pad(boxes, top, left, height=None, width=None, bounding_box_format="xyxy"):
    """Boxes in the image with margins of `top` and `left` put before it.

    `height` and `width` are Keras's and change nothing: margins behind the image move no box.
    Raises: NotImplementedError for formats but "xyxy".
    Source: Keras 3.15 `keras.utils.bounding_boxes.pad`.
    """
    if bounding_box_format != "xyxy":
        raise _only_corners("pad", bounding_box_format, '"xyxy"')
    return _moved(boxes, left, top)


def _moved(boxes, x, y):
    x1, y1, x2, y2 = ops.split(ops.convert_to_tensor(boxes), 4, axis=-1)
    return ops.concatenate([x1 + x, y1 + y, x2 + x, y2 + y], axis=-1)


def _only_corners(owner, given, expected):
    return NotImplementedError(
        f"{owner}: `bounding_box_format` must be {expected}; use convert_format() for others. "
        f"Received: bounding_box_format={given!r}"
    )


@export("utils.bounding_boxes.encode_box_to_deltas")
def encode_box_to_deltas(
    anchors,
    boxes,
    anchor_format,
    box_format,
    encoding_format="center_yxhw",
    variance=None,
    image_shape=None,
):
    """[(box's centre - anchor's) / anchor's size, log(box's size / anchor's)] / variance.

    Shapes: anchors (n, 4), boxes (n, 4) or (batch, n, 4), as the result.
    Raises: ValueError for another `encoding_format` than "center_xywh" and "center_yxhw", or a
    `variance` that is not 4 numbers.
    Source: Keras 3.15 `keras.utils.bounding_boxes.encode_box_to_deltas`.
    """
    owner = "encode_box_to_deltas"
    variance = _checked_variance(variance, owner)
    checks.one_of(encoding_format, _DELTA_FORMATS, "encoding_format", owner=owner)
    height, width = (None, None) if image_shape is None else image_shape[:2]
    anchors = convert_format(anchors, anchor_format, encoding_format, height, width)
    boxes = convert_format(boxes, box_format, encoding_format, height, width)
    anchor_sizes = ops.maximum(anchors[..., 2:], config.epsilon())
    sizes = ops.maximum(boxes[..., 2:], config.epsilon())
    deltas = ops.concatenate(
        [(boxes[..., :2] - anchors[..., :2]) / anchor_sizes, ops.log(sizes / anchor_sizes)],
        axis=-1,
    )
    return deltas if variance is None else deltas / variance


@export("utils.bounding_boxes.decode_deltas_to_boxes")
def decode_deltas_to_boxes(
    anchors,
    boxes_delta,
    anchor_format,
    box_format,
    encoded_format="center_yxhw",
    variance=None,
    image_shape=None,
):
    """The boxes of the format `box_format` from deltas: the inverse of `encode_box_to_deltas`.

    Dicts of anchors and deltas give a dict of boxes.
    Raises: as `encode_box_to_deltas`.
    Source: Keras 3.15 `keras.utils.bounding_boxes.decode_deltas_to_boxes`.
    """
    owner = "decode_deltas_to_boxes"
    variance = _checked_variance(variance, owner)
    checks.one_of(encoded_format, _DELTA_FORMATS, "encoded_format", owner=owner)
    height, width = (None, None) if image_shape is None else image_shape[:2]

    def decoded(anchors, deltas):
        anchors = convert_format(anchors, anchor_format, encoded_format, height, width)
        deltas = ops.convert_to_tensor(deltas)
        deltas = deltas if variance is None else deltas * variance
        sizes = anchors[..., 2:]
        boxes = ops.concatenate(
            [deltas[..., :2] * sizes + anchors[..., :2], ops.exp(deltas[..., 2:]) * sizes], axis=-1
        )
        return convert_format(boxes, encoded_format, box_format, height, width)

    if isinstance(anchors, dict) and isinstance(boxes_delta, dict):
        return {key: decoded(anchors[key], boxes_delta[key]) for key in anchors}
    return decoded(anchors, boxes_delta)


def _checked_variance(variance, owner):
    if variance is None:
        return None
    variance = ops.convert_to_tensor(variance, "float32")
    if variance.shape[-1:] != (4,):
        raise ValueError(
            f"{owner}: `variance` must be length 4. "
            f"Received: variance of shape {tuple(variance.shape)}"
        )
    return variance


@export("utils.bounding_boxes.compute_iou")
def compute_iou(
    boxes1,
    boxes2,
    bounding_box_format,
    use_masking=False,
    mask_val=-1,
    image_shape=None,
):
    """Intersection over union of every box of the first with every box of the second set.

    Shapes: boxes1 (m, 4) or (batch, m, 4), boxes2 (n, 4) or (batch, n, 4), result (m, n) or
    (batch, m, n). With `use_masking`, pairs with a box of negative numbers only get `mask_val`.
    Raises: ValueError for other ranks, or a relative format without `image_shape` (height, width,
    channels).
    Source: Keras 3.15 `keras.utils.bounding_boxes.compute_iou`.
    """
    owner = "compute_iou"
    boxes1, boxes2 = ops.convert_to_tensor(boxes1), ops.convert_to_tensor(boxes2)
    for name, boxes in (("boxes1", boxes1), ("boxes2", boxes2)):
        if len(boxes.shape) not in (2, 3):
            raise ValueError(
                f"{owner}() expects {name} to be batched, or to be unbatched: (boxes, 4) or "
                f"(batch, boxes, 4). Received: {name} of shape {tuple(boxes.shape)}"
            )
    height, width = _size_of_image(image_shape, bounding_box_format, owner)
    first = convert_format(boxes1, bounding_box_format, "yxyx", height, width)[..., :, None, :]
    second = convert_format(boxes2, bounding_box_format, "yxyx", height, width)[..., None, :, :]
    low = ops.maximum(first[..., :2], second[..., :2])
    high = ops.minimum(first[..., 2:], second[..., 2:])
    sides = ops.maximum(high - low, 0)
    common = sides[..., 0] * sides[..., 1]
    union = _area(first) + _area(second) - common
    result = common / (union + config.epsilon())
    if not use_masking:
        return result
    empty = ops.logical_or(ops.max(first, axis=-1) < 0, ops.max(second, axis=-1) < 0)
    return ops.where(empty, ops.cast(mask_val, result.dtype), result)


def _area(boxes):
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _size_of_image(image_shape, form, owner):
    if image_shape is not None:
        return image_shape[:2]
    if "rel" in form:
        raise ValueError(
            f"{owner}: When using relative bounding box formats (e.g. `rel_yxyx`) the "
            "`image_shape` argument must be provided. Received: image_shape=None"
        )
    return None, None


@export("utils.bounding_boxes.compute_ciou")
def compute_ciou(boxes1, boxes2, bounding_box_format, image_shape=None):
    """Complete IoU of pairs: iou - distance^2 / diagonal^2 - v^2 / (v - iou + 1).

    The distance is that of the centres, the diagonal that of the smallest box around both, and v =
    4 / pi^2 (atan(w2 / h2) - atan(w1 / h1))^2 compares the proportions.
    Shapes: boxes1 and boxes2 (..., 4), result (...).
    Raises: ValueError for a relative format without `image_shape`, with which Keras refuses them
    too.
    Source: Zheng et al. 2020, https://arxiv.org/abs/2005.03572; Keras 3.15
    `keras.utils.bounding_boxes.compute_ciou`.
    """
    epsilon = config.epsilon()
    height, width = _size_of_image(image_shape, bounding_box_format, "compute_ciou")
    first = convert_format(boxes1, bounding_box_format, "xyxy", height, width)
    second = convert_format(boxes2, bounding_box_format, "xyxy", height, width)
    sizes1 = first[..., 2:] - first[..., :2]
    sizes2 = second[..., 2:] - second[..., :2]
    w1, h1 = sizes1[..., 0], sizes1[..., 1] + epsilon
    w2, h2 = sizes2[..., 0], sizes2[..., 1] + epsilon
    low = ops.maximum(first[..., :2], second[..., :2])
    high = ops.minimum(first[..., 2:], second[..., 2:])
    sides = ops.maximum(high - low, 0)
    common = sides[..., 0] * sides[..., 1]
    iou = common / (w1 * h1 + w2 * h2 - common + 2 * epsilon)
    around = ops.maximum(first[..., 2:], second[..., 2:])
    around = around - ops.minimum(first[..., :2], second[..., :2])
    diagonal = ops.sum(ops.square(around), axis=-1) + epsilon
    middles = (first[..., :2] + first[..., 2:]) / 2 - (second[..., :2] + second[..., 2:]) / 2
    distance = ops.sum(ops.square(middles), axis=-1)
    v = (4 / math.pi**2) * ops.square(ops.arctan(w2 / h2) - ops.arctan(w1 / h1))
    alpha = v / (v - iou + (1 + epsilon))
    return iou - (distance / diagonal + v * alpha)
