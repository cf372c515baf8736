import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import activations, ops
from kerasmirror._export import family
from kerasmirror.autodiff.gradcheck import check_gradients

NAMES = sorted(set(family("activations")) - {"get", "serialize", "deserialize", "threshold"})
X = np.array([[-7.3, -2.6, -0.81, -0.33], [0.27, 0.77, 2.2, 6.9]])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_match_finite_differences(name):
    check_gradients(activations.get(name), X)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_survives_serialization(name):
    function = activations.get(name)
    assert activations.deserialize(activations.serialize(function)) is function
    assert callable(function)


@pytest.mark.parametrize(
    "options",
    [
        {"negative_slope": 0.1},
        {"max_value": 2.5},
        {"threshold": 0.5, "negative_slope": 0.2},
        {"threshold": -0.5, "negative_slope": 0.2, "max_value": 3.0},
    ],
    ids=str,
)
def test_relu_with_options_has_right_gradients(options):
    check_gradients(lambda x: activations.relu(x, **options), X)
    y = activations.relu(keras.KerasTensor((None, 3), "float16"), **options)
    assert (y.shape, y.dtype) == ((None, 3), "float16")


def test_relu_with_options_lets_nan_through():
    y = activations.relu(np.array([np.nan, 1.0]), threshold=0.5, max_value=3.0)
    np.testing.assert_array_equal(np.asarray(y), [np.nan, 1.0])


def test_get_takes_none_callables_and_configs():
    assert activations.get(None) is activations.linear
    assert activations.get(np.tanh) is np.tanh
    assert activations.get(ops.relu) is ops.relu
    config = activations.serialize(ops.gelu)  # its default differs from activations.gelu's
    assert activations.get(config) is ops.gelu


def test_get_refuses_what_is_no_activation():
    for wrong in ("typo", "get", 3):
        with pytest.raises(ValueError) as error:
            activations.get(wrong)
        text = str(error.value)
        assert text.startswith("activations.get: `identifier` must be the name of an activation,")
        assert text.endswith(f"or a callable. Received: identifier={wrong!r}")


def test_registered_functions_are_found_by_name():
    @keras.saving.register_keras_serializable("test_activations")
    def doubled(x):
        return x * 2

    config = activations.serialize(doubled)
    assert activations.deserialize(config) is doubled
    assert activations.get("test_activations>doubled") is doubled

    def plain(x):
        return x

    assert activations.deserialize("plain", {"plain": plain}) is plain


def test_a_lambda_is_serialized_as_code_with_a_warning():
    with pytest.warns(UserWarning, match="a lambda has no name to save it by"):
        config = activations.serialize(lambda x: x)
    assert config["class_name"] == "__lambda__"
    with pytest.raises(ValueError, match="safe_mode"):
        activations.deserialize(config)


def test_layers_recognise_what_they_can_fuse():
    assert activations.fusable(activations.get("relu")) == "relu"
    assert activations.fusable(ops.relu) == "relu"
    assert activations.fusable(activations.get(None)) == "linear"
    assert activations.fusable(None) == "linear"
    assert activations.fusable(activations.gelu) is None
