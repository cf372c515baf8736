"""keras.initializers against Keras on TensorFlow: the same weights from the same seed."""

import random

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = pytest.mark.keras
SHAPES = [(40, 30), (3, 3, 5, 8), (17,), (6, 2, 4)]
UNIFORM = ["RandomUniform", "GlorotUniform", "HeUniform", "LecunUniform"]
NORMAL = ["RandomNormal", "TruncatedNormal", "GlorotNormal", "HeNormal", "LecunNormal"]


def both(function):
    keras, _ = real_keras()
    actual, expected = np.asarray(function(kerasmirror)), np.asarray(function(keras))
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    return actual, expected


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_weights_are_equal(name, shape):
    actual, expected = both(lambda keras: getattr(keras.initializers, name)(seed=5)(shape))
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NORMAL)
def test_normal_weights_are_near(name, shape):
    actual, expected = both(lambda keras: getattr(keras.initializers, name)(seed=5)(shape))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("mode", ["fan_in", "fan_out", "fan_avg"])
@pytest.mark.parametrize("distribution", ["normal", "untruncated_normal", "uniform"])
def test_variance_scaling_matches(mode, distribution):
    def values(keras):
        return keras.initializers.VarianceScaling(1.7, mode, distribution, seed=3)((12, 20))

    np.testing.assert_allclose(*both(values), rtol=0, atol=2e-6)


def test_variance_scaling_with_named_axes_matches():
    def values(keras):
        return keras.initializers.GlorotUniform(3, [0], [1, 2])((6, 2, 4))

    np.testing.assert_array_equal(*both(values))


@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (2, 3, 5, 4), (5, 5)])
def test_orthogonal_matches(shape):
    np.testing.assert_allclose(
        *both(lambda keras: keras.initializers.Orthogonal(1.5, seed=3)(shape)), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("side", ["real", "imag"])
@pytest.mark.parametrize("window", ["hann", "hamming", "blackman", "tukey", "boxcar", None])
@pytest.mark.parametrize("scaling", ["density", "spectrum", None])
@pytest.mark.parametrize("periodic", [False, True])
def test_stft_matches(side, window, scaling, periodic):
    def values(keras):
        return keras.initializers.STFT(side, window, scaling, periodic)((32, 1, 33))

    np.testing.assert_allclose(*both(values), rtol=0, atol=2e-6)


@pytest.mark.parametrize(
    "window",
    (
        "hann hamming blackman nuttall blackmanharris flattop boxcar bartlett triang tukey cosine"
    ).split(),
)
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_windows_are_scipys(window, size):
    signal = pytest.importorskip("scipy.signal")
    from kerasmirror.initializers.window import window_function

    for periodic in (False, True):
        expected = signal.get_window(window, size, periodic)
        actual = window_function(window, size, periodic, "test")
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


def test_constants_match():
    for function in (
        lambda keras: keras.initializers.Zeros()((2, 3), "float16"),
        lambda keras: keras.initializers.get("ones")((2, 3), "int32"),
        lambda keras: keras.initializers.Constant(0.3)((2, 3)),
        lambda keras: keras.initializers.Constant([1.0, 2.0, 3.0])((2, 3)),
        lambda keras: keras.initializers.Identity(2.5)((2, 3)),
    ):
        np.testing.assert_array_equal(*both(function))


def test_weights_without_a_seed_follow_pythons_random_in_the_order_of_construction():
    def values(keras):
        random.seed(11)
        made = [keras.initializers.get(name) for name in ("he_uniform", "zeros", "glorot_uniform")]
        return np.array([np.asarray(one((4, 3))) for one in reversed(made)])

    np.testing.assert_array_equal(*both(values))


def test_a_seed_generator_gives_other_values_in_each_call():
    def values(keras):
        one = keras.initializers.HeUniform(keras.random.SeedGenerator(3))
        return np.array([np.asarray(one((4, 3))) for _ in range(2)])

    actual, expected = both(values)
    np.testing.assert_array_equal(actual, expected)
    assert not np.array_equal(actual[0], actual[1])


def test_configs_match():
    keras, _ = real_keras()
    # Identity is left out: Keras forgets its gain there, we write it, and Keras reads it.
    for name in [*UNIFORM, *NORMAL, "Orthogonal", "VarianceScaling", "Zeros", "STFT"]:
        expected = keras.initializers.serialize(getattr(keras.initializers, name)())
        actual = kerasmirror.initializers.serialize(getattr(kerasmirror.initializers, name)())
        assert actual == expected


def test_all_public_names_are_there():
    keras, _ = real_keras()
    for family in ("initializers", "regularizers", "constraints", "random"):
        expected = {n for n in dir(getattr(keras, family)) if not n.startswith("_")}
        assert expected <= set(dir(getattr(kerasmirror, family))), family
