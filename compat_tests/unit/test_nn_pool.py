import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients

CASES = [
    ((2, 7, 6, 3), 2, {}),
    ((2, 7, 6, 3), (3, 2), {"strides": (2, 1), "padding": "same"}),
    ((2, 9, 3), 3, {"strides": 2}),
    ((2, 3, 7, 6), 2, {"data_format": "channels_first", "padding": "same"}),
    ((2, 3, 9), 2, {"data_format": "channels_first"}),
]


@pytest.mark.parametrize(("shape", "window", "options"), CASES)
@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
def test_gradients_match_finite_differences(name, shape, window, options, rng):
    check_gradients(lambda x: getattr(ops, name)(x, window, **options), rng.standard_normal(shape))


@pytest.mark.parametrize(("shape", "window", "options"), CASES)
@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
def test_a_placeholder_gets_the_shape_of_the_real_result(name, shape, window, options):
    pool = getattr(ops, name)
    y = pool(np.ones(shape, "float32"), window, **options)
    symbolic = pool(keras.KerasTensor((None, *shape[1:])), window, **options)
    assert symbolic.shape == (None, *y.shape[1:])


def test_padded_places_do_not_count_and_are_never_the_largest():
    x = -np.ones((1, 3, 3, 1), "float32")
    for name in ("max_pool", "average_pool"):
        y = np.asarray(getattr(ops, name)(x, 2, padding="same"))
        np.testing.assert_array_equal(y, -np.ones((1, 2, 2, 1)))


def test_nan_reaches_its_windows_only():
    x = np.zeros((1, 4, 4, 1), "float32")
    x[0, 0, 1] = np.nan
    for name in ("max_pool", "average_pool"):
        y = np.asarray(getattr(ops, name)(x, 2))[0, :, :, 0]
        np.testing.assert_array_equal(np.isnan(y), [[True, False], [False, False]])


def test_whole_numbers_stay_whole():
    y = ops.max_pool(np.arange(16, dtype="int32").reshape(1, 4, 4, 1), 2)
    assert y.dtype == "int32"
    np.testing.assert_array_equal(np.asarray(y).reshape(-1), [5, 7, 13, 15])


@pytest.mark.parametrize(
    ("shape", "options", "message"),
    [
        (
            (1, 4, 4, 1),
            {"pool_size": 5},
            "ops.max_pool: `inputs` must be at least as large as the window. "
            "Received: spatial size (4, 4), pool_size=(5, 5), padding='valid'",
        ),
        (
            (1, 4, 4, 1),
            {"pool_size": 0},
            "ops.max_pool: `pool_size` must be one int or 2 ints, each at least 1. "
            "Received: pool_size=0",
        ),
        (
            (1, 4, 4, 1),
            {"pool_size": 2, "strides": (1, -1)},
            "ops.max_pool: `strides` must be one int or 2 ints, each at least 1. "
            "Received: strides=(1, -1)",
        ),
        (
            (1, 4, 4, 4, 4, 1),
            {"pool_size": 2},
            "ops.max_pool: `inputs` must have 3 to 5 axes (batch, one to three spatial, channels). "
            "Received: inputs.shape=(1, 4, 4, 4, 4, 1)",
        ),
    ],
)
def test_max_pool_says_what_is_wrong(shape, options, message):
    with pytest.raises(ValueError) as error:
        ops.max_pool(np.ones(shape), **options)
    assert str(error.value) == message


@pytest.mark.parametrize("name", ["adaptive_max_pool", "adaptive_average_pool"])
@pytest.mark.parametrize("size", [1, (3, 4), (5, 9)])
def test_adaptive_gradients_match_finite_differences(name, size, rng):
    x = rng.standard_normal((2, 5, 6, 2))
    check_gradients(lambda x: getattr(ops, name)(x, size), x)
    symbolic = getattr(ops, name)(keras.KerasTensor((None, 5, 6, 2)), size)
    assert symbolic.shape == (None, *getattr(ops, name)(x, size).shape[1:])


def test_adaptive_pooling_to_one_place_is_global_pooling(rng):
    x = rng.standard_normal((2, 5, 6, 3))
    for name, reduce in (("adaptive_max_pool", np.max), ("adaptive_average_pool", np.mean)):
        y = np.asarray(getattr(ops, name)(x, 1))
        np.testing.assert_allclose(y[:, 0, 0], reduce(x, axis=(1, 2)))


def test_adaptive_pooling_says_what_is_wrong():
    with pytest.raises(ValueError) as error:
        ops.adaptive_max_pool(np.ones((1, 4, 4, 1)), (2, 0))
    assert str(error.value) == (
        "ops.adaptive_max_pool: `output_size` must be one int or 2 ints, each at least 1. "
        "Received: output_size=(2, 0)"
    )
    with pytest.raises(ValueError) as error:
        ops.adaptive_average_pool(keras.KerasTensor((None, None, 4, 1)), 2)
    assert str(error.value) == (
        "ops.adaptive_average_pool: `inputs` must have a known spatial size. "
        "Received: inputs.shape=(None, None, 4, 1)"
    )


@pytest.mark.parametrize("name", ["max_pool", "average_pool"])
@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_gradients_of_pooling_volumes_match_finite_differences(name, first, padding, rng):
    x = rng.standard_normal((2, 3, 5, 4, 6) if first else (2, 5, 4, 6, 3))
    data_format = "channels_first" if first else "channels_last"
    options = {"strides": 2, "padding": padding, "data_format": data_format}
    check_gradients(lambda x: getattr(ops, name)(x, 3, **options), x)
    symbolic = getattr(ops, name)(keras.KerasTensor((None, *x.shape[1:])), 3, **options)
    assert symbolic.shape == (None, *getattr(ops, name)(x, 3, **options).shape[1:])
