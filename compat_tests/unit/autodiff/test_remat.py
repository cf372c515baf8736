"""remat and RematScope: the same numbers as without, less memory, the forward pass run twice."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff import GradientTape, check_gradients
from kerasmirror.core.remat import get_current_remat_mode
from kerasmirror.kernels import for_device

MODES = {
    "full": {"mode": "full"},
    "activations": {"mode": "activations"},
    "larger_than": {"mode": "larger_than", "output_size_threshold": 400},
    "list_of_layers": {"mode": "list_of_layers", "layer_names": ["first", "norm"]},
    "none": {"mode": None},
}


class Counted:
    """A function that counts its runs."""

    def __init__(self, function):
        self.function = function
        self.runs = 0

    def __call__(self, *args, **kwargs):
        self.runs += 1
        return self.function(*args, **kwargs)


def value_and_gradients(function, *sources):
    with GradientTape() as tape:
        tape.watch(list(sources))
        y = function(*sources)
    return np.asarray(y), [np.asarray(g) for g in tape.gradient(y, list(sources))]


def test_values_and_gradients_are_those_without_and_f_runs_twice(rng):
    x, w = (ops.convert_to_tensor(rng.standard_normal((4, 4))) for _ in range(2))
    counted = Counted(lambda a, b, power=1: ops.tanh(ops.matmul(ops.sin(a), b)) ** power)
    expected = value_and_gradients(lambda a, b: counted(a, b, power=3), x, w)
    counted.runs = 0
    actual = value_and_gradients(lambda a, b: keras.remat(counted)(a, b, power=3), x, w)
    assert counted.runs == 2
    np.testing.assert_array_equal(actual[0], expected[0])
    np.testing.assert_array_equal(actual[1], expected[1])
    keras.remat(counted)(x, w)
    assert counted.runs == 3  # no tape: once


def test_gradients_match_finite_differences_nested_and_chained(rng):
    inner = keras.remat(lambda a: ops.exp(ops.sin(a)))
    outer = keras.remat(lambda a, b: inner(a) * ops.tanh(inner(b)) + a)
    check_gradients(
        lambda a, b: ops.sum(outer(outer(a, b), b)), *(rng.standard_normal((3, 2)) for _ in "ab")
    )


def test_what_f_reads_besides_its_arguments_has_gradients(rng):
    weight = keras.Variable(rng.standard_normal((3, 3)))
    x = ops.convert_to_tensor(rng.standard_normal((2, 3)))

    def run(wrap):
        with GradientTape() as tape:
            tape.watch(x)
            hidden = ops.sin(x)
            y = wrap(lambda: ops.tanh(ops.matmul(hidden, weight)) * hidden)()
        return [np.asarray(g) for g in tape.gradient(y, [x, weight])]

    for actual, expected in zip(run(keras.remat), run(lambda f: f), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_nested_results_keep_their_structure_and_what_is_not_recorded_stays():
    x = ops.convert_to_tensor(np.array([1.0, 2.0]))

    @keras.remat
    def f(a, unused):
        return {"twice": a * 2.0, "shape": a.shape, "parts": (a * a, ops.ones(2)), "same": a}

    with GradientTape() as tape:
        tape.watch(x)
        results = f(x, None)
        y = results["twice"] + results["parts"][0] + results["same"]
    assert results["shape"] == (2,) and results["parts"][1].key is None
    assert np.asarray(tape.gradient(y, x)).tolist() == [5.0, 7.0]
    with GradientTape() as tape:
        tape.watch(x)
        unwatched = f(ops.ones(2), x)
    assert unwatched["twice"].key is None


def test_random_draws_and_assignments_happen_once():
    generator, counter = keras.random.SeedGenerator(3), keras.Variable(1.0)

    def f(x):
        counter.assign_add(1.0)
        dropped = keras.random.dropout(x, 0.5, seed=generator)
        return ops.tanh(dropped) * counter + keras.random.uniform((6,))

    def run(wrap):
        keras.utils.set_random_seed(1)
        generator.state.assign([3, 0])
        counter.assign(1.0)
        x = ops.convert_to_tensor(np.linspace(0, 1, 6).astype("float32"))
        y, (gradient,) = value_and_gradients(wrap(f), x)
        return y, gradient, generator.state.numpy(), counter.numpy()

    expected, actual = run(lambda f: f), run(keras.remat)
    assert expected[2].tolist() == [3, 1] and expected[3] == 2.0 and np.any(expected[1] == 0)
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_logits_of_a_softmax_are_used_by_the_cross_entropy(rng):
    x = ops.convert_to_tensor(rng.standard_normal((3, 4)) * 100)
    target = np.eye(4)[[0, 1, 2]]

    def loss(wrap):
        return lambda a: ops.sum(ops.categorical_crossentropy(target, wrap(ops.softmax)(a * 2.0)))

    expected, actual = (value_and_gradients(loss(wrap), x) for wrap in (lambda f: f, keras.remat))
    np.testing.assert_array_equal(actual[0], expected[0])
    np.testing.assert_array_equal(actual[1], expected[1])


def test_a_mask_passes_through(rng):
    embedding = keras.layers.Embedding(5, 2, mask_zero=True)
    with GradientTape():
        y = keras.remat(embedding)(np.array([[1, 0]]))
    assert np.asarray(y._keras_mask).tolist() == [[True, False]]


def test_a_layer_can_be_rematerialized_and_called_on_placeholders():
    inputs = keras.Input((3,))
    outputs = keras.layers.Dense(2)(keras.layers.Lambda(keras.remat(lambda x: x * 2.0))(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    assert model.predict(np.ones((1, 3)), verbose=0).shape == (1, 2)


def memory_of_forward(wrap):
    k = for_device("cpu")
    layers = [keras.layers.Dense(256, activation="relu") for _ in range(12)]

    def block(part):
        def run(x):
            for layer in part:
                x = layer(x)
            return x

        return wrap(run)

    x = ops.ones((256, 256))
    for layer in layers:
        layer.build((256, 256))
    before = k.pool_statistics()["used_bytes"]
    with GradientTape() as tape:
        for start in range(0, 12, 4):
            x = block(layers[start : start + 4])(x)
        after = k.pool_statistics()["used_bytes"]
    assert tape.gradient(x, layers[0].kernel) is not None
    return after - before


def test_only_the_borders_of_segments_are_kept():
    one = 256 * 256 * 4
    plain, remat = memory_of_forward(lambda f: f), memory_of_forward(keras.remat)
    assert plain >= 12 * one
    assert remat <= 4.5 * one


# --- scopes ----------------------------------------------------------------------------------


def fitted(scope, rng):
    keras.utils.set_random_seed(1)
    with keras.RematScope(**scope):
        model = keras.Sequential(
            [
                keras.Input((6,)),
                keras.layers.Dense(64, activation="tanh", name="first"),
                keras.layers.Dropout(0.3),
                keras.layers.BatchNormalization(name="norm"),
                keras.layers.Dense(8, "relu", activity_regularizer="l2", kernel_regularizer="l2"),
                keras.layers.Dense(3, activation="softmax"),
            ]
        )
    model.compile("adam", "sparse_categorical_crossentropy")
    x, y = rng.standard_normal((40, 6)), rng.integers(0, 3, 40)
    losses = model.fit(x, y, epochs=3, batch_size=16, verbose=0).history["loss"]
    return model, losses


@pytest.mark.parametrize("mode", MODES)
def test_training_in_a_scope_is_the_same_to_the_bit(mode):
    rngs = [np.random.default_rng(1) for _ in range(2)]
    (model, losses), (plain, expected) = (
        fitted(scope, rng) for scope, rng in zip((MODES[mode], {"mode": None}), rngs, strict=True)
    )
    assert losses == expected
    for actual, wanted in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(actual, wanted)
    assert all((layer._remat_mode is not None) == (mode != "none") for layer in model.layers)


class Twice(keras.layers.Layer):
    """Counts how often `call` runs on values, and its activation."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.calls = Counted(ops.sin)
        self.activation = Counted(ops.tanh)

    def call(self, inputs):
        return self.activation(self.calls(inputs))


@pytest.mark.parametrize(
    ("scope", "calls", "activations"),
    [
        ({"mode": "full"}, 2, 2),
        ({"mode": "activations"}, 1, 2),
        ({"mode": "larger_than", "output_size_threshold": 5}, 2, 2),
        ({"mode": "larger_than", "output_size_threshold": 6}, 1, 1),
        ({"mode": "list_of_layers", "layer_names": ["chosen"]}, 2, 2),
        ({"mode": "list_of_layers", "layer_names": ["other"]}, 1, 1),
        ({"mode": None}, 1, 1),
    ],
)
def test_a_mode_says_what_runs_again(scope, calls, activations):
    with keras.RematScope(**scope):
        layer = Twice(name="chosen")
    layer(np.ones((2, 3)))
    layer.calls.runs = layer.activation.runs = 0
    x = ops.ones((2, 3))
    with GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
    expected = np.cos(1.0) * (1 - np.tanh(np.sin(1.0)) ** 2)
    np.testing.assert_allclose(np.asarray(tape.gradient(y, x)), expected, rtol=1e-5)
    # `larger_than` asks for the output's shape, which runs `call` on a placeholder.
    asked = scope["mode"] == "larger_than"
    assert (layer.calls.runs - asked, layer.activation.runs - asked) == (calls, activations)


def test_losses_added_inside_have_gradients_and_are_added_once():
    class Penalized(keras.layers.Layer):
        def build(self, input_shape):
            self.w = self.add_weight(shape=(3,), initializer="ones")

        def call(self, inputs):
            self.add_loss(ops.sum(ops.square(self.w)) * 0.5)
            return inputs * self.w

    gradients = []
    for mode in ("full", None):
        with keras.RematScope(mode):
            layer = Penalized()
        layer.build((2, 3))
        with GradientTape() as tape:
            y = ops.sum(layer(ops.ones((2, 3)))) + sum(layer.losses)
            assert len(layer.losses) == 1
        gradients.append(np.asarray(tape.gradient(y, layer.w)).tolist())
    assert gradients == [[3.0, 3.0, 3.0]] * 2
    tv = [ops.convert_to_tensor(np.full(3, 2.0, "float32"))]
    with keras.RematScope("full"):
        layer = Penalized()
    layer.build((2, 3))
    with GradientTape() as tape:
        tape.watch(tv)
        y, _, losses = layer.stateless_call(tv, [], ops.ones((2, 3)), return_losses=True)
        y = ops.sum(y) + losses[0]
    assert np.asarray(tape.gradient(y, tv[0])).tolist() == [4.0, 4.0, 4.0]


def test_scopes_nest_and_end():
    assert get_current_remat_mode() is None
    with keras.RematScope("full"):
        with keras.RematScope("larger_than", output_size_threshold=7):
            assert get_current_remat_mode() == ("larger_than", 7, [])
        assert get_current_remat_mode().mode == "full"
    assert get_current_remat_mode() is None
    with pytest.raises(ValueError) as raised:
        keras.RematScope("some")
    assert str(raised.value) == (
        "keras.RematScope: `mode` must be one of 'full', 'activations', 'larger_than', "
        "'list_of_layers', None. Received: mode='some'"
    )


def test_a_call_of_a_layer_made_elsewhere_stays_as_it_is():
    layer = keras.layers.Dense(2)
    assert layer.rematerialized_call(layer.call) == layer.call
    assert "call" not in vars(layer)
