"""Counting the rows whose largest score is at their label."""

import numpy as np
import pytest

from kerasmirror.kernels import for_device

k = for_device("cpu")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (128, 10), (5000, 17)])
def test_matches_are_counted_as_argmax_finds_them(dtype, shape):
    rng = np.random.default_rng(3)
    scores = rng.integers(0, 4, shape).astype(dtype)  # with ties
    scores[rng.random(shape) < 0.05] = np.nan
    scores[rng.random(shape) < 0.05] = -np.inf
    labels = rng.integers(0, shape[1], shape[0])
    expected = (scores.argmax(-1) == labels).sum()
    assert k.count_matches(scores, labels) == expected
    assert k.count_matches(scores, labels[:, None].astype("uint8")) == expected


def test_no_rows_have_no_matches():
    assert k.count_matches(np.empty((0, 3), "f"), np.empty(0, "int32")) == 0
