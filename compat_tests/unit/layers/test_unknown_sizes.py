"""Layers whose code computes with a batch size that is unknown while a model is being made."""

from __future__ import annotations

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import layers, ops


def size(x):
    return ops.shape(x)[0]


IDIOMS = {
    "zeros": lambda x: x + ops.zeros((size(x), 4)),
    "columns": lambda x: ops.concatenate([x, ops.ones((size(x), 1))], axis=1),
    "tile": lambda x: x + ops.tile(ops.ones((1, 4)), [size(x), 1]),
    "broadcast": lambda x: x + ops.broadcast_to(ops.ones((1, 4)), (size(x), 4)),
    "twice": lambda x: ops.reshape(ops.stack([x, x], 1), (size(x) * 2, 4)),
    "half": lambda x: x[: size(x) // 2],
    "eye": lambda x: ops.matmul(ops.eye(size(x)), x),
    "arange": lambda x: x + ops.cast(ops.arange(size(x))[:, None], "float32"),
    "arange from 0": lambda x: x + ops.cast(ops.arange(0, size(x), 1)[:, None], "float32"),
    "mean": lambda x: ops.sum(x, axis=0) / size(x),
    "pairs": lambda x: {"all": ops.matmul(x, ops.transpose(x)) * ops.eye(size(x)), "row": x[0]},
}


class Own(layers.Layer):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("make", "name"),
    [*((Own, name) for name in IDIOMS), *((layers.Lambda, n) for n in IDIOMS if n != "pairs")],
)
def test_a_layer_may_compute_with_the_batch_size(make, name):
    inputs = keras.Input((4,))
    outputs = make(IDIOMS[name])(inputs)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
    result = keras.Model(inputs, outputs)(x)
    for placeholder, values in zip(*map(keras.tree.flatten, (outputs, result)), strict=True):
        assert len(placeholder.shape) == len(values.shape)
        for known, found in zip(placeholder.shape, values.shape, strict=True):
            assert known in (None, found)
    expected = keras.tree.flatten(IDIOMS[name](ops.convert_to_tensor(x)))
    for one, other in zip(keras.tree.flatten(result), expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_sizes_that_follow_from_unknown_ones_are_unknown():
    shape = Own(IDIOMS["twice"])(keras.Input((4,))).shape
    assert shape == (None, 4)
    assert Own(IDIOMS["half"])(keras.Input((4,))).shape == (None, 4)
    assert Own(IDIOMS["mean"])(keras.Input((4,))).shape == (4,)
    assert Own(IDIOMS["eye"])(keras.Input(batch_shape=(7, 4))).shape == (7, 4)


def test_places_have_a_table_that_is_shorter_than_most_sizes():
    class Places(layers.Layer):
        def __init__(self):
            super().__init__()
            self.table = layers.Embedding(20, 3)

        def call(self, x):
            return x + self.table(ops.arange(0, ops.shape(x)[1], 1))

    assert Places()(keras.Input((None, 3))).shape == (None, None, 3)


def test_masks_come_along():
    class Padded(layers.Layer):
        def __init__(self):
            super().__init__()
            self.supports_masking = True

        def call(self, x, mask=None):
            return x + ops.zeros((size(x), 1, 1)) + ops.cast(mask, "float32")[..., None]

    embedded = layers.Embedding(5, 3, mask_zero=True)(keras.Input((None,), dtype="int32"))
    outputs = Padded()(embedded)
    assert outputs.shape == (None, None, 3)
    assert outputs._keras_mask.shape == (None, None)


def test_a_mistake_that_has_nothing_to_do_with_sizes_is_told_as_ever():
    with pytest.raises(ValueError, match=r"matmul.*\(None, 4\)"):
        Own(lambda x: ops.matmul(x, ops.ones((7, 2))))(keras.Input((4,)))
    with pytest.raises(TypeError, match="boom"):
        Own(lambda x: (_ for _ in ()).throw(TypeError("boom")))(keras.Input((4,)))


def test_a_stateful_layer_does_not_take_a_size_that_stands_for_an_unknown_one():
    class Outer(layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layers.LSTM(3, stateful=True)

        def call(self, x):
            return self.inner(x)

    with pytest.raises(ValueError, match="batch"):
        Outer()(keras.Input((5, 2)))


def test_a_subclassed_model_trains_that_makes_tensors_for_its_batch():
    class Net(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)

        def call(self, x):
            return self.dense(ops.concatenate([x, ops.ones((size(x), 2))], axis=1))

    model = Net()
    model.compile("sgd", "mse")
    x = np.ones((10, 3), "float32")
    assert len(model.fit(x, x[:, :1], batch_size=4, verbose=0).history["loss"]) == 1
    assert model.dense.kernel.shape == (5, 1)
