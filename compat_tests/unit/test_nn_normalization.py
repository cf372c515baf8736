import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients
from kerasmirror.autodiff.tape import GradientTape
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops.nn.normalization import batch_norm_train


@pytest.mark.parametrize("axes", [[0], [0, 2], [-1]])
@pytest.mark.parametrize("part", [0, 1])
def test_moments_gradients_match_finite_differences(axes, part, rng):
    check_gradients(lambda x: ops.moments(x, axes)[part], rng.standard_normal((3, 4, 2)))


def test_moments_of_a_placeholder():
    mean, var = ops.moments(keras.KerasTensor((None, 4, 2)), [1], keepdims=True)
    assert mean.shape == var.shape == (None, 1, 2)


@pytest.mark.parametrize("axis", [-1, 1])
def test_batch_normalization_gradients_match_finite_differences(axis, rng):
    check_gradients(
        lambda x, m, v, b, g: ops.batch_normalization(x, m, v * v + 0.1, axis, b, g),
        rng.standard_normal((2, 3, 3)),
        *(rng.standard_normal(3) for _ in range(4)),
    )


def test_batch_normalization_refuses_statistics_of_another_size():
    message = (
        "ops.batch_normalization: `variance` must be a vector of length x.shape[axis], shape (3,). "
        "Received: variance.shape=(2,)"
    )
    with pytest.raises(ValueError) as error:
        ops.batch_normalization(np.ones((2, 3)), np.ones(3), np.ones(2), -1)
    assert str(error.value) == message


def test_batch_norm_train_normalizes_with_its_own_statistics(rng):
    x = rng.standard_normal((50, 3)).astype("float32") * 3 + 1
    y, mean, var = batch_norm_train(Tensor(x), None, None, epsilon=1e-3)
    np.testing.assert_allclose(np.asarray(mean), x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(np.asarray(var), x.var(0), rtol=1e-5)
    expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
    np.testing.assert_allclose(np.asarray(y), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_batch_norm_train_gradients_flow_through_the_statistics(part, rng):
    gamma, beta = rng.standard_normal(3), rng.standard_normal(3)
    check_gradients(
        lambda x: batch_norm_train(x, Tensor(gamma), Tensor(beta), epsilon=1e-2)[part],
        rng.standard_normal((2, 5, 3)),
    )
    check_gradients(
        lambda x, g, b: batch_norm_train(x, g, b, epsilon=1e-2)[0],
        rng.standard_normal((2, 5, 3)),
        gamma,
        beta,
    )


def test_batch_norm_train_adds_up_the_gradients_of_all_three_results(rng):
    x = Tensor(rng.standard_normal((6, 3)))

    def gradient(parts):
        with GradientTape() as tape:
            tape.watch(x)
            results = batch_norm_train(x, None, None, epsilon=1e-2)
            chosen = [results[part] for part in parts]
        return np.asarray(tape.gradient(chosen, x))

    together = gradient([0, 1, 2])
    np.testing.assert_allclose(together, sum(gradient([part]) for part in range(3)), atol=1e-12)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2)])
def test_layer_normalization_gradients_match_finite_differences(axis, rng):
    x = rng.standard_normal((2, 3, 4))
    shape = [x.shape[i] for i in (axis if isinstance(axis, tuple) else (axis,))]
    check_gradients(
        lambda x, g, b: ops.layer_normalization(x, g, b, axis=axis, epsilon=1e-2),
        x,
        rng.standard_normal(shape),
        rng.standard_normal(shape),
    )


def test_layer_normalization_without_the_mean_still_subtracts_it_in_the_variance(rng):
    x = rng.standard_normal((3, 5))
    with pytest.warns(UserWarning, match="You passed `rms_scaling=True`, which is deprecated"):
        y = ops.layer_normalization(x, epsilon=1e-3, rms_scaling=True)
    np.testing.assert_allclose(np.asarray(y), x / np.sqrt(x.var(1, keepdims=True) + 1e-3))
    with pytest.warns(UserWarning, match="deprecated"):
        check_gradients(lambda x: ops.layer_normalization(x, epsilon=1e-2, rms_scaling=True), x)


@pytest.mark.parametrize("axis", [-1, (0, 1)])
def test_rms_normalization_gradients_match_finite_differences(axis, rng):
    check_gradients(
        lambda x, s: ops.rms_normalization(x, s, axis=axis, epsilon=1e-2),
        rng.standard_normal((3, 4)),
        rng.standard_normal(4),
    )


@pytest.mark.parametrize(("order", "axis"), [(1, -1), (2, 0), (2, None), (3, 1)])
def test_normalize_gradients_match_finite_differences(order, axis, rng):
    check_gradients(lambda x: ops.normalize(x, axis, order), rng.standard_normal((3, 4)))


def test_normalize_leaves_zeros_alone():
    np.testing.assert_array_equal(np.asarray(ops.normalize(np.zeros((2, 3)))), np.zeros((2, 3)))


@pytest.mark.parametrize("order", [0, 1.5, True, "fro"])
def test_normalize_refuses_other_orders(order):
    with pytest.raises(ValueError) as error:
        ops.normalize(np.ones(3), order=order)
    assert str(error.value) == (
        f"ops.normalize: Argument `order` must be an int >= 1. Received: order={order!r}"
    )


@pytest.mark.parametrize("name", ["layer_normalization", "rms_normalization", "normalize"])
def test_placeholders_and_half_precision_keep_their_dtype(name):
    run = getattr(ops, name)
    y = run(keras.KerasTensor((None, 4), "float16"))
    assert (y.shape, y.dtype) == ((None, 4), "float16")
    x = np.array([[1.0, 2.0, 3.0, 5.0]])
    y = run(x.astype("float16"))
    assert y.dtype == "float16"
    np.testing.assert_allclose(np.asarray(y), np.asarray(run(x)), rtol=2e-3)
