"""Recurrent layers: gradients of whole sequences, masks, states, and cells of the user's."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import layers, ops
from kerasmirror.autodiff import GradientTape
from kerasmirror.autodiff.gradcheck import check_gradients
from kerasmirror.ops.nn.recurrent import GATES, recurrent

MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
def test_gradients_over_a_sequence_match_finite_differences(
    rng, cell, sequences, masked, backwards
):
    units, width = 3, 3 * GATES[cell]
    arrays = [rng.normal(size=s) for s in ((3, 4, 2), (3, units), (3, units))]
    arrays += [0.5 * rng.normal(size=s) for s in ((2, width), (units, width), (width,))]
    recurrent_bias = rng.normal(size=width)
    options = {"cell": cell, "sequences": sequences, "backwards": backwards}
    options |= {"mask": MASK if masked else None, "zero_masked": masked and sequences}

    def run(*values):
        if cell == "gru":
            y, h, c = recurrent(*values, **options)
        else:
            y, h, c = recurrent(*values, None, **options)
        total = ops.add(ops.sum(ops.square(y)), ops.sum(ops.sin(h)))
        return ops.add(total, ops.sum(ops.square(c)))

    check_gradients(run, *arrays, *([recurrent_bias] if cell == "gru" else []))


@pytest.mark.parametrize("cell", ["gru", "simple"])
def test_a_cell_without_a_second_state_gives_zeros_for_it(rng, cell):
    h, c = (ops.convert_to_tensor(rng.normal(size=(3, 2))) for _ in range(2))
    arrays = [rng.normal(size=(3, 4, 2)), rng.normal(size=(2, 2 * GATES[cell]))]
    x, w = (ops.convert_to_tensor(array) for array in arrays)
    with GradientTape() as tape:
        tape.watch([h, c])
        result = recurrent(x, h, c, w, w, None, None, cell=cell, sequences=True, mask=MASK)[2]
    assert not np.any(result)
    dh, dc = tape.gradient(result, [h, c])
    assert not np.any(dh) and not np.any(dc)


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("zero", [False, True])
def test_the_fused_steps_are_those_of_the_cell(rng, name, masked, zero):
    options = {"return_sequences": True, "return_state": True, "zero_output_for_mask": zero}
    fused = getattr(layers, name)(6, **options)
    x = rng.normal(size=(3, 4, 5)).astype("float32")
    fused.build(x.shape)
    fused.set_weights([rng.normal(size=w.shape) for w in fused.get_weights()])
    states = [rng.normal(size=(3, 6)).astype("float32") for _ in fused.state_size]
    plain = layers.RNN(fused.cell, **options)
    mask = MASK if masked else None
    ours = fused(x, initial_state=states, mask=mask)
    theirs = plain(x, initial_state=states, mask=mask)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.keras
@pytest.mark.parametrize("name", ["LSTM", "GRU", "SimpleRNN"])
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_masks_and_states_match_keras(rng, name, backwards, sequences):
    real = pytest.importorskip("keras")
    x = rng.normal(size=(3, 4, 5)).astype("float32")
    options = {"return_sequences": sequences, "return_state": True, "go_backwards": backwards}
    theirs, ours = (getattr(k.layers, name)(6, **options) for k in (real, keras))
    for one in (theirs, ours):
        one.build(x.shape)
    ours.set_weights(theirs.get_weights())
    states = [rng.normal(size=(3, 6)).astype("float32") for _ in ours.state_size]
    for given in (None, states):
        expected = theirs(x, initial_state=given, mask=real.ops.convert_to_tensor(MASK))
        actual = ours(x, initial_state=given, mask=MASK)
        for one, other in zip(actual, expected, strict=True):
            np.testing.assert_allclose(one, np.asarray(other), rtol=1e-4, atol=1e-5)


def test_a_stateful_layer_goes_on_where_it_was(rng):
    x = rng.normal(size=(2, 6, 3)).astype("float32")
    whole = layers.LSTM(4, return_sequences=True)
    expected = np.asarray(whole(x))
    parts = layers.LSTM(4, return_sequences=True, stateful=True)
    parts.build((2, 3, 3))
    parts.set_weights(whole.get_weights())
    first, second = parts(x[:, :3]), parts(x[:, 3:])
    np.testing.assert_allclose(np.concatenate([first, second], 1), expected, rtol=1e-5, atol=1e-6)
    parts.reset_state()
    np.testing.assert_allclose(parts(x[:, :3]), expected[:, :3], rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match="the batch size of the input sequences must be the same"):
        parts(x[:1, :3])


def test_a_cell_of_the_user_runs_step_by_step(rng):
    class Sum(layers.Layer):
        state_size = 3

        def call(self, inputs, states):
            total = states[0] + inputs
            return total, [total]

    x = rng.normal(size=(2, 5, 3)).astype("float32")
    y = layers.RNN(Sum(), return_sequences=True)(x)
    np.testing.assert_allclose(y, np.cumsum(x, axis=1), rtol=1e-5)


def test_a_sequence_model_learns(rng):
    x = rng.normal(size=(256, 8, 2)).astype("float32")
    y = (x[:, :, 0].sum(1) > 0).astype("int32")
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((8, 2)), layers.Bidirectional(layers.LSTM(8)), layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    history = model.fit(x, y, epochs=12, verbose=0)
    assert history.history["accuracy"][-1] > 0.93
