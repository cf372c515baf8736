"""Trainings whose loss is scaled before it is differentiated take the steps of one that is not."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.core import device as devices

optimizers = keras.optimizers


def weights_after_training(optimizer, device="cpu:0", policy="float32", later=None):
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 4)).astype("float32"), rng.integers(0, 3, 8)
    with keras.device(device):
        layers = [keras.layers.Dense(5, activation="relu", dtype=policy)]
        layers.append(keras.layers.Dense(3, activation="softmax"))
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile(optimizer(), "sparse_categorical_crossentropy")
        for _ in range(3):
            model.fit(x, y, batch_size=4, epochs=2, verbose=0, shuffle=False)
            if later is not None:
                model.optimizer.loss_scale_factor = later
        return model.get_weights()


def sgd(**options):
    return lambda: optimizers.SGD(0.125, **options)


def scaled():
    inner = optimizers.SGD(0.125)
    return optimizers.LossScaleOptimizer(inner, initial_scale=1024.0, dynamic_growth_steps=2)


def assert_same(found, expected, rtol=1e-5):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=rtol)


@pytest.fixture
def gpu(some_gpu):
    yield "gpu:0"
    devices.GPU.used = False  # the other tests of this process go on as if there were none


@pytest.mark.parametrize("optimizer", [scaled, sgd(loss_scale_factor=64.0)])
def test_a_scaled_loss_trains_like_itself(optimizer):
    assert_same(weights_after_training(optimizer), weights_after_training(sgd()))


def test_a_factor_that_is_set_later_counts():
    assert_same(weights_after_training(sgd(), later=64.0), weights_after_training(sgd()))


@pytest.mark.parametrize("optimizer", [scaled, sgd(loss_scale_factor=64.0)])
def test_a_scaled_loss_trains_like_itself_on_a_gpu(gpu, optimizer):
    assert_same(weights_after_training(optimizer, gpu), weights_after_training(sgd()))


def test_half_precision_is_trained_on_a_gpu(gpu):
    found = weights_after_training(scaled, gpu, "mixed_float16")
    assert_same(found, weights_after_training(scaled, policy="mixed_float16"), 2e-3)
