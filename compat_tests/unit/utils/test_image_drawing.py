"""Galleries: files that are written, and what is refused."""

import sys

import numpy as np
import pytest

import kerasmirror as keras

visualization = keras.visualization
BOXES = {"boxes": np.array([[[2, 2, 9, 9.0]]] * 3), "labels": np.zeros((3, 1))}


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (3, 12, 16, 3)).astype("float32")


@pytest.fixture
def matplotlib():
    module = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    module.use("Agg")
    return module


def size_of(path):
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    with image.open(path) as img:
        return img.size


def test_a_gallery_has_room_for_every_image(matplotlib, images, tmp_path):
    path = tmp_path / "gallery.png"
    visualization.plot_image_gallery(
        images,
        y_true=[0, 1, 5],
        y_pred=np.array([1, 1]),
        label_map={0: "zero", 1: "one"},
        value_range=(0, 1),
        path=path,
        dpi=50,
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    width, height = size_of(path)
    assert 150 < width < 210 and 150 < height < 210  # two by two, two inches each


def test_boxes_and_masks_are_shown_side_by_side(matplotlib, images, tmp_path):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    path = tmp_path / "boxes.png"
    visualization.plot_bounding_box_gallery(
        images,
        "xyxy",
        y_true=BOXES,
        y_pred=BOXES,
        value_range=(0, 1),
        class_mapping={0: "a"},
        legend=True,
        path=path,
    )
    assert path.read_bytes().startswith(b"\x89PNG")
    masks = np.ones((3, 12, 16, 1))
    path = tmp_path / "masks.png"
    visualization.plot_segmentation_mask_gallery(
        images * 255, 2, y_true=masks, y_pred=masks, path=path, dpi=50
    )
    width, height = size_of(path)
    assert 250 < width < 310 and 250 < height < 310  # three rows of three


def test_masks_of_three_axes_and_their_largest_class_are_drawn():
    images = np.zeros((1, 2, 2, 3), "uint8")
    masks = np.array([[[0, 1], [2, -1]]])
    colors = {0: (10, 0, 0), 1: (0, 10, 0), 2: (0, 0, 10)}
    drawn = visualization.draw_segmentation_masks(images, masks, color_mapping=colors, alpha=1.0)
    assert drawn[0].tolist() == [[[10, 0, 0], [0, 10, 0]], [[0, 0, 10], [0, 0, 0]]]


MISTAKES = [
    (
        lambda x: visualization.draw_segmentation_masks(x[0], np.zeros((12, 16), int)),
        ValueError,
        "draw_segmentation_masks: `images` must be batched 4D tensor. "
        "Received: images.shape=(12, 16, 3)",
    ),
    (
        lambda x: visualization.draw_segmentation_masks(x, np.zeros((3, 12, 16, 1))),
        TypeError,
        "draw_segmentation_masks: `segmentation_masks` must be in integer dtype. "
        "Received: segmentation_masks.dtype=float64",
    ),
    (
        lambda x: visualization.draw_bounding_boxes(x, [1], "xyxy"),
        TypeError,
        "draw_bounding_boxes: `bounding_boxes` should be a dict. "
        "Received: bounding_boxes of type <class 'list'>",
    ),
    (
        lambda x: visualization.draw_bounding_boxes(x, {"boxes": 1}, "xyxy"),
        ValueError,
        "draw_bounding_boxes: `bounding_boxes` should be a dict containing 'boxes' and 'labels' "
        "keys. Received: keys ['boxes']",
    ),
    (
        lambda x: visualization.plot_image_gallery(x, path="a.png", show=True),
        ValueError,
        "plot_image_gallery() expects either `path` to be set, or `show` to be true. "
        "Received: both",
    ),
    (
        lambda x: visualization.plot_image_gallery(x, y_true=[1, 2, 3]),
        ValueError,
        "plot_image_gallery: If `y_true` or `y_pred` are provided, a `label_map` must also be "
        "provided. Received: label_map=None",
    ),
    (
        lambda x: visualization.plot_bounding_box_gallery(
            x, "xyxy", legend=True, legend_handles=[1]
        ),
        ValueError,
        "plot_bounding_box_gallery: Only pass `legend` OR `legend_handles`. Received: both",
    ),
]


@pytest.mark.parametrize("action,error,text", MISTAKES)
def test_mistakes_are_told(matplotlib, images, action, error, text):
    pytest.importorskip("cv2", reason="OpenCV is not installed")
    with pytest.raises(error) as raised:
        action(images)
    assert str(raised.value) == text


def test_without_the_packages_the_errors_say_what_to_install(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match="requires the `cv2` package"):
        visualization.draw_bounding_boxes(images, BOXES, "xyxy")
    for function in (visualization.plot_image_gallery, visualization.plot_bounding_box_gallery):
        with pytest.raises(ImportError, match=f"`{function.__name__}` function requires the `mat"):
            function(images, *(["xyxy"] if "box" in function.__name__ else []))
