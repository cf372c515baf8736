import numpy as np
import pytest

LABELS = np.array([[3, 3, 1, 3], [1, 2, 1, 2], [5, 4, 0, 0], [0, 0, 0, 0], [2, 2, 2, 2]])
LENGTHS = np.array([4, 3, 2, 0, 4])


@pytest.mark.parametrize(
    "times, dtype",
    [([9, 9, 9, 9, 9], "float64"), ([8, 3, 5, 1, 6], "float32"), ([0, 2, 9, 0, 7], "float32")],
)
def test_loss_and_gradient_are_those_of_the_cpu(same, threads, dtype, times):
    logits = 3 * np.random.default_rng(0).normal(size=(5, 9, 7))
    rtol = 1e-6 if dtype == "float32" else 1e-13
    same("ctc_loss", logits.astype(dtype), LABELS, LENGTHS, np.array(times), 6, rtol=rtol)


@pytest.mark.parametrize("classes, length, steps", [(131, 65, 66), (3, 2, 4)])
def test_more_classes_and_states_than_threads(same, threads, classes, length, steps):
    # No two neighbours are equal, between which an alignment would have to go through a blank.
    labels = (np.array([[0], [7]]) + np.arange(length)) % (classes - 1) + 1
    lengths, times = np.array([length, 1]), np.array([steps, 2])
    logits = np.random.default_rng(1).normal(size=(2, steps, classes)).astype("float32")
    same("ctc_loss", logits, labels, lengths, times, 0, rtol=1e-6)


def test_no_labels_at_all(same):
    logits = np.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
    none = np.zeros((2, 0), "int64"), np.zeros(2, "int64")
    same("ctc_loss", logits, *none, np.array([4, 2]), 1, rtol=1e-6)


def test_labels_and_lengths_may_lie_on_the_host(gpu, cpu):
    logits = np.random.default_rng(0).normal(size=(5, 9, 7)).astype("float32")
    given = LABELS, LENGTHS, np.full(5, 9)
    expected = cpu.ctc_loss(logits, *given, 6)
    found = gpu.ctc_loss(gpu.to_device(logits), *given, 6)
    for e, f in zip(expected, found, strict=True):
        np.testing.assert_allclose(f.to_host(), e, rtol=1e-5, atol=1e-6)


def test_what_is_not_a_number_comes_out_as_such(gpu):
    logits = np.zeros((1, 3, 4), "float32")
    logits[0, 1, 2] = np.nan
    given = np.array([[1]]), np.array([1]), np.array([3])
    loss, grad = gpu.ctc_loss(gpu.to_device(logits), *given, 0)
    assert np.isnan(loss.to_host()).all() and np.isnan(grad.to_host()).any()


def test_beam_search_says_where_it_runs(gpu):
    scores = gpu.zeros((1, 2, 3), "float32")
    with pytest.raises(NotImplementedError, match="ctc_beam_search has no CUDA kernel.*CPU"):
        gpu.ctc_beam_search(scores, np.array([2]), 4, 1, 0)
