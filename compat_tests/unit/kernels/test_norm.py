import numpy as np
import pytest

from kerasmirror.kernels.cpu import norm

# 7, 8, 9: one block of rows and its remainders; 2000: several slabs; 1: a variance of 0.
SHAPES = [(1, 3), (7, 5), (8, 1), (9, 16), (2, 3, 4, 5), (2000, 33), (1029, 8)]
EPSILON = 1e-3


def arrays(shape, dtype, offset=0.0):
    rng = np.random.default_rng(11)
    x = (rng.normal(size=shape) * 1.7 + offset).astype(dtype)
    dy = rng.normal(size=shape).astype(dtype)
    gamma, beta = rng.normal(size=(2, shape[-1])).astype(dtype)
    return x, dy, gamma, beta


def oracle(x, gamma, beta):
    x = x.astype(np.float64)
    axes = tuple(range(x.ndim - 1))
    y = (x - x.mean(axes)) / np.sqrt(x.var(axes) + EPSILON)
    return y * (1 if gamma is None else gamma) + (0 if beta is None else beta)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_statistics_are_exact_to_1e_6_also_far_from_zero(shape, offset):
    for dtype, tolerance in (("float32", 1e-6), ("float64", 1e-12)):
        x = arrays(shape, dtype, offset)[0]
        wide, axes = x.astype(np.float64), tuple(range(x.ndim - 1))
        mean, variance = norm.batch_norm_stats(x)
        assert mean.dtype == variance.dtype == dtype
        scale = np.abs(wide).max() if offset == 0 else 0
        np.testing.assert_allclose(mean, wide.mean(axes), rtol=tolerance, atol=tolerance * scale)
        np.testing.assert_allclose(variance, wide.var(axes), rtol=tolerance, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("which", ["both", "gamma", "beta", "neither"])
def test_transform_matches_float64(shape, which):
    for dtype, tolerance in (("float32", 2e-6), ("float64", 1e-12)):
        x, _, gamma, beta = arrays(shape, dtype)
        gamma = gamma if which in ("both", "gamma") else None
        beta = beta if which in ("both", "beta") else None
        y = norm.batch_norm(x, *norm.batch_norm_stats(x), gamma, beta, EPSILON)
        assert y.dtype == dtype and y.shape == shape
        np.testing.assert_allclose(y, oracle(x, gamma, beta), rtol=tolerance, atol=5 * tolerance)


def test_transform_with_moving_statistics():
    x, _, gamma, beta = arrays((6, 4), "float32")
    mean, variance = np.float32([1, 2, 3, 4]), np.float32([4, 3, 2, 1])
    y = norm.batch_norm(x, mean, variance, gamma, beta, 0.5)
    np.testing.assert_allclose(y, gamma * (x - mean) / np.sqrt(variance + 0.5) + beta, rtol=1e-5)


@pytest.mark.parametrize("shape", [(7, 5), (9, 16), (2, 3, 4, 5)])
@pytest.mark.parametrize("with_gamma", [True, False])
def test_gradients_match_finite_differences(shape, with_gamma):
    x, dy, gamma, beta = arrays(shape, "float64")
    gamma = gamma if with_gamma else None
    mean, variance = norm.batch_norm_stats(x)
    dx, dgamma, dbeta = norm.batch_norm_grad(dy, x, mean, variance, gamma, EPSILON)
    h, direction = 1e-6, np.random.default_rng(1).normal(size=shape)
    difference = oracle(x + h * direction, gamma, beta) - oracle(x - h * direction, gamma, beta)
    np.testing.assert_allclose((dx * direction).sum(), (dy * difference).sum() / (2 * h), rtol=1e-6)
    axes = tuple(range(x.ndim - 1))
    np.testing.assert_allclose(dgamma, (dy * oracle(x, None, None)).sum(axes), rtol=1e-9)
    np.testing.assert_allclose(dbeta, dy.sum(axes), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_in_float32_match_float64(shape):
    x, dy, gamma, _ = arrays(shape, "float32")
    single = norm.batch_norm_grad(dy, x, *norm.batch_norm_stats(x), gamma, EPSILON)
    wide = [a.astype(np.float64) for a in (dy, x)]
    double = norm.batch_norm_grad(
        *wide, *norm.batch_norm_stats(wide[1]), gamma.astype(np.float64), EPSILON
    )
    for a, b in zip(single, double, strict=True):
        assert a.dtype == np.float32 and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=2e-6, atol=3e-6 * max(1, np.abs(b).max()))


@pytest.mark.parametrize("n", [1, 7, 8, 9, 16, 1003])
def test_row_moments_of_every_remainder(n):
    x = (np.random.default_rng(2).normal(size=(5, n)) + 50).astype(np.float32)
    mean, variance = norm.row_moments(x)
    np.testing.assert_allclose(mean, x.astype(np.float64).mean(1), rtol=1e-7)
    np.testing.assert_allclose(variance, x.astype(np.float64).var(1), rtol=1e-6, atol=1e-12)


def test_nothing_to_average():
    mean, variance = norm.batch_norm_stats(np.zeros((0, 3), np.float32))
    assert np.isnan(mean).all() and np.isnan(variance).all() and mean.shape == (3,)
    mean, variance = norm.row_moments(np.zeros((2, 0), np.float32))
    assert np.isnan(mean).all() and np.isnan(variance).all()
    empty, one = np.zeros((0, 3), np.float32), np.ones(3, np.float32)
    assert norm.batch_norm(empty, one, one, None, None, EPSILON).shape == (0, 3)
    dx, dgamma, dbeta = norm.batch_norm_grad(empty, empty, one, one, one, EPSILON)
    assert dx.shape == (0, 3) and not dgamma.any() and not dbeta.any()


def test_views_are_taken_as_they_are():
    x, dy, gamma, beta = arrays((40, 12), "float32")
    for view, dview in ((x[::2, ::3], dy[::2, ::3]), (x.T, dy.T)):
        copy, dcopy = view.copy(), dview.copy()
        g, b = np.resize(gamma, view.shape[1]), np.resize(beta, view.shape[1])
        stats = norm.batch_norm_stats(view)
        assert np.array_equal(stats, norm.batch_norm_stats(copy))
        a = norm.batch_norm(view, *stats, g, b, EPSILON)
        assert np.array_equal(a, norm.batch_norm(copy, *stats, g, b, EPSILON))
        ours = norm.batch_norm_grad(dview, view, *stats, g, EPSILON)
        for a, b in zip(ours, norm.batch_norm_grad(dcopy, copy, *stats, g, EPSILON), strict=True):
            assert np.array_equal(a, b)
        assert np.array_equal(norm.row_moments(view), norm.row_moments(copy))


def test_nothing_depends_on_the_number_of_threads(same_on_any_threads):
    x, dy, gamma, beta = arrays((20_011, 17), "float32")
    stats = norm.batch_norm_stats(x)
    same_on_any_threads(lambda: norm.batch_norm_stats(x))
    same_on_any_threads(lambda: norm.batch_norm(x, *stats, gamma, beta, EPSILON))
    same_on_any_threads(lambda: norm.batch_norm_grad(dy, x, *stats, gamma, EPSILON))
    same_on_any_threads(lambda: norm.row_moments(x))
