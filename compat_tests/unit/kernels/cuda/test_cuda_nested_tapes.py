"""Gradients of gradients on a GPU: two tapes give there what they give on the CPU."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import layers, ops
from kerasmirror.autodiff import GradientTape
from kerasmirror.core import device as devices

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 6, 6, 2)).astype("float32")
ROWS = X.reshape(9, 24)


@pytest.fixture(autouse=True)
def _gpu_of_kerasmirror(some_gpu):
    yield
    devices.GPU.used = False  # the other tests of this process go on as if there were none


def second(function, x, device):
    """(a penalty on the gradient of sum(function(x)^2) in x, its gradient in x), from two tapes."""
    with keras.device(device):
        x = ops.convert_to_tensor(x)
        with GradientTape() as outer:
            outer.watch(x)
            with GradientTape() as inner:
                inner.watch(x)
                y = ops.sum(ops.square(function(x)))
            slope = inner.gradient(y, x)
            penalty = ops.mean(ops.square(slope - 1.0))
        gradient = outer.gradient(penalty, x)
        return [ops.convert_to_numpy(value) for value in (penalty, gradient)]


CASES = {
    "multiply": (lambda x: x * ops.tanh(x), ROWS),
    "broadcast": (lambda x: x * ops.sigmoid(x[:, :1]) + x[0], ROWS),
    "softmax": (lambda x: ops.softmax(x), ROWS),
    "matmul": (lambda x: ops.matmul(x, ops.transpose(x)), ROWS[:, :5]),
    "conv": (lambda x: ops.conv(x, ops.ones((3, 3, 2, 4)) * 0.1, padding="same"), X),
    "average_pool": (lambda x: ops.average_pool(x * x, 3, 2, "same"), X),
    "max_pool": (lambda x: ops.max_pool(x * x, 2), X),
    "reduce": (lambda x: ops.logsumexp(x, axis=1) + ops.max(x * x, axis=1), ROWS),
    "take": (lambda x: ops.take(x * x, ops.convert_to_tensor([2, 0, 2]), axis=0), ROWS),
    "slice": (lambda x: ops.concatenate([x[1:] * x[:-1], x[:1]], axis=0), ROWS),
}


QUICK = ("broadcast", "max_pool", "take")


@pytest.mark.parametrize(
    "case", [c if c in QUICK else pytest.param(c, marks=pytest.mark.slow) for c in CASES]
)
def test_gradients_of_gradients_are_the_cpus(case):
    function, x = CASES[case]
    for found, expected in zip(
        second(function, x, "gpu:0"), second(function, x, "cpu"), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-5 * np.max(np.abs(expected)))


def penalized(device):
    """A critic's gradients of a penalty on its gradients in the images."""
    with keras.device(device):
        keras.utils.set_random_seed(3)
        model = keras.Sequential(
            [
                keras.Input((6, 6, 2)),
                layers.Conv2D(4, 3, strides=2, padding="same"),
                layers.LeakyReLU(),
                layers.Flatten(),
                layers.Dense(5, activation="tanh"),
                layers.Dense(1),
            ]
        )
        x = ops.convert_to_tensor(X)
        with GradientTape() as outer:
            with GradientTape() as inner:
                inner.watch(x)
                y = model(x, training=False)
            norms = ops.sqrt(ops.sum(ops.square(inner.gradient(y, x)), axis=(1, 2, 3)))
            loss = ops.mean(ops.square(norms - 1.0))
        gradients = outer.gradient(loss, model.trainable_variables)
        return [loss.numpy(), *(None if g is None else ops.convert_to_numpy(g) for g in gradients)]


def test_a_penalty_on_gradients_has_the_cpus_gradients():
    for found, expected in zip(penalized("gpu:0"), penalized("cpu"), strict=True):
        if expected is None:
            assert found is None
        else:
            np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-6)
