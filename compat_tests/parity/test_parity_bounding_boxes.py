"""Bounding boxes: formats, overlaps and moves on both sides."""

import numpy as np
import pytest
from side_by_side import run_both

FORMATS = [
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
]
pytestmark = pytest.mark.keras


def boxes_of(rng, *shape):
    low = rng.uniform(0, 60, (*shape, 2))
    return np.concatenate([low, low + rng.uniform(1, 40, (*shape, 2))], -1).astype("float32")


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("source", FORMATS)
def test_formats_are_converted_alike(rng, source, target):
    run_both(
        lambda keras, x: keras.utils.bounding_boxes.convert_format(
            x, source.upper(), target, height=80, width=120
        ),
        boxes_of(rng, 2, 3),
    )


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((2, 3), (2, 4))], ids=str)
@pytest.mark.parametrize("masked", [False, True])
def test_overlaps_are_the_same(rng, shapes, masked):
    first, second = (boxes_of(rng, *shape) for shape in shapes)
    second[..., 0, :] = -1  # what masking is for
    second[..., 1, :] = first[..., 1, :]
    run_both(
        lambda keras, a, b: keras.utils.bounding_boxes.compute_iou(
            a, b, "xyxy", use_masking=masked, mask_val=-3
        ),
        first,
        second,
    )


def test_overlaps_of_relative_boxes_are_the_same(rng):
    run_both(
        lambda keras, a, b: keras.utils.bounding_boxes.compute_iou(
            a, b, "rel_xywh", image_shape=(80, 120, 3)
        ),
        boxes_of(rng, 3) / 100,
        boxes_of(rng, 4) / 100,
    )


@pytest.mark.parametrize("form", ["xyxy", "center_xywh"])
def test_complete_overlaps_are_the_same(rng, form):
    run_both(
        lambda keras, a, b: keras.utils.bounding_boxes.compute_ciou(a, b, form),
        boxes_of(rng, 2, 5),
        boxes_of(rng, 2, 5),
        rtol=1e-4,
    )


@pytest.mark.parametrize("form", ["center_xywh", "center_yxhw"])
@pytest.mark.parametrize("variance", [None, [0.1, 0.1, 0.2, 0.2]])
def test_deltas_are_the_same_and_back_again(rng, form, variance):
    anchors, boxes = boxes_of(rng, 4), boxes_of(rng, 2, 4)

    def there(keras, anchors, boxes):
        return keras.utils.bounding_boxes.encode_box_to_deltas(
            anchors, boxes, "xyxy", "xywh", encoding_format=form, variance=variance
        )

    def back(keras, anchors, boxes):
        deltas = there(keras, anchors, boxes)
        return keras.utils.bounding_boxes.decode_deltas_to_boxes(
            {"a": anchors},
            {"a": deltas},
            "xyxy",
            "rel_xywh",
            encoded_format=form,
            variance=variance,
            image_shape=(80, 120, 3),
        )["a"]

    run_both(there, anchors, boxes, rtol=1e-4)
    # There and back is the identity in the anchors: their gradient is rounding.
    run_both(back, anchors, boxes, rtol=1e-4, gradients=False)


def test_cutting_cropping_and_margins_are_the_same(rng):
    boxes = boxes_of(rng, 2, 4) - 20
    labels = np.arange(8).reshape(2, 4).astype("int32")

    def cut(keras, boxes, labels, form="xyxy", **size):
        found = keras.utils.bounding_boxes.clip_to_image_size(
            {"boxes": boxes, "labels": labels}, bounding_box_format=form, **size
        )
        return found["boxes"], found["labels"]

    run_both(lambda keras, b, i: cut(keras, b, i, height=30, width=40), boxes, labels)
    run_both(lambda keras, b, i: cut(keras, b, i, "rel_xyxy"), boxes / 40, labels)
    run_both(lambda keras, b: keras.utils.bounding_boxes.crop(b, 5, 7, 20, 30), boxes)
    run_both(lambda keras, b: keras.utils.bounding_boxes.pad(b, 5, 7, 20, 30), boxes)


@pytest.mark.parametrize("center", [(None, None), (0.2, 0.7)])
def test_affine_moves_are_the_same(rng, center):
    numbers = [
        rng.uniform(low, high, 2).astype("float32")
        for low, high in ((-40, 40), (-0.2, 0.2), (-0.2, 0.2), (0.7, 1.4), (-20, 20), (-20, 20))
    ]
    run_both(
        lambda keras, b, *n: keras.utils.bounding_boxes.affine_transform(
            b, *n, 80, 120, center_x=center[0], center_y=center[1]
        ),
        boxes_of(rng, 2, 3),
        *numbers,
        rtol=1e-4,
    )
