"""Boxes and masks drawn on images: the same pixels as Keras draws."""

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def tf_keras():
    return real_keras()[0]


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (2, 60, 80, 3)).astype("uint8")


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("form", ["xyxy", "rel_xywh"])
def test_boxes_are_drawn_alike(tf_keras, rng, images, scale, form):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    low = rng.uniform(0.05, 0.5, (2, 3, 2))
    boxes = np.concatenate([low, low + 0.3], -1) * (1 if form.startswith("rel") else 60)
    given = {
        "boxes": boxes,
        "labels": np.array([[0, 1, -1], [1, 5, 0]]),
        "confidences": rng.uniform(0, 1, (2, 3)),
    }
    found = [
        keras.visualization.draw_bounding_boxes(
            images.astype("float32") / scale if scale > 1 else images,
            given,
            form,
            class_mapping={0: "zero", 1: "one"},
            color=(255, 0, 10),
            font_scale=0.4,
        )
        for keras in (kerasmirror, tf_keras)
    ]
    assert found[0].dtype == found[1].dtype
    np.testing.assert_array_equal(*found)
    assert np.any(found[0] != images)


@pytest.mark.parametrize("options", [{}, {"alpha": 0.3, "ignore_index": 0}, {"blend": False}])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_masks_are_drawn_alike(tf_keras, rng, images, options, data_format):
    masks = rng.integers(-1, 4, (2, 60, 80, 1)).astype("int32")
    if data_format == "channels_first":
        images, masks = images.transpose(0, 3, 1, 2), masks.transpose(0, 3, 1, 2)
    colors = {0: (0, 0, 0), 1: (250, 1, 2), 2: (3, 240, 4), 3: (5, 6, 230)}
    for mapping in (None, colors):
        found = [
            np.asarray(
                keras.visualization.draw_segmentation_masks(
                    images, masks, 4, mapping, data_format=data_format, **options
                )
            )
            for keras in (kerasmirror, tf_keras)
        ]
        assert found[0].dtype == found[1].dtype
        np.testing.assert_allclose(*[one.astype("int32") for one in found], atol=1)
