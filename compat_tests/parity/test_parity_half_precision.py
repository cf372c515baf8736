"""Whole models in half precision against Keras on TensorFlow, within what half precision holds."""

import warnings

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = pytest.mark.keras
RNG = np.random.default_rng(0)
IMAGES = RNG.standard_normal((64, 10, 10, 3)).astype("float32")
CLASSES = RNG.integers(0, 5, 64)
# The relative distance of neighbouring numbers, a few roundings of which a step adds up.
STEPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}


def images(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            layers.Conv2D(8, 3, activation="relu", padding="same"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Conv2D(8, 3, strides=2),
            layers.Activation("tanh"),
            layers.Dropout(0.2, seed=1),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )


def windows(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            layers.SeparableConv2D(8, 3, activation="relu", padding="same"),
            layers.DepthwiseConv2D(3, strides=2, activation="tanh"),
            layers.Conv2DTranspose(8, 3, activation="relu"),
            layers.Reshape((6, 6, 4, 2)),
            layers.Conv3D(8, 3),
            layers.GlobalAveragePooling3D(),
            layers.Dense(5, activation="softmax"),
        ]
    )


def dense(keras):
    inputs = keras.Input((10, 10, 3))
    x = keras.layers.Flatten()(inputs)
    x = keras.layers.Dense(32, activation="tanh")(x)
    y = keras.layers.Dense(32, activation="relu")(x)
    y = keras.layers.Add()([x, y])
    return keras.Model(inputs, keras.layers.Dense(5, activation="softmax", dtype="float32")(y))


def trained(keras, make, policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        keras.utils.set_random_seed(1)
        model = make(keras)
        # Keras runs Adam's rule on weights in half precision, where 1 - beta_2 is lost in bfloat16
        # and g^2 in float16, and learns nothing; ours computes updates in float32.
        mixed = policy.startswith("mixed")
        optimizer = keras.optimizers.Adam(0.01) if mixed else keras.optimizers.SGD(0.02)
        model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(
            IMAGES, CLASSES, batch_size=32, epochs=3, verbose=0, shuffle=False
        ).history
        predicted = model.predict(IMAGES[:4], verbose=0)
    finally:
        keras.config.set_dtype_policy(before)
    return model, history, predicted


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "bfloat16"])
@pytest.mark.parametrize("make", [images, windows, dense], ids=["images", "windows", "dense"])
def test_a_model_trains_and_predicts_as_in_keras(make, policy):
    keras, _ = real_keras()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs, expected, wanted = trained(keras, make, policy)
    ours, actual, predicted = trained(kerasmirror, make, policy)
    tolerance = 8 * STEPS[policy.removeprefix("mixed_")]
    np.testing.assert_allclose(actual["loss"], expected["loss"], rtol=tolerance)
    assert actual["loss"][-1] < actual["loss"][0]
    assert str(predicted.dtype) == str(wanted.dtype)
    np.testing.assert_allclose(
        predicted.astype("float32"), wanted.astype("float32"), atol=2 * tolerance
    )
    for a, b in zip(ours.weights, theirs.weights, strict=True):
        assert str(a.dtype) == str(b.dtype)
    names = [type(model.optimizer).__name__ for model in (ours, theirs)]
    assert names[0] == names[1]
    assert (names[0] == "LossScaleOptimizer") == (policy == "mixed_float16")
