"""Arguments that layers refuse or keep to: attention, recurrent layers and their wrappers."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import layers

RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN)


@pytest.fixture
def x(rng):
    return rng.normal(size=(2, 5, 4)).astype("float32")


def test_multi_head_attention_refuses_flash_attention():
    text = (
        "MultiHeadAttention: `flash_attention` must be None or False: not supported. "
        "Received: flash_attention=True"
    )
    with pytest.raises(ValueError) as caught:
        layers.MultiHeadAttention(2, 3, flash_attention=True)
    assert str(caught.value) == text


@pytest.mark.parametrize("value, error", [(2.0, ValueError), (-0.1, ValueError), (None, TypeError)])
def test_attention_checks_its_dropout(value, error):
    makers = [layers.Attention, layers.AdditiveAttention]
    makers.append(lambda dropout: layers.MultiHeadAttention(2, 3, dropout=dropout))
    for make in makers:
        with pytest.raises(error, match=f"argument `dropout`.*Received: dropout={value}"):
            make(dropout=value)


@pytest.mark.parametrize("cls", RECURRENT)
def test_units_are_whole_numbers_of_any_kind(cls, x):
    assert cls(np.int64(3))(x).shape == (2, 3)
    for units in (2.5, True, [3], 0, None):
        with pytest.raises(ValueError, match="argument `units`, expected a positive integer"):
            cls(units)


@pytest.mark.parametrize("cls", RECURRENT)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_states_and_masks_must_fit_the_inputs(cls, activation, x):
    layer = cls(3, activation=activation)
    count = 2 if cls is layers.LSTM else 1
    state = np.zeros((2, 3), "float32")
    assert layer(x, initial_state=[state] * count).shape == (2, 3)
    for states in ([state] * (count + 1), [state[:, :2]] * count, [state[:1]] * count):
        with pytest.raises(ValueError, match=rf"{cls.__name__}: `initial_state` must have {count}"):
            layer(x, initial_state=states)
    for steps in (4, 6):
        with pytest.raises(ValueError, match=rf"`mask` must have .* mask.shape=\(2, {steps}\)"):
            layer(x, mask=np.ones((2, steps), bool))
    with pytest.raises(ValueError, match="`sequences` must have at least one step"):
        layer(x[:, :0])


def test_bidirectional_starts_from_its_weights(x, rng):
    layer = layers.Bidirectional(layers.LSTM(3))
    layer.build(x.shape)
    weights = [rng.normal(size=w.shape).astype("float32") for w in layer.weights]
    layer.set_weights(weights)
    other = layers.Bidirectional(layers.LSTM(3), weights=weights)
    np.testing.assert_array_equal(other(x), layer(x))
    other.set_weights([np.zeros_like(w) for w in weights])
    assert not np.any(other(x))


def test_a_quantized_layer_is_called_as_such_on_each_step(x):
    model = keras.Sequential([keras.Input((5, 4)), layers.TimeDistributed(layers.Dense(3))])
    before = model(x).numpy()
    model.layers[0].layer.quantize("int8")
    after = model(x).numpy()
    assert 0 < np.max(np.abs(after - before)) < 0.1
