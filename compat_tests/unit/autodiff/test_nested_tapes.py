"""Gradients of gradients: every differentiable operation within two tapes against differences."""

from __future__ import annotations

import numpy as np
import pytest

import kerasmirror as keras
from compat_tests.cases.ops_gradients import CASES, NAMES
from kerasmirror import layers, ops
from kerasmirror.autodiff import GradientTape, grad, jvp, value_and_grad
from kerasmirror.core.tensor import Tensor

FUSED = {"affine_relu_dropout", "max_pool_dropout", "conv2d_pool_dropout", "conv2d_dropout"}
COMPLEX = {
    "real", "imag", "conj", "complex-multiply", "complex-divide", "complex-exp", "complex-matmul",
    "complex-cast", "polar", "complex-absolute", "complex-angle",
}  # fmt: skip
WITHOUT = {
    "i0", "segment_prod", "cholesky", "qr", "eigh", "svd", "svd-wide", "lstsq", "singular_values",
    "ctc_loss", "recurrent-lstm", "recurrent-gru", "recurrent-simple", "recurrent-biases",
    "mean_cosine",
}  # fmt: skip


def arguments(shapes, seed=5):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def tensors(arrays):
    return [Tensor(np.asarray(array)) for array in arrays]


def slope(function, xs, weights, us):
    """`<gradient of <weights, f>, us>` from one tape."""
    sources = tensors(xs)
    with GradientTape() as tape:
        tape.watch(sources)
        y = function(*sources)
    gradients = tape.gradient(y, sources, Tensor(weights), unconnected_gradients="zero")
    return sum(float(np.sum(g.data * u)) for g, u in zip(gradients, us, strict=True))


def nested(function, xs, weights, us):
    """(the same from an inner tape, its gradients in the arguments and in the weights)"""
    sources, seed = tensors(xs), Tensor(weights)
    with GradientTape() as outer:
        outer.watch([sources, seed])
        with GradientTape() as inner:
            inner.watch(sources)
            y = function(*sources)
        gradients = inner.gradient(y, sources, seed, unconnected_gradients="zero")
        total = sum([ops.sum(g * u) for g, u in zip(gradients, tensors(us), strict=True)])
    return total, outer.gradient(total, [*sources, seed], unconnected_gradients="zero")


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_gradients_of_gradients_match_differences(case):
    name, function, shapes = case
    if name in FUSED | COMPLEX | WITHOUT:
        return  # the test below
    xs, vs, us = arguments(shapes), arguments(shapes, 6), arguments(shapes, 8)
    y = function(*tensors(xs))
    weights = np.asarray(np.random.default_rng(7).standard_normal(y.shape))
    total, seconds = nested(function, xs, weights, us)
    np.testing.assert_allclose(total.data, slope(function, xs, weights, us), rtol=1e-8, atol=1e-9)
    step = 1e-5
    sides = [
        slope(function, [x + sign * step * v for x, v in zip(xs, vs, strict=True)], weights, us)
        for sign in (1, -1)
    ]
    expected = (sides[0] - sides[1]) / (2 * step)
    actual = sum(float(np.sum(g.data * v)) for g, v in zip(seconds[:-1], vs, strict=True))
    assert abs(actual - expected) <= 2e-6 * max(1, abs(expected))
    # The gradient is linear in what is weighed.
    np.testing.assert_allclose(np.sum(seconds[-1].data * weights), total.data, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_what_has_no_second_derivative_says_so(case):
    name, function, shapes = case
    if name not in FUSED | COMPLEX | WITHOUT:
        return
    xs, us = arguments(shapes), arguments(shapes, 8)
    weights = np.ones(function(*tensors(xs)).shape)
    text = "complex tensors are not supported" if name in COMPLEX else "has no second derivative"
    with pytest.raises(NotImplementedError, match=text):
        nested(function, xs, weights, us)


def critic():
    return keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            layers.Conv2D(4, 3, strides=2, padding="same"),
            layers.LeakyReLU(),
            layers.Conv2D(3, 2, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(5, activation="relu"),
            layers.Dropout(0.3, seed=1),
            layers.Dense(1),
        ]
    )


def test_a_penalty_on_gradients_trains_the_weights():
    keras.utils.set_random_seed(3)
    x = keras.random.normal((7, 6, 6, 2), dtype="float64", seed=2)
    keras.config.set_floatx("float64")
    try:
        model = critic()
    finally:
        keras.config.set_floatx("float32")
    model.compile("sgd", "mse")
    weights = model.trainable_variables

    def penalty():
        with GradientTape() as inner:
            inner.watch(x)
            y = model(x, training=False)
        slopes = inner.gradient(y, x)
        norms = ops.sqrt(ops.sum(ops.square(slopes), axis=(1, 2, 3)))
        return ops.mean(ops.square(norms - 1.0))

    with GradientTape() as outer:
        loss = penalty()
    gradients = outer.gradient(loss, weights)
    np.testing.assert_allclose(loss.numpy(), penalty().numpy(), rtol=1e-5)
    rng = np.random.default_rng(0)
    for variable, gradient in zip(weights, gradients, strict=True):
        if gradient is None:
            continue
        before, direction = variable.numpy(), rng.standard_normal(variable.shape)
        sides = []
        for sign in (1, -1):
            variable.assign(before + sign * 1e-6 * direction)
            sides.append(float(penalty()))
        variable.assign(before)
        expected = (sides[0] - sides[1]) / 2e-6
        actual = float(np.sum(gradient.numpy() * direction))
        assert abs(actual - expected) <= 1e-6 * max(1, abs(expected)), variable.path
    assert gradients[-1] is None  # the last bias moves no slope


def test_the_inner_gradient_can_be_asked_for_while_its_tape_is_open():
    x = Tensor(np.array([1.0, 2.0]))
    for persistent in (False, True):
        with GradientTape() as outer:
            outer.watch(x)
            with GradientTape(persistent=persistent) as inner:
                inner.watch(x)
                y = x * x * x
                first = inner.gradient(y, x)
                z = first * x
        np.testing.assert_allclose(outer.gradient(z, x), 9 * x.data**2)


def test_an_inner_tape_can_be_used_after_the_outer_one_has_ended():
    x = Tensor(np.array([1.0, 2.0]))
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = x * x * x
    np.testing.assert_allclose(inner.gradient(y, x), 3 * x.data**2)
    np.testing.assert_allclose(outer.gradient(y, x), 3 * x.data**2)


def test_a_tape_within_another_can_stop_alone():
    x = Tensor(np.array(3.0))
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            with inner.stop_recording():
                fixed = x * x
            y = fixed * x
        np.testing.assert_allclose(inner.gradient(y, x), 9.0)
    np.testing.assert_allclose(outer.gradient(y, x), 27.0)


def test_functions_of_gradients_have_gradients():
    x = Tensor(np.array([0.3, -1.2]))

    def f(t):
        return ops.sum(ops.sin(t) * t)

    second = grad(lambda t: ops.sum(grad(f)(t)))(x)
    np.testing.assert_allclose(second, 2 * np.cos(x.data) - x.data * np.sin(x.data))
    value, _ = value_and_grad(lambda t: ops.sum(ops.square(grad(f)(t))))(x)
    np.testing.assert_allclose(value, np.sum((np.sin(x.data) + x.data * np.cos(x.data)) ** 2))


def test_the_hessian_is_the_jacobian_of_a_gradient():
    a = np.random.default_rng(0).standard_normal((3, 3))
    x = Tensor(np.array([1.0, -2.0, 0.5]))
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = ops.sum(x * ops.matmul(Tensor(a), x))
        slopes = inner.gradient(y, x)
    np.testing.assert_allclose(outer.jacobian(slopes, x), a + a.T)


def test_a_custom_gradient_is_differentiated_as_it_is_written():
    @ops.custom_gradient
    def cube(x):
        square = x * x

        def gradient(upstream):
            return upstream * square * 3.0

        return square * x, gradient

    x = Tensor(np.array([1.0, 2.0]))
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = cube(x)
        slopes = inner.gradient(y, x)
    np.testing.assert_allclose(slopes, 3 * x.data**2)
    np.testing.assert_allclose(outer.gradient(slopes, x), 6 * x.data)


def test_a_third_order_is_refused():
    with GradientTape(), GradientTape() as inner:
        with pytest.raises(RuntimeError) as info:
            GradientTape().__enter__()
        assert inner is not None
    assert str(info.value) == (
        "GradientTape: a tape within two tapes is not supported, gradients are of first or second "
        "order. Leave a tape, or use its stop_recording(), before another."
    )
    with GradientTape():  # all are closed again
        pass


def test_a_tape_within_a_jvp_is_refused():
    def f(x):
        with GradientTape():
            return x

    with pytest.raises(RuntimeError) as info:
        jvp(f, [np.ones(2)], [np.ones(2)])
    assert str(info.value) == "GradientTape: a tape within a jvp is not supported."


def test_jacobians_of_an_inner_tape_are_refused_with_a_reason():
    x = Tensor(np.array([1.0, 2.0]))
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = x * x
        with pytest.raises(NotImplementedError) as info:
            inner.jacobian(y, x)
    assert str(info.value) == (
        "GradientTape: a Jacobian cannot be computed while an outer tape records it: use "
        "`gradient`, or the outer tape's stop_recording()."
    )


def test_remat_within_two_tapes_keeps_everything():
    x = Tensor(np.array([1.0, 2.0]))
    with GradientTape() as outer:
        outer.watch(x)
        with GradientTape() as inner:
            inner.watch(x)
            y = keras.remat(lambda t: t * t * t)(x)
        slopes = inner.gradient(y, x)
    np.testing.assert_allclose(outer.gradient(slopes, x), 6 * x.data)


def test_a_variable_may_weigh_the_target():
    v, w = keras.Variable(np.float32(3)), keras.Variable(np.float32(2))
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = v * v
        first = inner.gradient(y, v, output_gradients=w)
    second = outer.gradient(first, [v, w])
    assert [float(part) for part in (first, *second)] == [12, 4, 6]


def test_the_inner_tape_records_the_gradient_of_the_outer():
    v = keras.Variable(np.float32(3))
    with GradientTape() as outer:
        with GradientTape() as inner:
            y = v * v * v
            z = outer.gradient(y, v) * v
        second = inner.gradient(z, v)
    assert float(z) == 81 and float(second) == 81
