import numpy as np
import pytest

FLOATS = ["float32", "float64"]


def _normal(shape, dtype="float32", seed=0, mean=0.0):
    return (np.random.default_rng(seed).normal(size=shape) + mean).astype(dtype)


def _vectors(channels, dtype):
    var = np.abs(_normal((channels,), dtype, 5)) + 0.1
    return (_normal((channels,), dtype, 4), var.astype(dtype),
            _normal((channels,), dtype, 6), _normal((channels,), dtype, 7))  # fmt: skip


# Rows and channels: few and many of both, one channel, several parts, more axes.
SHAPES = [(37, 5), (3, 70), (300, 1), (1500, 33), (2, 3, 4, 6)]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_statistics(same, dtype, shape):
    same("batch_norm_stats", _normal(shape, dtype, mean=3))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("relu", [False, True])
def test_batch_norm_and_its_gradient(same, cpu, dtype, shape, relu):
    if dtype == "float64" and len(shape) == 2 and shape[0] > 100:
        shape = (70, 3)
    x, dy = _normal(shape, dtype, mean=2), _normal(shape, dtype, 1)
    _, _, gamma, beta = _vectors(shape[-1], dtype)
    mean, var = cpu.batch_norm_stats(x)
    for scale, offset in [(gamma, beta), (None, None), (gamma, None)]:
        same("batch_norm", x, mean, var, scale, offset, 1e-3, relu)
        y = cpu.batch_norm(x, mean, var, scale, offset, 1e-3, relu) if relu else None
        same("batch_norm_grad", dy, x, mean, var, scale, 1e-3, y, rtol=2e-5)


def test_a_mean_far_larger_than_the_deviation_costs_no_digits(gpu):
    x = _normal((2000, 3), "float32", mean=4000)
    _, var = gpu.batch_norm_stats(gpu.to_device(x))
    np.testing.assert_allclose(var.to_host(), x.astype("float64").var(0), rtol=1e-4)


def test_statistics_and_sums_need_their_barriers(same, cpu, threads):
    x, dy = _normal((600, 3)), _normal((600, 3), seed=1)
    same("batch_norm_stats", x)
    mean, var = cpu.batch_norm_stats(x)
    same("batch_norm_grad", dy, x, mean, var, None, 1e-3)
    rows, drows = x[:6].reshape(2, 9), dy[:6].reshape(2, 9)
    same("row_norm", rows, None, None, 1e-3, True)
    _, mean, inverse = cpu.row_norm(rows, None, None, 1e-3, True)
    same("row_norm_grad", drows, rows, mean, inverse, None, True)


def test_no_rows_have_no_statistics(same):
    same("batch_norm_stats", np.zeros((0, 3), "float32"))
    same("row_moments", np.zeros((2, 0), "float32"))
    vectors = [np.ones(3, "float32")] * 4
    x = np.zeros((0, 3), "float32")
    same("batch_norm", x, *vectors, 1e-3)
    same("batch_norm_grad", x, x, *vectors[:3], 1e-3)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3, 3, 2, 5), (7, 4)])
@pytest.mark.parametrize("some", [False, True])
def test_weights_with_their_normalization(same, dtype, shape, some):
    vectors = _vectors(shape[-1], dtype)
    bias = _normal(shape[-1:], dtype, 9)
    gamma, beta = vectors[2:] if some else (None, None)
    w = _normal(shape, dtype)
    same("batch_norm_weights", w, bias if some else None, *vectors[:2], gamma, beta, 1e-3)


@pytest.mark.parametrize("dtype", FLOATS)
def test_moving_averages_and_overwriting(same, gpu, dtype):
    average, new = _normal((300,), dtype), _normal((300,), dtype, 1)
    same("moving_average", average, new, 0.99)
    target = gpu.to_device(average)
    gpu.overwrite(target, gpu.to_device(new))
    np.testing.assert_array_equal(target.to_host(), new)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(3, 40), (2, 5000), (70, 3)])
def test_row_moments(same, dtype, shape):
    same("row_moments", _normal(shape, dtype, mean=1))


@pytest.mark.parametrize(
    ("shape", "axes"),
    [((3, 5, 7), (0, 1)), ((3, 5, 7), (1,)), ((3, 5, 7), (0, 2)), ((3, 5), None), ((3, 5), ())],
)
def test_moments_over_any_axes(same, shape, axes):
    x = _normal(shape, "float32", mean=1)
    same("moments", x, axes, atol=1e-6)
    same("moments", x, axes, True, atol=1e-6)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("shape", [(9, 5), (3, 70), (2, 1100), (300, 3)])
def test_row_norm_and_its_gradient(same, cpu, dtype, centred, shape):
    x, dy = _normal(shape, dtype, mean=1), _normal(shape, dtype, 1)
    _, _, gamma, beta = _vectors(shape[-1], dtype)
    for scale, offset in [(gamma, beta), (None, None)]:
        same("row_norm", x, scale, offset, 1e-3, centred)
        _, mean, inverse = cpu.row_norm(x, scale, offset, 1e-3, centred)
        same("row_norm_grad", dy, x, mean, inverse, scale, centred, rtol=2e-5)


def test_row_norm_of_no_rows(same):
    x = np.zeros((0, 3), "float32")
    none = np.zeros(0, "float32")
    same("row_norm", x, None, None, 1e-3, True)
    same("row_norm_grad", x, x, none, none, None, True)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("shape", "groups"), [((2, 7, 6), 3), ((3, 40, 4), 1), ((2, 5, 3), 3)])
@pytest.mark.parametrize("some", [False, True])
def test_group_norm_and_its_gradient(gpu, cpu, dtype, shape, groups, some):
    x, dy = _normal(shape, dtype, mean=1), _normal(shape, dtype, 1)
    _, _, gamma, beta = _vectors(shape[-1], dtype)
    if not some:
        gamma = beta = None
    expected = cpu.group_norm(x, gamma, beta, groups, 1e-3)
    there = [None if v is None else gpu.to_device(v) for v in (x, gamma, beta, dy)]
    found = gpu.group_norm(*there[:3], groups, 1e-3)
    gradients = cpu.group_norm_grad(dy, x, *expected[1:], gamma, groups)
    found_gradients = gpu.group_norm_grad(there[3], there[0], *found[1:], there[1], groups)
    for e, f in zip((*expected, *gradients), (*found, *found_gradients), strict=True):
        assert f.dtype == dtype
        np.testing.assert_allclose(f.to_host(), e, rtol=1e-4, atol=2e-6 * np.abs(e).max())
