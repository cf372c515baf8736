"""CTC loss and decoding as user code, on either side."""

import numpy as np
import pytest
from parity.side_by_side import assert_near, on_keras, on_mirror, real_keras

import kerasmirror
from kerasmirror.autodiff.gradcheck import check_gradients

pytestmark = pytest.mark.keras
RNG = np.random.default_rng(3)
LABELS = np.array([[1, 2, 0, 0], [1, 1, 2, 4], [4, 3, 3, 3], [0, 0, 0, 0]], np.int32)
LENGTHS = np.array([2, 4, 4, 0], np.int32)
TIMES = np.array([8, 6, 9, 5], np.int32)
LOGITS = RNG.normal(0, 2, (4, 9, 5)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_ctc_loss_and_its_gradient_are_those_of_keras(dtype):
    def loss(keras, output):
        return keras.ops.ctc_loss(LABELS, output, LENGTHS, TIMES)

    arrays = [LOGITS.astype(dtype)]
    expected, expected_grads, weights = on_keras(loss, arrays)
    actual, actual_grads = on_mirror(loss, arrays, weights)
    assert_near(actual[0], expected[0], "loss")
    # Keras multiplies in log space in float32, halves are rounded once more.
    assert_near(
        actual_grads[0], expected_grads[0], "gradient", rtol=1e-3 if dtype == "float16" else 1e-5
    )


def test_the_blank_may_be_any_class():
    labels = np.array([[1, 2, 3], [0, 0, 2]], np.int32)

    def loss(keras, output):
        return keras.ops.ctc_loss(labels, output, np.array([3, 2]), np.array([9, 7]), mask_index=4)

    expected, expected_grads, weights = on_keras(loss, [LOGITS[:2]])
    actual, actual_grads = on_mirror(loss, [LOGITS[:2]], weights)
    assert_near(actual[0], expected[0], "loss")
    assert_near(actual_grads[0], expected_grads[0], "gradient")


def test_the_loss_of_a_batch_is_that_of_keras():
    keras, _ = real_keras()
    expected = float(keras.losses.CTC()(LABELS, LOGITS))
    assert float(kerasmirror.losses.CTC()(LABELS, LOGITS)) == pytest.approx(expected, rel=1e-6)


def test_gradients_agree_with_finite_differences():
    def loss(output):
        return kerasmirror.ops.ctc_loss(LABELS, output, LENGTHS, TIMES)

    check_gradients(loss, LOGITS.astype(np.float64))


def test_labels_that_do_not_fit_into_the_time_have_an_infinite_loss_and_no_gradient():
    tensor = kerasmirror.ops.convert_to_tensor(LOGITS[:2])
    with kerasmirror.autodiff.GradientTape() as tape:
        tape.watch(tensor)
        # 1, 1 needs a blank between: three steps at least.
        loss = kerasmirror.ops.ctc_loss([[1, 1], [1, 2]], tensor, [2, 2], [2, 2])
    assert loss.numpy()[0] == np.inf
    assert np.isfinite(loss.numpy()[1])
    grad = tape.gradient(loss, tensor).numpy()
    assert not grad[0].any()
    assert grad[1].any()


DECODINGS = {
    "greedy": {},
    "with repetitions": {"merge_repeated": False},
    "another blank": {"mask_index": 2},
    "the last blank": {"mask_index": None},
    # Wide enough: what is left out of a narrow beam differs in the fourth digit of its score.
    "beams": {"strategy": "beam_search", "top_paths": 2, "beam_width": 500},
    "beams with another blank": {"strategy": "beam_search", "beam_width": 500, "mask_index": 3},
}


@pytest.mark.parametrize("options", DECODINGS.values(), ids=DECODINGS)
def test_decoding_reads_what_keras_reads(options):
    keras, _ = real_keras()
    expected = keras.ops.ctc_decode(LOGITS, TIMES, **options)
    actual = kerasmirror.ops.ctc_decode(LOGITS, TIMES, **options)
    for ours, theirs in zip(actual, expected, strict=True):
        assert ours.dtype == keras.backend.standardize_dtype(theirs.dtype)
    np.testing.assert_array_equal(np.asarray(actual[0]), np.asarray(expected[0]))
    np.testing.assert_allclose(np.asarray(actual[1]), np.asarray(expected[1]), rtol=1e-5)


def test_decoding_can_stand_in_a_graph():
    keras = kerasmirror
    logits, times = keras.Input((9, 5)), keras.Input((), dtype="int32")
    model = keras.Model([logits, times], keras.ops.ctc_decode(logits, times))
    labels, scores = model([LOGITS, TIMES])
    expected = keras.ops.ctc_decode(LOGITS, TIMES)
    np.testing.assert_array_equal(labels.numpy(), expected[0].numpy())
    np.testing.assert_array_equal(scores.numpy(), expected[1].numpy())


MISTAKES = {
    "`target` must have 2 axes": {"target": LABELS[0]},
    "`output` must have 3 axes": {"output": LOGITS[0]},
    "`target_length` must have shape (4,)": {"target_length": LENGTHS[:3]},
    "`output_length` must be within 0 and 9": {"output_length": TIMES + 5},
    "`mask_index` must be one of the 5 classes": {"mask_index": 5},
    "other than the blank 4": {"mask_index": 4},
}


@pytest.mark.parametrize("message", MISTAKES)
def test_what_does_not_fit_is_refused(message):
    arguments = {
        "target": LABELS,
        "output": LOGITS,
        "target_length": LENGTHS,
        "output_length": TIMES,
        **MISTAKES[message],
    }
    with pytest.raises(ValueError) as caught:
        kerasmirror.ops.ctc_loss(**arguments)
    assert message in str(caught.value)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(ValueError, match="strategy"):
        kerasmirror.ops.ctc_decode(LOGITS, TIMES, strategy="guess")
