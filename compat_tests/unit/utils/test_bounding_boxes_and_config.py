"""Bounding boxes, Config and get_source_inputs: what is refused, and what is kept."""

import json

import numpy as np
import pytest

import kerasmirror as keras

boxes = keras.utils.bounding_boxes
BOX = np.array([[0.0, 0.0, 4.0, 2.0]])

MISTAKES = [
    (
        lambda: boxes.convert_format(np.zeros((2, 3)), "xyxy", "xywh"),
        ValueError,
        "convert_format: `boxes` must be a tensor with the last dimension of 4. "
        "Received: boxes.shape=(2, 3)",
    ),
    (
        lambda: boxes.convert_format(BOX, "xyxy", "corners"),
        ValueError,
        "convert_format: Invalid source or target format, they must be among xyxy, yxyx, xywh, "
        "center_xywh, center_yxhw, rel_xyxy, rel_yxyx, rel_xywh, rel_center_xywh. "
        "Received: source='xyxy', target='corners'",
    ),
    (
        lambda: boxes.convert_format(BOX, "xyxy", "rel_xywh", height=3),
        ValueError,
        "convert_format must receive `height` and `width` to convert relative formats. "
        "Received: source='xyxy', target='rel_xywh', height=3, width=None",
    ),
    (
        lambda: boxes.compute_iou(BOX, BOX[0], "xyxy"),
        ValueError,
        "compute_iou() expects boxes2 to be batched, or to be unbatched: (boxes, 4) or "
        "(batch, boxes, 4). Received: boxes2 of shape (4,)",
    ),
    (
        lambda: boxes.compute_iou(BOX, BOX, "rel_xyxy"),
        ValueError,
        "compute_iou: When using relative bounding box formats (e.g. `rel_yxyx`) the "
        "`image_shape` argument must be provided. Received: image_shape=None",
    ),
    (
        lambda: boxes.clip_to_image_size({"boxes": BOX}, height=3),
        ValueError,
        'clip_to_image_size: `height` and `width` must be set if `format="xyxy"`. '
        "Received: height=3, width=None",
    ),
    (
        lambda: boxes.crop(BOX, 0, 0, 1, 1, bounding_box_format="xywh"),
        NotImplementedError,
        'crop: `bounding_box_format` must be "xyxy"; use convert_format() for others. '
        "Received: bounding_box_format='xywh'",
    ),
    (
        lambda: boxes.encode_box_to_deltas(BOX, BOX, "xyxy", "xyxy", variance=[1.0]),
        ValueError,
        "encode_box_to_deltas: `variance` must be length 4. Received: variance of shape (1,)",
    ),
    (
        lambda: boxes.decode_deltas_to_boxes(BOX, BOX, "xyxy", "xyxy", encoded_format="xywh"),
        ValueError,
        "decode_deltas_to_boxes: `encoded_format` must be one of 'center_xywh', 'center_yxhw'. "
        "Received: encoded_format='xywh'",
    ),
]


@pytest.mark.parametrize("action,error,text", MISTAKES)
def test_mistakes_are_told(action, error, text):
    with pytest.raises(error) as raised:
        action()
    assert str(raised.value) == text


def test_a_dict_keeps_its_labels_and_is_not_changed():
    given = {"boxes": BOX, "labels": np.array([7])}
    found = boxes.convert_format(given, "xyxy", "center_xywh")
    assert found["boxes"].numpy().tolist() == [[2, 1, 4, 2]]
    assert found["labels"] is given["labels"]
    assert given["boxes"] is BOX


def test_equal_boxes_overlap_wholly_and_apart_ones_not_at_all():
    apart = BOX + 10
    both = np.concatenate([BOX, apart])
    np.testing.assert_allclose(boxes.compute_iou(both, both, "xyxy"), np.eye(2), atol=1e-6)
    np.testing.assert_allclose(boxes.compute_ciou(BOX, BOX, "xyxy"), [1], atol=1e-6)
    assert float(boxes.compute_ciou(BOX, apart, "xyxy")[0]) < -0.5
    relative = boxes.compute_ciou(BOX / 10, apart / 20, "rel_xyxy", image_shape=(10, 10, 3))
    assert np.isfinite(float(relative[0]))


def test_a_config_is_a_dict_with_attributes_until_frozen():
    config = keras.utils.Config(rate=0.1, momentum=0.9)
    config.use_ema = True
    config["seed"] = 3
    assert (config.rate, config["use_ema"], config.get("none", 4), len(config)) == (0.1, True, 4, 4)
    assert list(config) == ["momentum", "rate", "seed", "use_ema"]
    assert json.loads(config.to_json()) == config.as_dict() == dict(config.items())
    config.update(seed=4)
    assert config.pop("seed") == 4 and "seed" not in config
    del config["use_ema"]
    del config.momentum
    assert repr(config) == "<Config {'rate': 0.1}>"
    config.freeze()
    assert config.frozen
    for change in (
        lambda: setattr(config, "rate", 1),
        lambda: config.__setitem__("rate", 1),
        lambda: config.pop("rate"),
        lambda: config.update(rate=1),
        lambda: config.__delitem__("rate"),
    ):
        with pytest.raises(ValueError, match="Cannot mutate attribute"):
            change()
    config.unfreeze()
    config.rate = 0.2
    assert config.rate == 0.2
    with pytest.raises(AttributeError) as error:
        config.rates
    assert str(error.value) == "Unknown attribute: 'rates'. Did you mean 'rate'?"
    with pytest.raises(AttributeError, match="'keys' is an attribute of every Config"):
        config.keys = 3


def test_source_inputs_are_found_once_each():
    first, second = keras.Input((2,)), keras.Input((2,))
    hidden = keras.layers.Dense(2)(first)
    joined = keras.layers.Add()([hidden, second, first])
    found = keras.utils.get_source_inputs(keras.layers.Dense(1)(joined))
    assert len(found) == 2 and found[0] is first and found[1] is second
    assert keras.utils.get_source_inputs(first) == [first]
    array = np.zeros(2)
    assert keras.utils.get_source_inputs(array) is array
