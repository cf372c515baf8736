import numpy as np
import pytest

from kerasmirror.kernels.cpu import reduce

AXES = [None, 0, 1, 2, -1, (0, 1), (1, 2), (0, 2), (2, 0), (0, 1, 2), ()]
SHAPES = [(3, 5, 7), (1, 70, 2), (65, 1, 33), (100, 3, 1)]
FUNCTIONS = {
    "sum": np.sum, "prod": np.prod, "max": np.max, "min": np.min, "mean": np.mean,
    "all": np.all, "any": np.any,
}  # fmt: skip


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def normalized(axis):
    return axis if axis is None or isinstance(axis, int) else tuple(axis)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
def test_reductions_match_numpy_s_in_float64(rng, shape, axis, keepdims):
    x = (rng.normal(size=shape) * 0.1 + 1).astype(np.float32)
    for name, oracle in FUNCTIONS.items():
        y = getattr(reduce, name)(x, axis, keepdims)
        expected = oracle(x.astype(np.float64), axis=normalized(axis), keepdims=keepdims)
        assert y.shape == expected.shape, name
        assert y.dtype == (bool if name in ("all", "any") else np.float32), name
        np.testing.assert_allclose(y, expected, rtol=2e-5 if name == "prod" else 1e-6, err_msg=name)


def test_sums_over_leading_axes_keep_the_digits(rng):
    # One row after the other in float32 loses 4 digits here.
    x = rng.uniform(size=(300_001, 3)).astype(np.float32)
    exact = x.astype(np.float64).sum(axis=0)
    np.testing.assert_allclose(reduce.sum(x, 0), exact, rtol=3e-7)
    np.testing.assert_allclose(reduce.sum(np.ascontiguousarray(x.T), 1), exact, rtol=3e-7)
    naive = np.add.reduce(x, axis=0)
    assert np.abs(naive / exact - 1).max() > 2e-6


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33, 63, 64, 65, 1023, 1024, 1025, 1057])
def test_slabs_of_every_remainder(n):
    x = np.arange(n * 2, dtype=np.float64).reshape(n, 2)
    assert np.array_equal(reduce.sum(x, 0), x.sum(0))
    y = np.arange(n * 6, dtype=np.float64).reshape(2, n, 3)
    assert np.array_equal(reduce.sum(y, 1), y.sum(1))


def test_whole_numbers_keep_their_dtype_and_booleans_are_counted():
    x = np.arange(6, dtype=np.int32).reshape(2, 3)
    for name in ("sum", "prod", "max", "min"):
        y = getattr(reduce, name)(x, 1)
        assert y.dtype == np.int32 and np.array_equal(y, FUNCTIONS[name](x, axis=1))
    flags = np.array([[True, False], [True, True]])
    assert reduce.sum(flags, 0).dtype == np.int32 and reduce.sum(flags, 0).tolist() == [2, 1]
    assert reduce.prod(flags, 0).dtype == np.int32 and reduce.prod(flags, 0).tolist() == [1, 0]
    assert reduce.max(flags, 0).dtype == bool and reduce.max(flags, 0).tolist() == [True, True]


def test_halves_are_accumulated_in_float32():
    x = np.full((4099, 2), 1.0, np.float16)
    for y in (reduce.sum(x, 0), reduce.sum(x, 0, keepdims=True).reshape(-1)):
        assert y.dtype == np.float16 and np.array_equal(y, np.float16([4099, 4099]))
    y = reduce.mean(np.full(70_001, 2.0, np.float16))
    assert y.dtype == np.float16 and y == 2
    mean, variance = reduce.moments(np.tile(np.float16([1, 3]), 3001), None)
    assert mean.dtype == variance.dtype == np.float16 and mean == 2 and variance == 1


def test_extrema_keep_nan_and_reductions_of_nothing_have_their_identities():
    x = np.array([[1, np.nan], [2, 3]], np.float32)
    np.testing.assert_array_equal(reduce.max(x, 1), [np.nan, 3])
    np.testing.assert_array_equal(reduce.min(x, 1), [np.nan, 2])
    nothing = np.zeros((2, 0), np.float32)
    np.testing.assert_array_equal(reduce.max(nothing, 1), [-np.inf, -np.inf])
    np.testing.assert_array_equal(reduce.min(nothing, 1, keepdims=True), [[np.inf], [np.inf]])
    assert reduce.max(nothing, 0).shape == (0,)
    whole = nothing.astype(np.int8)
    assert (
        reduce.max(whole, 1).tolist() == [-128, -128] and reduce.min(whole, 1).tolist() == [127] * 2
    )
    assert reduce.max(nothing.astype(bool), 1).tolist() == [False, False]
    assert reduce.min(nothing.astype(bool), 1).tolist() == [True, True]
    np.testing.assert_array_equal(reduce.sum(nothing, 1), [0, 0])
    np.testing.assert_array_equal(reduce.prod(nothing, 1), [1, 1])
    np.testing.assert_array_equal(reduce.mean(nothing, 1), [np.nan, np.nan])


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("keepdims", [False, True])
def test_arg_extrema_are_the_first_places(axis, keepdims):
    x = np.array([[3, 1, 3], [1, 5, 5]], np.float32)
    for ours, oracle in ((reduce.argmax, np.argmax), (reduce.argmin, np.argmin)):
        y = ours(x, axis, keepdims)
        assert y.dtype == np.int32
        assert np.array_equal(y, oracle(x, axis=axis, keepdims=keepdims))


@pytest.mark.parametrize("axes", [None, 0, 1, -1, (0, 1), (1, 2), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_moments_match_float64_also_far_from_zero(rng, axes, keepdims):
    x = (rng.normal(size=(21, 9, 13)) + 100).astype(np.float32)
    mean, variance = reduce.moments(x, axes, keepdims)
    wide = x.astype(np.float64)
    for y, expected in (
        (mean, wide.mean(axis=axes, keepdims=keepdims)),
        (variance, wide.var(axis=axes, keepdims=keepdims)),
    ):
        assert y.shape == expected.shape and y.dtype == np.float32
        np.testing.assert_allclose(y, expected, rtol=1e-6)
    mean64, variance64 = reduce.moments(wide, axes, keepdims)
    np.testing.assert_allclose(mean64, wide.mean(axis=axes, keepdims=keepdims), rtol=1e-14)
    np.testing.assert_allclose(variance64, wide.var(axis=axes, keepdims=keepdims), rtol=1e-11)


@pytest.mark.parametrize("axis", [None, 0, 1, (0, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_logsumexp_is_stable_at_both_ends(rng, axis, keepdims):
    x = (rng.normal(size=(5, 9)) * 4).astype(np.float32)
    expected = np.log(np.exp(x.astype(np.float64)).sum(axis=axis, keepdims=keepdims))
    y = reduce.logsumexp(x, axis, keepdims)
    assert y.dtype == np.float32 and y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    np.testing.assert_allclose(reduce.logsumexp(x + 500, axis, keepdims), expected + 500, rtol=1e-6)
    np.testing.assert_allclose(reduce.logsumexp(x - 500, axis, keepdims), expected - 500, rtol=1e-6)


def test_logsumexp_of_infinities():
    rows = np.array([[-np.inf, -np.inf], [np.inf, 0], [-np.inf, 2]], np.float32)
    np.testing.assert_array_equal(reduce.logsumexp(rows, 1), [-np.inf, np.inf, 2])


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_cumulative_sums_and_products_in_both_directions(rng, axis):
    x = rng.normal(size=(6, 5)).astype(np.float32)
    for ours, oracle in ((reduce.cumsum, np.cumsum), (reduce.cumprod, np.cumprod)):
        y = ours(x, axis)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, oracle(x, axis=axis), rtol=1e-6, atol=1e-6)
        turned = x.reshape(-1) if axis is None else x
        place = 0 if axis is None else axis
        expected = np.flip(oracle(np.flip(turned, place), axis=place), place)
        np.testing.assert_allclose(ours(x, axis, reverse=True), expected, rtol=1e-6, atol=1e-6)
    flags = np.array([True, False, True])
    assert reduce.cumsum(flags).dtype == np.int32 and reduce.cumsum(flags).tolist() == [1, 1, 2]


def test_strided_views_and_scalars():
    x = np.arange(60, dtype=np.float32).reshape(6, 10)
    for axis in (None, 0, 1):
        assert np.array_equal(reduce.sum(x.T[::2], axis), x.T[::2].sum(axis))
        mean, _ = reduce.moments(x[:, ::3], axis)
        np.testing.assert_allclose(mean, x[:, ::3].mean(axis))
    assert reduce.sum(np.float32(3).reshape(())) == 3


def test_results_do_not_depend_on_the_number_of_threads(rng, same_on_any_threads):
    x = rng.normal(size=(3001, 65)).astype(np.float32)
    same_on_any_threads(lambda: reduce.moments(x, 0))
    same_on_any_threads(lambda: reduce.moments(x, 1))
