"""keras.random against Keras on TensorFlow: the same numbers, bit for bit."""

import random

import numpy as np
import pytest
from side_by_side import real_keras, run_both

import kerasmirror

pytestmark = pytest.mark.keras
SEEDS = [0, 1, 1337, -12, 2**31 - 3, 2**40 + 5]


def both(function):
    keras, _ = real_keras()
    return np.asarray(function(kerasmirror)), np.asarray(function(keras))


def assert_equal(function):
    actual, expected = both(function)
    assert actual.dtype == expected.dtype
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_uniform_is_equal(dtype, seed):
    assert_equal(lambda keras: keras.random.uniform((7, 5), -0.3, 1.7, dtype, seed))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["normal", "truncated_normal"])
def test_normal_is_near(name, dtype):
    actual, expected = both(lambda keras: getattr(keras.random, name)((301, 5), 0.3, 1.7, dtype, 5))
    assert actual.dtype == expected.dtype
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6 * 1.7)


@pytest.mark.parametrize("dtype", ["int32", "int64", "int16", "uint8"])
def test_randint_is_equal(dtype):
    assert_equal(lambda keras: keras.random.randint((70,), 3, 17, dtype, 5))


@pytest.mark.parametrize("samples", [1, 2, 3, 8])
def test_categorical_is_equal(samples):
    logits = np.random.default_rng(1).standard_normal((3, 5)).astype("float32")
    assert_equal(lambda keras: keras.random.categorical(logits, samples, seed=3))


def test_categorical_leaves_out_classes_that_are_not_finite():
    logits = np.array([[-np.inf, np.inf, 0, 1], [np.nan, 0, 2, -1]], "float32")
    assert_equal(lambda keras: keras.random.categorical(logits, 20, seed=3))


@pytest.mark.parametrize("noise_shape", [None, (None, 1), (1, 7)])
def test_dropout_and_its_gradient_are_equal(noise_shape):
    x = np.random.default_rng(1).standard_normal((20, 7)).astype("float32")
    run_both(lambda keras, x: keras.random.dropout(x, 0.4, noise_shape, seed=2), x, rtol=1e-7)


@pytest.mark.parametrize("axis", [0, 1])
def test_shuffle_is_equal(axis):
    x = np.arange(60, dtype="float32").reshape(12, 5)
    run_both(lambda keras, x: keras.random.shuffle(x, axis, seed=2), x, rtol=1e-7)


@pytest.mark.parametrize("seed", [4, 2**33])
def test_a_seed_generator_gives_the_same_draws(seed):
    def draws(keras):
        generator = keras.random.SeedGenerator(seed)
        values = [np.asarray(keras.random.uniform((3,), seed=generator)) for _ in range(3)]
        return np.array([*values, np.asarray(generator.state, "float64")[1] * np.ones(3)])

    assert_equal(draws)


def test_draws_without_a_seed_follow_pythons_random():
    def draws(keras):
        random.seed(7)
        keras.utils.clear_session()
        return np.array([np.asarray(keras.random.uniform((3,))) for _ in range(4)])

    assert_equal(draws)
