"""keras.activations against Keras on TensorFlow."""

import numpy as np
import pytest
from side_by_side import real_keras, run_both

import kerasmirror

pytestmark = pytest.mark.keras

POINTS = np.concatenate(
    [
        np.linspace(-7, 7, 57),
        [-90, -30, -6, -3, -1, -0.5, 0, 0.5, 1, 3, 6, 30, 80],
        np.random.default_rng(1).standard_normal(55) * 3,
    ]
).astype("float32")
NAMES = (
    "celu elu exponential gelu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu "
    "linear log_sigmoid mish relu relu6 selu sigmoid silu soft_shrink softplus softsign "
    "sparse_plus sparse_sigmoid squareplus swish tanh tanh_shrink"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_activation_matches(name):
    run_both(lambda keras, x: keras.activations.get(name)(x), POINTS)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "sparsemax", "glu"])
def test_activation_over_an_axis_matches(name):
    x = np.random.default_rng(2).standard_normal((3, 4, 6)).astype("float32")
    run_both(lambda keras, x: getattr(keras.activations, name)(x), x)
    run_both(lambda keras, x: getattr(keras.activations, name)(x, 1), x)


@pytest.mark.parametrize(
    "options",
    [
        {"negative_slope": 0.1},
        {"max_value": 6},
        {"max_value": 2.5},
        {"threshold": 1.0},
        {"threshold": -1.0},
        {"threshold": 0.5, "negative_slope": 0.2},
        {"threshold": -0.5, "negative_slope": 0.2, "max_value": 3.0},
        {"negative_slope": 0.2, "max_value": 6},
        {"negative_slope": 0.2, "max_value": 2.0},
    ],
    ids=str,
)
def test_relu_with_options_matches(options):
    run_both(lambda keras, x: keras.activations.relu(x, **options), POINTS)


def test_serialized_names_match():
    keras, _ = real_keras()
    for name in [*NAMES, "softmax", "log_softmax", "sparsemax", "glu"]:
        expected = keras.activations.serialize(keras.activations.get(name))
        assert kerasmirror.activations.serialize(kerasmirror.activations.get(name)) == expected


def test_all_public_names_are_there():
    keras, _ = real_keras()
    expected = {name for name in dir(keras.activations) if not name.startswith("_")}
    assert expected <= set(dir(kerasmirror.activations))
