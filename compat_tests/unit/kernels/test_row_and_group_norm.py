"""Normalization of rows and of groups of channels against plain NumPy in float64."""

import numpy as np
import pytest

from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients
from kerasmirror.kernels.cpu import threads
from kerasmirror.kernels.cpu.group_norm import group_norm, group_norm_grad
from kerasmirror.kernels.cpu.row_norm import row_norm, row_norm_grad
from kerasmirror.ops.nn.normalization import group_norm as group_norm_op


def expected_rows(x, gamma, beta, epsilon, centred):
    x = x.astype("float64")
    mean = x.mean(1, keepdims=True) if centred else 0.0
    y = (x - mean) / np.sqrt(((x - mean) ** 2).mean(1, keepdims=True) + epsilon)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("rows, n", [(1, 1), (3, 15), (70, 16), (5, 100), (300, 33)])
def test_rows_are_normalized(rng, rows, n, centred):
    x = rng.normal(3.0, 2.0, (rows, n)).astype("float32")
    gamma, beta = (rng.normal(size=n).astype("float32") for _ in range(2))
    for vectors in ((gamma, beta), (None, None), (gamma, None)):
        y, _, _ = row_norm(x, *vectors, 1e-3, centred)
        assert y.dtype == x.dtype
        np.testing.assert_allclose(
            y, expected_rows(x, *vectors, 1e-3, centred), rtol=2e-5, atol=2e-5
        )


def test_a_mean_far_larger_than_the_deviation_costs_no_digits(rng):
    x = (1e4 + rng.normal(size=(4, 256))).astype("float32")
    y, _, _ = row_norm(x, None, None, 1e-5, True)
    np.testing.assert_allclose(y, expected_rows(x, None, None, 1e-5, True), atol=2e-3)
    assert not np.isnan(y).any()


@pytest.mark.parametrize("shape, axis", [((3, 4), -1), ((130, 5), -1), ((2, 3, 4), (1, 2))])
def test_gradients_of_layer_and_rms_normalization_match_finite_differences(rng, shape, axis):
    axes = (axis,) if isinstance(axis, int) else axis
    sizes = [shape[a] for a in axes]
    x, gamma, beta = rng.normal(size=shape), rng.normal(size=sizes), rng.normal(size=sizes)
    check_gradients(lambda *v: ops.layer_normalization(*v, axis=axis, epsilon=1e-3), x, gamma, beta)
    check_gradients(lambda *v: ops.rms_normalization(*v, axis=axis, epsilon=1e-3), x, gamma)


def expected_groups(x, gamma, beta, groups, epsilon):
    n, places, channels = x.shape
    parts = x.astype("float64").reshape(n, places, groups, channels // groups)
    mean, var = (f(parts, axis=(1, 3), keepdims=True) for f in (np.mean, np.var))
    y = ((parts - mean) / np.sqrt(var + epsilon)).reshape(x.shape)
    y = y if gamma is None else y * gamma
    return y if beta is None else y + beta


@pytest.mark.parametrize("groups", [1, 3, 6])
def test_groups_of_channels_are_normalized(rng, groups):
    x = rng.normal(3.0, 2.0, (5, 21, 6)).astype("float32")
    gamma, beta = (rng.normal(size=6).astype("float32") for _ in range(2))
    for vectors in ((gamma, beta), (None, None), (None, beta)):
        y, _, _ = group_norm(x, *vectors, groups, 1e-3)
        expected = expected_groups(x, *vectors, groups, 1e-3)
        np.testing.assert_allclose(y, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_gradients_of_group_normalization_match_finite_differences(rng, groups):
    x, gamma, beta = rng.normal(2.0, size=(3, 5, 4)), rng.normal(size=4), rng.normal(size=4)
    check_gradients(lambda *v: group_norm_op(*v, groups=groups, epsilon=1e-3), x, gamma, beta)


def test_the_number_of_threads_changes_nothing(rng):
    x, dy = (rng.normal(size=(500, 96)).astype("float32") for _ in range(2))
    samples, dsamples = (a.reshape(20, 25, 96) for a in (x, dy))

    def everything():
        y, mean, inverse = row_norm(x, None, None, 1e-3, True)
        grads = row_norm_grad(dy, x, mean, inverse, None, True)
        z, mean, inverse = group_norm(samples, None, None, 4, 1e-3)
        return [
            y,
            *grads,
            z,
            *group_norm_grad(dsamples, samples, mean, inverse, None, 4),
        ]

    before = threads.thread_count()
    expected = everything()
    try:
        threads.set_threads(1)
        for one, other in zip(everything(), expected, strict=True):
            np.testing.assert_array_equal(one, other)
    finally:
        threads.set_threads(before)
