"""Parts of optimizers that users call or override, and half precision training as a whole."""

import numpy as np
import pytest

import kerasmirror as keras

NAMES = (
    "SGD Adam AdamW Adamax Nadam Adagrad Adadelta RMSprop Ftrl Lion Adafactor Lamb "
    "ScheduleFreeAdamW Muon"
).split()


@pytest.mark.parametrize("name", NAMES)
def test_accumulated_gradients_give_the_step_of_their_mean(name, rng):
    one = getattr(keras.optimizers, name)(0.01, weight_decay=0.05)
    many = getattr(keras.optimizers, name)(0.01, weight_decay=0.05, gradient_accumulation_steps=3)
    start = rng.standard_normal((4, 3)).astype("float32")
    variable, other = keras.Variable(start), keras.Variable(start)
    for _ in range(5):
        gradients = rng.standard_normal((3, 4, 3)).astype("float32")
        one.apply([gradients.mean(axis=0)], [variable])
        for gradient in gradients:
            many.apply([gradient], [other])
    np.testing.assert_allclose(other.numpy(), variable.numpy(), rtol=2e-5, atol=1e-6)
    assert int(many.iterations) == int(one.iterations) == 5


def test_a_variable_that_is_overwritten_takes_the_maximum_of_accumulated_gradients():
    scale, weight = keras.Variable([1.0, 4.0]), keras.Variable([1.0, 4.0])
    scale.overwrite_with_gradient = True
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    optimizer.apply([np.array([3.0, 1.0], "float32")] * 2, [scale, weight])
    assert scale.numpy().tolist() == [1, 4]
    assert optimizer._accumulated_gradients[0].numpy().tolist() == [3, 1]
    optimizer.apply([np.array([2.0, 2.0], "float32")] * 2, [scale, weight])
    assert scale.numpy().tolist() == [3, 2] and weight.numpy().tolist() == [-1.5, 2.5]
    assert optimizer._accumulated_gradients[0].numpy().tolist() == [0, 0]


def test_gradients_are_clipped_by_hand_as_in_apply():
    gradients = [np.array([3.0, 4.0], "float32"), None, np.array([0.3, 0.4], "float32")]
    for option, expected in (
        ({"clipnorm": 1.0}, [[0.6, 0.8], [0.3, 0.4]]),
        ({"clipvalue": 0.35}, [[0.35, 0.35], [0.3, 0.35]]),
        ({"global_clipnorm": 5.0}, np.array([[3.0, 4.0], [0.3, 0.4]]) * 5 / np.sqrt(25.25)),
        ({}, [[3.0, 4.0], [0.3, 0.4]]),
    ):
        first, none, last = keras.optimizers.SGD(0.1, **option)._clip_gradients(gradients)
        assert none is None
        np.testing.assert_allclose([first, last], expected, rtol=1e-6)
    assert gradients[0].tolist() == [3.0, 4.0]


def test_muon_turns_a_matrix_orthogonal_and_adjusts_the_step(rng):
    optimizer = keras.optimizers.Muon(0.1)
    x = rng.standard_normal((2, 5, 3))
    y = np.asarray(optimizer.zeropower_via_newtonschulz5(x, 10))
    values = np.linalg.svd(y, compute_uv=False)
    assert values.min() > 0.65 and values.max() < 1.25
    u, _, v = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(y, u @ (values[..., None] * v), atol=0.5)
    flipped = optimizer.zeropower_via_newtonschulz5(x.swapaxes(-1, -2), 10)
    np.testing.assert_allclose(np.asarray(flipped).swapaxes(-1, -2), y, rtol=1e-9)
    assert optimizer.transpose_last_axis(x).shape == (2, 3, 5)
    matrix = np.ones((9, 4))
    np.testing.assert_allclose(optimizer.lr_adjust(matrix), matrix * 3 * 0.2)
    assert keras.optimizers.Muon(0.1, rms_rate=None).lr_adjust(matrix) is matrix
    with pytest.raises(ValueError) as raised:
        optimizer.zeropower_via_newtonschulz5(np.ones(3), 5)
    assert str(raised.value) == (
        "Muon.zeropower_via_newtonschulz5: `x` must have at least two axes. Received: x.shape=(3,)"
    )


def test_weight_decay_by_hand_is_that_of_apply(rng):
    for optimizer in (keras.optimizers.SGD(0.1, weight_decay=0.2), keras.optimizers.Muon(0.1)):
        weight = keras.Variable(rng.standard_normal((3, 4)).astype("float32"), name="w")
        optimizer.build([weight])
        expected = weight.numpy() * (1 - 0.1 * optimizer.weight_decay)
        optimizer._apply_weight_decay([weight])
        np.testing.assert_allclose(weight.numpy(), expected, rtol=1e-6)


def test_excluded_variables_are_no_state_of_the_optimizer():
    weight, bias = keras.Variable([1.0]), keras.Variable([1.0])
    optimizer = keras.optimizers.SGD(1.0, weight_decay=0.5)
    count = len(optimizer.variables)
    optimizer.exclude_from_weight_decay([bias])
    assert len(optimizer.variables) == count
    optimizer.apply([np.zeros(1, "float32")] * 2, [weight, bias])
    assert (float(weight[0]), float(bias[0])) == (0.5, 1.0)


# --- half precision --------------------------------------------------------------------------


def test_finite_gradients_are_told_from_others():
    check = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()).check_finite
    good, none = keras.ops.ones(3, "float16"), None
    assert bool(check([good, none])) is True and keras.ops.is_tensor(check([good]))
    for value in (np.inf, -np.inf, np.nan):
        assert not check([good, none, np.array([1.0, value], "float32")])


def test_the_scale_falls_on_overflow_and_rises_after_good_steps():
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(1.0), initial_scale=8.0, dynamic_growth_steps=2
    )
    weight = keras.Variable([1.0, 2.0])
    assert float(optimizer.scale_loss(3.0)) == 24.0
    optimizer.apply([np.array([np.inf, 0.0], "float32")], [weight])
    assert weight.numpy().tolist() == [1, 2] and float(optimizer.dynamic_scale) == 4.0
    assert int(optimizer.iterations) == 0
    optimizer.apply([np.array([4.0, 8.0], "float32")])
    assert weight.numpy().tolist() == [0, 0]
    optimizer.apply([np.array([0.0, 0.0], "float32")])
    assert float(optimizer.dynamic_scale) == 8.0 and int(optimizer.iterations) == 2


def test_a_float16_fit_needs_the_scale_and_gets_it(rng):
    # The gradient of this loss is below the smallest float16: without a scale nothing is learned.
    x, y = rng.standard_normal((32, 4)), np.zeros((32, 1))

    def fit(optimizer, auto_scale):
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, dtype="mixed_float16")])
        model.compile(
            optimizer,
            lambda y, p: keras.ops.mean(p) * 1e-9,
            auto_scale_loss=auto_scale,
        )
        before = model.get_weights()
        model.fit(x, y, epochs=1, verbose=0, shuffle=False)
        return before[0] - model.get_weights()[0], model

    lost, _ = fit(keras.optimizers.SGD(1e6), False)
    assert not lost.any()
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1e6))
    kept, model = fit(scaled, False)
    np.testing.assert_allclose(kept[:, 0], 1e-3 * x.mean(axis=0), rtol=2e-2, atol=2e-6)
    assert model.optimizer is scaled


def test_a_mixed_float16_model_gets_a_loss_scale_by_itself():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        assert type(model.optimizer) is keras.optimizers.LossScaleOptimizer
        assert type(model.optimizer.inner_optimizer) is keras.optimizers.SGD
        model.compile("sgd", "mse", auto_scale_loss=False)
        assert type(model.optimizer) is keras.optimizers.SGD
    finally:
        keras.config.set_dtype_policy("float32")
