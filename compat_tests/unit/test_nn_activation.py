import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients

# No corner of any formula, so that central differences are exact.
X = np.array([[-7.3, -2.6, -0.81, -0.33], [0.27, 0.77, 2.2, 6.9]])
UNARY = (
    "relu relu6 sigmoid sparse_sigmoid silu log_sigmoid hard_sigmoid hard_silu hard_tanh "
    "tanh_shrink selu softplus softsign sparse_plus leaky_relu hard_shrink soft_shrink elu celu "
    "squareplus gelu"
).split()


@pytest.mark.parametrize("name", UNARY)
def test_gradient_matches_finite_differences(name):
    check_gradients(getattr(ops, name), X)


@pytest.mark.parametrize("name", UNARY)
def test_nan_and_shape_pass_through(name):
    x = np.array([[np.nan, 1.0], [-1.0, np.nan]], "float32")
    y = np.asarray(getattr(ops, name)(x))
    assert y.dtype == "float32"
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))


@pytest.mark.parametrize("name", [*UNARY, "softmax", "log_softmax", "sparsemax"])
def test_a_placeholder_keeps_its_shape_and_dtype(name):
    y = getattr(ops, name)(keras.KerasTensor((None, 4), "float16"))
    assert (y.shape, y.dtype) == ((None, 4), "float16")


@pytest.mark.parametrize("axis", [-1, 0, (0, 2), None])
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_gradients_match_finite_differences(name, axis, rng):
    check_gradients(lambda x: getattr(ops, name)(x, axis), rng.standard_normal((2, 3, 4)))


def test_softmax_adds_up_to_one_for_huge_logits():
    y = np.asarray(ops.softmax(np.array([[1e30, -1e30, 1e30]], "float32")))
    np.testing.assert_array_equal(y, [[0.5, 0.0, 0.5]])


@pytest.mark.parametrize("axis", [-1, 0, 1])
def test_sparsemax_gradients_match_finite_differences(axis, rng):
    check_gradients(lambda x: ops.sparsemax(x, axis), rng.standard_normal((2, 3, 4)))


@pytest.mark.parametrize("axis", [-1, 1])
def test_glu_gradients_match_finite_differences(axis, rng):
    check_gradients(lambda x: ops.glu(x, axis), rng.standard_normal((2, 4, 6)))


def test_glu_of_a_placeholder_halves_the_axis():
    assert ops.glu(keras.KerasTensor((None, 6))).shape == (None, 3)
    assert ops.glu(keras.KerasTensor((2, None)), axis=1).shape == (2, None)


def test_glu_refuses_an_odd_axis():
    message = "ops.glu: `x` must have an even size along the axis. Received: x.shape=(2, 3), axis=1"
    with pytest.raises(ValueError) as error:
        ops.glu(np.ones((2, 3)))
    assert str(error.value) == message


def test_relu_keeps_whole_numbers():
    y = ops.relu(np.array([-3, 0, 5], "int32"))
    assert y.dtype == "int32"
    np.testing.assert_array_equal(np.asarray(y), [0, 0, 5])


def test_softmax_and_sigmoid_leave_their_logits_on_the_result():
    x = ops.convert_to_tensor(np.ones((2, 3), "float32"))
    assert ops.softmax(x).logits is x
    assert ops.sigmoid(x).logits is x
    assert not hasattr(ops.softmax(x, axis=(0, 1)), "logits")
    assert keras.activations.softmax(x, axis=(0, 1)).logits is x


def test_softmax_over_one_value_warns():
    with pytest.warns(UserWarning, match="softmax over axis -1 of a tensor of shape \\(2, 1\\)"):
        ops.softmax(np.ones((2, 1)))


def test_softmax_refuses_an_axis_out_of_range():
    with pytest.raises(ValueError, match=r"ops\.softmax: `axis` must be within \[-2, 2\)"):
        ops.softmax(np.ones((2, 3)), axis=2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_stays_half(dtype):
    x = ops.cast(X, dtype)
    for name in ("relu", "silu", "softmax", "gelu"):
        y = getattr(ops, name)(x)
        assert y.dtype == dtype
        wide = np.asarray(getattr(ops, name)(ops.cast(x, "float32")))
        np.testing.assert_allclose(np.asarray(ops.cast(y, "float32")), wide, rtol=2e-2, atol=1e-3)
