"""Recurrent layers on a GPU, the emulated one where there is no other, against the CPU."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.core import device as devices

layers, ops = keras.layers, keras.ops

MADE = {
    "lstm": lambda: layers.LSTM(2),
    "lstm_of_all_steps": lambda: layers.LSTM(3, return_sequences=True),
    "gru_backwards": lambda: layers.GRU(2, return_sequences=True, go_backwards=True),
    "simple": lambda: layers.SimpleRNN(2),
    "bidirectional": lambda: layers.Bidirectional(
        layers.LSTM(2, return_sequences=True, zero_output_for_mask=True)
    ),
}
MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]], bool)


@pytest.fixture(autouse=True)
def _gpu(some_gpu):
    yield
    devices.GPU.used = False  # the other tests of this process go on as if there were none


def values_and_gradients(device, make, mask):
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(0).normal(size=(3, 4, 3)).astype("float32")
    with keras.device(device):
        layer, x = make(), ops.convert_to_tensor(x)
        mask = None if mask is None else ops.convert_to_tensor(mask)
        with keras.autodiff.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, mask=mask)
            loss = ops.sum(ops.square(y))
        gradients = tape.gradient(loss, [x, *layer.trainable_variables])
        return [ops.convert_to_numpy(value) for value in (y, *gradients)]


@pytest.mark.parametrize("mask", [None, MASK], ids=["whole", "masked"])
@pytest.mark.parametrize("name", MADE)
def test_values_and_gradients_are_those_of_the_cpu(name, mask):
    found = values_and_gradients("gpu:0", MADE[name], mask)
    expected = values_and_gradients("cpu:0", MADE[name], mask)
    assert np.abs(expected[0]).max() > 0.1
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
