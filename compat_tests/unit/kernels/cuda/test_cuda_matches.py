import numpy as np
import pytest


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("labels_dtype", ["int32", "int64", "uint8"])
def test_matches_are_counted(gpu, cpu, dtype, labels_dtype):
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 3, (300, 4)).astype(dtype)
    scores[5, 2] = scores[5, 3] = np.nan
    labels = rng.integers(0, 4, 300).astype(labels_dtype)
    labels[5] = 2
    found = gpu.count_matches(gpu.to_device(scores), gpu.to_device(labels))
    assert int(found) == cpu.count_matches(scores, labels)


def test_there_are_no_matches_without_rows(gpu):
    assert int(gpu.count_matches(gpu.empty((0, 3)), gpu.empty((0,), "int64"))) == 0
