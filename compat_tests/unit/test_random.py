import random as python_random

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import random
from kerasmirror.autodiff.gradcheck import check_gradients


@pytest.mark.parametrize("name", ["uniform", "normal", "truncated_normal"])
def test_an_int_seed_repeats_and_other_seeds_differ(name):
    draw = getattr(random, name)
    first, again, other = (np.asarray(draw((50,), seed=seed)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.any(first == other)


def test_moments_of_the_continuous_distributions():
    n = (200_000,)
    cases = {
        "uniform": (random.uniform(n, -1, 3, seed=1), 1.0, 4 / np.sqrt(12)),
        "normal": (random.normal(n, 2.0, 3.0, seed=1), 2.0, 3.0),
        "truncated_normal": (random.truncated_normal(n, 2.0, 3.0, seed=1), 2.0, 3 * 0.8796),
        "gamma": (random.gamma(n, 2.5, seed=1), 2.5, np.sqrt(2.5)),
        "beta": (random.beta(n, 2.0, 3.0, seed=1), 0.4, 0.2),
        "binomial": (random.binomial(n, 10, 0.3, seed=1), 3.0, np.sqrt(2.1)),
    }
    for name, (values, mean, deviation) in cases.items():
        values = np.asarray(values, "float64")
        assert abs(values.mean() - mean) < 5 * deviation / np.sqrt(values.size), name
        assert abs(values.std() - deviation) < 0.02 * deviation, name


def test_truncated_normal_stays_within_two_deviations():
    values = np.asarray(random.truncated_normal((100_000,), 1.0, 0.5, seed=1))
    assert 0.0 <= values.min() < 0.01
    assert 1.99 < values.max() <= 2.0


def test_parameters_of_gamma_beta_and_binomial_broadcast():
    alpha = np.array([0.5, 50.0])
    values = np.asarray(random.gamma((4000, 2), alpha, seed=3))
    np.testing.assert_allclose(values.mean(0), alpha, rtol=0.1)
    values = np.asarray(random.beta((4000, 2), alpha, 1.0, seed=3))
    np.testing.assert_allclose(values.mean(0), alpha / (alpha + 1), rtol=0.1)
    values = np.asarray(random.binomial((4000, 2), np.array([4, 40]), 0.5, seed=3))
    np.testing.assert_allclose(values.mean(0), [2, 20], rtol=0.1)
    with pytest.raises(ValueError, match="random.gamma: the parameters must broadcast to `shape`"):
        random.gamma((3,), alpha, seed=3)


def test_randint_covers_its_range_alone():
    values = np.asarray(random.randint((3000,), -2, 3, seed=1))
    assert set(values.tolist()) == {-2, -1, 0, 1, 2}


def test_categorical_follows_the_probabilities():
    p = np.array([[0.1, 0.6, 0.3], [0.8, 0.1, 0.1]])
    values = np.asarray(random.categorical(np.log(p), 20_000, seed=1))
    assert values.dtype == "int32"
    for row in range(2):
        np.testing.assert_allclose(np.bincount(values[row]) / 20_000, p[row], atol=0.015)


def test_shuffle_moves_whole_rows_and_its_gradient_moves_back(rng):
    x = np.arange(30).reshape(10, 3)
    y = np.asarray(random.shuffle(x, seed=1))
    assert not np.array_equal(x, y)
    np.testing.assert_array_equal(y[np.argsort(y[:, 0])], x)
    check_gradients(lambda x: random.shuffle(x, 1, seed=1), rng.standard_normal((3, 5)))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dropout_scales_what_it_keeps(dtype):
    x = np.ones((400, 50), dtype)
    y = np.asarray(random.dropout(x, 0.2, seed=1))
    assert y.dtype == dtype
    assert set(np.unique(y).tolist()) == {0.0, np.dtype(dtype).type(1.25).item()}
    assert abs((y == 0).mean() - 0.2) < 0.015


@pytest.mark.parametrize("noise_shape", [None, (None, 1)])
def test_dropout_gradients_match_finite_differences(noise_shape, rng):
    check_gradients(
        lambda x: random.dropout(x, 0.4, noise_shape, seed=3), rng.standard_normal((6, 5))
    )


def test_dropout_at_the_ends_of_the_range():
    x = np.ones((3, 4), "float32")
    np.testing.assert_array_equal(np.asarray(random.dropout(x, 0.0)), x)
    np.testing.assert_array_equal(np.asarray(random.dropout(x, 1.0)), np.zeros((3, 4)))
    assert random.dropout(keras.KerasTensor((None, 4)), 0.5).shape == (None, 4)


def test_dropout_of_a_whole_row_shares_one_draw():
    y = np.asarray(random.dropout(np.ones((50, 8), "float32"), 0.5, (None, 1), seed=1))
    assert all(len(set(row)) == 1 for row in y.tolist())


def test_a_seed_generator_counts_its_second_word():
    generator = random.SeedGenerator(7, name="mine")
    assert generator.state.path == "mine/seed_generator_state"
    assert not generator.state.trainable
    seeds = [np.asarray(generator.next()).tolist() for _ in range(3)]
    assert seeds == [[7, 0], [7, 1], [7, 2]]
    assert np.asarray(generator.state).tolist() == [7, 3]
    twin = random.SeedGenerator.from_config(generator.get_config())
    assert np.asarray(twin.next()).tolist() == [7, 0]


def test_a_seed_generator_without_order_jumps():
    generator = random.SeedGenerator(7)
    assert np.asarray(generator.next(ordered=False)).tolist() == [7, 0]
    assert np.asarray(generator.state).tolist() == [8 * 5387 % 933199, 5387]


def test_a_missing_seed_is_drawn_from_pythons_random_in_the_constructor():
    python_random.seed(5)
    expected = python_random.randint(1, int(1e9))
    python_random.seed(5)
    generator = random.SeedGenerator()
    assert np.asarray(generator.state).tolist() == [expected, 0]
    assert generator.get_config()["seed"] is None


def test_set_random_seed_and_clear_session_start_the_global_generator_anew():
    keras.utils.set_random_seed(3)
    first = [np.asarray(random.uniform((3,))).tolist() for _ in range(2)]
    keras.utils.set_random_seed(3)
    again = [np.asarray(random.uniform((3,))).tolist() for _ in range(2)]
    assert first == again
    assert first[0] != first[1]
    python_random.seed(3)
    keras.utils.clear_session(free_memory=False)
    assert np.asarray(random.uniform((3,))).tolist() == first[0]


def error_of(run):
    with pytest.raises(ValueError) as error:
        run()
    return str(error.value)


def test_mistakes_are_named():
    assert error_of(lambda: random.uniform((2,), dtype="int32")) == (
        "`keras.random.uniform` requires a floating point `dtype`. Received: dtype='int32'"
    )
    assert error_of(lambda: random.randint((2,), 0, 5, dtype="float32")) == (
        "`keras.random.randint` requires an integer `dtype`. Received: dtype='float32'"
    )
    assert error_of(lambda: random.randint((2,), 5, 5)) == (
        "random.randint: `minval` must be less than `maxval`. Received: minval=5, maxval=5"
    )
    assert error_of(lambda: random.categorical([1.0, 2.0], 3)) == (
        "random.categorical: `logits` must have shape (batch, classes). Received: logits.shape=(2,)"
    )
    assert error_of(lambda: random.uniform((2, None))) == (
        "random.uniform: `shape` must be known in full. Received: shape=(2, None)"
    )
    assert error_of(lambda: random.normal((2,), seed=1.5)) == (
        "keras.random: `seed` must be an int, a SeedGenerator or None. "
        "Received: seed=1.5 (of type <class 'float'>)"
    )
    assert error_of(lambda: random.SeedGenerator("a")) == (
        "SeedGenerator: Argument `seed` must be an integer or None. Received: seed='a'"
    )
    assert error_of(lambda: random.dropout(np.ones(3), 1.5)) == (
        "random.dropout: `rate` must be a number from 0 to 1. Received: rate=1.5"
    )
    assert error_of(lambda: random.dropout(np.ones(3, "int32"), 0.5)) == (
        "random.dropout: `inputs` must be floating point. Received: dtype=int32"
    )
    assert error_of(lambda: random.dropout(np.ones((3, 4)), 0.5, noise_shape=(2, 1))) == (
        "random.dropout: `noise_shape` must be broadcastable to (3, 4). "
        "Received: noise_shape=(2, 1)"
    )
    assert error_of(lambda: random.gamma((2,), 0.0)) == (
        "random.gamma: `alpha` must be greater than 0. Received: alpha=0.0"
    )
    assert error_of(lambda: random.binomial((2,), 4, 1.5)).startswith(
        "random.binomial: `probabilities` must be numbers from 0 to 1."
    )


@pytest.mark.parametrize("name", ["uniform", "normal", "truncated_normal", "randint", "gamma"])
def test_a_layer_that_draws_for_each_row_can_be_built_on_placeholders(name):
    options = {"randint": {"minval": 0, "maxval": 5}, "gamma": {"alpha": 2.0}}.get(name, {})

    class Drawing(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seed_generator = random.SeedGenerator(1)

        def call(self, x):
            shape = keras.ops.shape(x)
            return getattr(random, name)(shape, seed=self.seed_generator, **options)

    layer = Drawing()
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, 3)
    # Looking for the shape draws nothing.
    assert layer.seed_generator.state.numpy().tolist() == [1, 0]
    assert model(np.zeros((4, 3), "float32")).shape == (4, 3)
    assert layer.seed_generator.state.numpy().tolist() == [1, 1]
