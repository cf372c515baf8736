import numpy as np
import pytest

from kerasmirror.kernels.cpu import gemm, threads

# (M, K, N): ones, fewer rows than a tile, remainders of every kind, several slices of k, several
# blocks of rows and columns, k split into slabs.
SIZES = [
    (1, 1, 1),
    (1, 300, 10),
    (2, 3, 1),
    (3, 7, 17),
    (4, 16, 16),
    (5, 257, 33),
    (33, 64, 10),
    (128, 3, 130),
    (200, 520, 40),
    (16, 4100, 24),
    (401, 9, 301),
    (1, 1025, 130),
    (1, 4100, 72),
    (7, 1, 40),
    (300, 40, 24),
    (128, 1030, 18),
    (5000, 12, 20),
]
DTYPES = [np.float32, np.float64]


def close(actual, expected, depth):
    """Equal but for the rounding of sums of `depth` products of numbers of order 1: `depth`
    roundings, each of a partial sum of order sqrt(depth), that add up like a random walk."""
    tolerance = 2 * np.finfo(actual.dtype).eps * (depth + 8)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def samples(*shapes, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m, k, n", SIZES)
def test_dense_and_its_gradients_match_numpy_in_float64(m, k, n, dtype):
    x, w, bias, dy = samples((m, k), (k, n), (n,), (m, n), dtype=dtype)
    wide = [value.astype(np.float64) for value in (x, w, bias, dy)]
    affine = wide[0] @ wide[1] + wide[2]
    close(gemm.dense(x, w, bias, "linear"), affine, k)
    close(gemm.dense(x, w, bias, "relu"), np.maximum(affine, 0), k)
    close(gemm.dense(x, w, None, "relu"), np.maximum(wide[0] @ wide[1], 0), k)
    close(gemm.dense_grad_input(dy, w), wide[3] @ wide[1].T, n)
    close(gemm.dense_grad_kernel(x, dy), wide[0].T @ wide[3], m)
    close(gemm.bias_grad(dy), wide[3].sum(0), m)
    dw, dbias = gemm.dense_grad_kernel_bias(x, dy)
    np.testing.assert_array_equal(dw, gemm.dense_grad_kernel(x, dy))
    close(dbias, wide[3].sum(0), m)


@pytest.mark.parametrize("dtype", DTYPES)
def test_products_of_whole_numbers_are_exact(dtype):
    rng = np.random.default_rng(0)
    x = rng.integers(-4, 5, (37, 515)).astype(dtype)
    w = rng.integers(-4, 5, (515, 53)).astype(dtype)
    np.testing.assert_array_equal(gemm.matmul(x, w), x @ w)


def test_sums_of_no_terms_are_the_bias():
    bias = np.array([1.0, -2.0, 3.0], np.float32)
    x, w = np.zeros((2, 0), np.float32), np.zeros((0, 3), np.float32)
    np.testing.assert_array_equal(gemm.dense(x, w, bias, "linear"), [bias, bias])
    np.testing.assert_array_equal(gemm.dense(x, w, bias, "relu"), [[1, 0, 3]] * 2)
    np.testing.assert_array_equal(gemm.matmul(x, w), np.zeros((2, 3)))


@pytest.mark.parametrize("m, k, n", [(0, 3, 4), (3, 4, 0), (0, 0, 0)])
def test_empty_products_have_their_shape(m, k, n):
    x, w, dy = samples((m, k), (k, n), (m, n), dtype=np.float32)
    assert gemm.dense(x, w, None, "linear").shape == (m, n)
    assert gemm.dense_grad_kernel(x, dy).shape == (k, n)
    np.testing.assert_array_equal(gemm.bias_grad(dy), np.zeros(n))


@pytest.mark.parametrize(
    "left, right",
    [
        ((3, 4, 5), (3, 5, 6)),
        ((3, 1, 4, 5), (2, 5, 6)),
        ((4, 5), (7, 5, 6)),
        ((2, 3, 4, 5), (5, 6)),
        ((2, 0, 4, 5), (5, 6)),
        ((2, 4, 0), (2, 0, 6)),
    ],
)
def test_matmul_broadcasts_leading_axes(left, right):
    a, b = samples(left, right, dtype=np.float32)
    close(gemm.matmul(a, b), a.astype(np.float64) @ b.astype(np.float64), left[-1])


def test_matmul_takes_transposed_and_scattered_views():
    a, b = samples((3, 9, 21), (3, 33, 9), dtype=np.float64)
    turned, also_turned = a.swapaxes(1, 2), b.swapaxes(1, 2)
    close(gemm.matmul(turned, also_turned), np.einsum("bki,bjk->bij", a, b), 9)
    close(
        gemm.matmul(turned[:, ::2], also_turned[..., ::3]),
        turned[:, ::2] @ also_turned[..., ::3],
        9,
    )
    close(gemm.matmul(a[0].T, b[0].T), a[0].T @ b[0].T, 9)
    close(
        gemm.matmul(a[0][::2], b[0].T[:21, :5].repeat(3, 0)[:21]),
        a[0][::2] @ b[0].T.repeat(3, 0)[:21, :5],
        21,
    )


def test_a_bias_gradient_sums_all_leading_axes():
    (dy,) = samples((3, 5, 7, 11), dtype=np.float64)
    close(gemm.bias_grad(dy), dy.sum((0, 1, 2)), 105)
    (large,) = samples((70_001, 5), dtype=np.float32)
    close(gemm.bias_grad(large), large.sum(0, dtype=np.float64), 70_001)


@pytest.mark.skipif(threads.most() < 2, reason="this machine has one core")
def test_results_do_not_depend_on_the_number_of_threads():
    x, w, bias, dy = samples((130, 4100), (4100, 40), (40,), (130, 40), dtype=np.float32)

    def run(count):
        threads.set_threads(count)
        yield gemm.dense(x, w, bias, "relu")
        yield gemm.dense_grad_input(dy, w)
        yield gemm.dense_grad_kernel(x, dy)
        yield from gemm.dense_grad_kernel_bias(x, dy)
        yield gemm.dense(x[:1], w, bias, "relu")
        yield gemm.bias_grad(x)
        yield gemm.matmul(x.reshape(10, 13, -1), w)

    before = threads.thread_count()
    try:
        for one, two in zip(list(run(1)), list(run(2)), strict=True):
            np.testing.assert_array_equal(one, two)
    finally:
        threads.set_threads(before)


def test_not_a_number_stays_in_its_row():
    x, w = samples((6, 20), (20, 18), dtype=np.float32)
    x[2, 3] = np.nan
    y = gemm.dense(x, w, None, "relu")
    assert np.isnan(y[2]).all() and not np.isnan(np.delete(y, 2, 0)).any()
