"""Random errors in layers, as Keras is trained with: their size and where they are."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.parity.measure.noise import noisy, scale
from kerasmirror.parity.measure.recording import recorded_calls

X = np.random.default_rng(0).normal(size=(400, 30)).astype("float32")


def model_of(*layers):
    return keras.Sequential([keras.Input((30,)), *layers])


def outputs(model, x, sizes, seed=1):
    with noisy(keras, model, sizes, {}, seed):
        return np.asarray(model(x))


def test_an_output_has_a_normal_error_of_its_size_which_follows_from_the_seed():
    model = model_of(keras.layers.Dense(20, name="a"), keras.layers.Dense(30, name="b"))
    exact = np.asarray(model(X))
    error = outputs(model, X, {"b": 1e-3}) - exact
    assert np.std(error) == pytest.approx(1e-3 * np.abs(exact).max(), rel=0.05)
    assert abs(np.mean(error)) < 0.05 * np.std(error)
    assert np.array_equal(outputs(model, X, {"b": 1e-3}) - exact, error)
    assert not np.array_equal(outputs(model, X, {"b": 1e-3}, 2) - exact, error)
    assert np.array_equal(model(X), exact) and "call" not in vars(model.get_layer("b"))


def test_a_relu_decides_with_the_error_and_sums_of_zeros_have_none():
    layer = keras.layers.Dense(50, activation="relu", name="a")
    model = model_of(layer)
    x = X.copy()
    x[:200] = 0
    exact = np.asarray(model(x))
    found = outputs(model, x, {"a": 1e-2})
    assert np.all(found[:200] == 0) and np.all(found >= 0)
    opened, closed = (exact == 0) & (found > 0), (exact > 0) & (found == 0)
    assert opened.sum() > 10 and closed.sum() > 10
    assert layer.activation is keras.activations.relu
    open_in_both = (exact > 0.5) & (found > 0)
    error = (found - exact)[open_in_both]
    assert np.std(error) == pytest.approx(1e-2 * exact.max(), rel=0.05)


def trained(x, sizes, size=1.0):
    """What a step of SGD takes from the kernel of a layer."""
    keras.utils.set_random_seed(3)
    model = model_of(keras.layers.Dense(40, name="a"))
    model.compile(keras.optimizers.SGD(1.0), "mse")
    before = np.asarray(model.layers[0].kernel).copy()
    with noisy(keras, model, {}, sizes, 5):
        model.train_on_batch(x, size * np.ones((len(x), 40), "float32"))
    assert "apply" not in vars(model.optimizer)
    return before - np.asarray(model.layers[0].kernel)


def test_gradients_have_errors_of_their_size_as_rows_and_columns_have():
    x = X * np.where(np.arange(30) < 15, 1, 1e-4).astype("float32")
    x[:, 29] = 0
    exact = trained(x, {})
    error = trained(x, {"a/kernel": 0.1}) - exact
    shares = error[:29] / scale(np, exact.astype("float64"))[:29]
    assert np.std(shares) == pytest.approx(0.1, rel=0.1)
    assert np.std(error[15:29]) < 1e-3 * np.std(error[:15])
    assert np.all(error[29] == 0)
    assert np.array_equal(trained(x, {"a/bias": 0.1}), exact)


def test_a_scale_is_of_rows_and_columns_of_a_vector_of_all():
    rows, columns = np.array([[[1.0], [2.0]]]), np.array([3.0, 0.0, 1.0])
    assert scale(np, rows * columns) == pytest.approx(rows * columns)
    assert scale(np, np.array([3.0, 4.0])) == pytest.approx(12.5**0.5 * np.ones(2))
    assert np.all(scale(np, np.zeros((2, 3))) == 0)


def test_values_in_place_of_outputs_are_passed_on_to_the_bit():
    model = model_of(
        keras.layers.Dense(50, activation="relu", name="a"), keras.layers.ReLU(name="b")
    )
    own = np.asarray(model.layers[0](X))
    # Far from the output itself, where output + (value - output) would be rounded.
    given = np.where(own > 1, np.float32(1e-9), np.float32(0))
    with recorded_calls(keras, model, {"a": given}) as record:
        passed = model(X)
    assert np.array_equal(passed, given)
    assert [name for name, _ in record.own] == ["a", "b"]
    assert np.array_equal(record.own[0][1], own) and np.array_equal(record.own[1][1], given)
