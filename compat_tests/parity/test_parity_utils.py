"""Summaries and array helpers, printed and computed on both sides."""

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def tf_keras():
    return real_keras()[0]


def tower(keras):
    keras.utils.clear_session()
    layers = keras.layers
    inner = keras.Sequential([layers.Dense(4), layers.Dropout(0.1)])
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(300, activation="relu"),
            inner,
            layers.Dense(2, trainable=False, name="a_long_name_that_must_be_wrapped_somewhere"),
        ],
        name="tower",
    )


def compiled(keras):
    model = tower(keras)
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def unbuilt(keras):
    keras.utils.clear_session()
    return keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(2)])


@pytest.mark.parametrize("make", [tower, compiled, unbuilt])
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"line_length": 60},
        {"expand_nested": True, "show_trainable": True},
        {"positions": [0.5, 0.75, 1.0]},
        {"layer_range": (".*d", ".*")},
    ],
    ids=str,
)
def test_summaries_are_the_same(tf_keras, make, arguments, capsys):
    texts, printed = [], []
    for keras in (tf_keras, kerasmirror):
        model = make(keras)
        model.summary(print_fn=texts.append, **arguments)
        capsys.readouterr()
        model.summary(**arguments)
        printed.append(capsys.readouterr().out)
    assert texts[1] == texts[0]
    assert printed[1] == printed[0]


@pytest.mark.parametrize("num_classes", [None, 7])
@pytest.mark.parametrize("shape", [(6,), (6, 1), (2, 3), (2, 3, 1), (1,)])
def test_to_categorical_is_the_same(tf_keras, shape, num_classes):
    labels = np.random.RandomState(0).randint(0, 5, shape)
    expected = tf_keras.utils.to_categorical(labels, num_classes)
    actual = kerasmirror.utils.to_categorical(labels, num_classes)
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("order", [1, 2, 3, np.inf])
def test_normalize_is_the_same(tf_keras, order):
    x = np.random.RandomState(0).normal(size=(4, 5))
    x[2] = 0
    expected = tf_keras.utils.normalize(x, order=order)
    np.testing.assert_array_equal(kerasmirror.utils.normalize(x, order=order), expected)


@pytest.mark.parametrize("padding", ["pre", "post"])
@pytest.mark.parametrize("truncating", ["pre", "post"])
@pytest.mark.parametrize("maxlen", [None, 1, 3, 9])
def test_pad_sequences_is_the_same(tf_keras, padding, truncating, maxlen):
    rng = np.random.RandomState(0)
    sequences = [rng.randint(1, 9, size).tolist() for size in (3, 0, 5, 1)]
    arguments = {"padding": padding, "truncating": truncating, "maxlen": maxlen, "value": -1}
    expected = tf_keras.utils.pad_sequences(sequences, **arguments)
    actual = kerasmirror.utils.pad_sequences(sequences, **arguments)
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)
