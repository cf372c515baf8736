import numpy as np
import pytest

FLOATS = ["float32", "float64"]
# Rows shorter and longer than a warp, columns, the middle, several apart, none, parts of columns.
CASES = [
    ((3, 7), 1),
    ((2, 300), -1),
    ((300, 3), 0),
    ((5, 40, 3), 1),
    ((3, 4, 2, 5), (0, 2)),
    ((9000,), None),
    ((2, 3), ()),
    ((), None),
    ((3, 0), 1),
    ((0, 3), 1),
]


def _array(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return np.asarray(rng.integers(0, 2, shape), bool)
    if np.dtype(dtype).kind in "iu":
        return np.asarray(rng.integers(0, 100, shape)).astype(dtype)
    return np.asarray(rng.normal(size=shape)).astype(dtype)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "axis"), CASES)
def test_sums_means_and_extrema_of_floats(same, dtype, shape, axis):
    x = _array(shape, dtype)
    for name in ("sum", "mean", "max", "min"):
        same(name, x, axis, True)
        same(name, x, axis)


@pytest.mark.parametrize(("shape", "axis"), [((2, 300), -1), ((70, 3), 0), ((9, 40, 3), (0, 1))])
def test_reductions_need_their_barriers(same, threads, shape, axis):
    x = _array(shape, "float32")
    for name in ("sum", "max", "argmax", "logsumexp"):
        if name != "argmax" or isinstance(axis, int):
            same(name, x, axis)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8", "bool"])
@pytest.mark.parametrize(("shape", "axis"), [((3, 40), 1), ((70, 3), 0), ((0, 2), 0)])
def test_reductions_of_whole_numbers(same, dtype, shape, axis):
    x = _array(shape, dtype)
    for name in ("max", "min", "sum"):
        if dtype != "uint8" or name != "sum":
            same(name, x, axis, exact=True)
    if dtype in ("int32", "int64"):
        same("prod", x, axis, exact=True)
    if x.size:
        same("argmin", x, axis, True, exact=True)
    if dtype == "bool":
        same("all", x, axis, exact=True)
        same("any", x, axis, exact=True)


@pytest.mark.parametrize(("shape", "axis"), CASES[:6])
def test_products_and_logsumexp(same, shape, axis):
    x = _array(shape, "float32")
    if x.size < 1000:
        same("prod", x, axis)
    same("logsumexp", x, axis)
    same("logsumexp", x.astype("float64") + 800, axis, True)


def test_logsumexp_of_infinite_values(same):
    x = np.array([[-np.inf, -np.inf], [np.inf, 1], [np.nan, 1], [-np.inf, 2]], "float32")
    with np.errstate(invalid="ignore"):
        same("logsumexp", x, 1)


@pytest.mark.parametrize("shape", [(3, 50), (40, 3), (2, 30, 2)])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_the_first_of_equal_extrema_counts(same, name, shape):
    x = np.random.default_rng(1).integers(0, 4, shape).astype("float32")
    for axis in (None, *range(len(shape))):
        same(name, x, axis, exact=True)
        same(name, x, axis, True, exact=True)


def test_nan_is_the_extremum(same):
    x = _array((3, 40), "float32")
    x[1, 7] = x[1, 9] = np.nan
    x[2] = -np.inf
    for name in ("max", "min", "argmax", "argmin"):
        same(name, x, 1, exact=True)
        same(name, x, 0, exact=True)


def test_the_place_of_an_extremum_in_a_long_array(same):
    x = _array((9001,), "float32")
    same("argmax", x, exact=True)
    same("argmin", x.reshape(9001, 1), 0, exact=True)


def test_no_values_have_no_place(gpu):
    with pytest.raises(ValueError, match="argmax: there must be a value"):
        gpu.argmax(gpu.empty((3, 0)), 1)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64"])
@pytest.mark.parametrize("reverse", [False, True])
def test_cumulative_sums_and_products(same, dtype, reverse):
    for shape, axis in [((2, 300), 1), ((5, 3), 0), ((2, 5, 3), 1), ((7,), None), ((0, 2), 0)]:
        x = _array(shape, dtype)
        same("cumsum", x, axis, reverse)
        if x.size < 100:
            same("cumprod", x, axis, reverse)


def test_cumulative_sums_in_parts(same, gpu, threads, monkeypatch):
    from kerasmirror.kernels.cuda import cumulative

    monkeypatch.setattr(cumulative, "_SCAN_PART", 300)
    x = _array((2, 800), "float32")
    same("cumsum", x, 1)
    same("cumsum", x, 1, True)
    monkeypatch.setattr(cumulative, "_MOST_PARTS", 2)
    same("cumsum", x, 1)


@pytest.mark.parametrize("n", [1, 8192, 8193, 65535 * 8192 + 1, 2**31 - 2**16])
def test_the_parts_of_a_row_fit_into_a_grid(n):
    from kerasmirror.kernels.cuda import cumulative

    parts, length = cumulative._parts_of(1, n)
    assert parts <= 65535 and (parts - 1) * length < n <= parts * length


def test_a_sum_of_many_is_as_close_as_a_pairwise_one(gpu):
    x = (_array((100_000,), "float32") + 1).astype("float32")
    exact = x.astype("float64").sum()
    assert abs(float(gpu.sum(gpu.to_device(x))) - exact) < 1e-6 * exact


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8", "uint8", "uint32"])
def test_other_dtypes_are_reduced_in_wider_ones_and_keep_their_own(gpu, cpu, dtype):
    from kerasmirror.core import dtypes

    x = np.random.default_rng(0).integers(1, 5, (3, 7)).astype(dtypes.numpy_dtype(dtype))
    names = ["sum", "prod", "max", "min", "argmax"]
    if dtype in ("float16", "bfloat16"):
        names += ["mean", "logsumexp"]
    for name in names:
        expected, found = getattr(cpu, name)(x, 1), getattr(gpu, name)(gpu.to_device(x), 1)
        assert found.dtype == expected.dtype
        values = found.to_host().astype("float64")
        np.testing.assert_allclose(values, np.asarray(expected).astype("float64"), rtol=1e-2)
