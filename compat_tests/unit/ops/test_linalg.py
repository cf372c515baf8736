"""Decompositions and solutions: what defines them, their gradients, and Keras's results."""

import warnings

import numpy as np
import pytest

from kerasmirror import KerasTensor, ops
from kerasmirror.autodiff.gradcheck import check_gradients


def definite(x):
    """A symmetric positive definite matrix that depends on all of x."""
    return ops.matmul(x, ops.swapaxes(x, -1, -2)) + 2 * np.eye(x.shape[-2])


@pytest.fixture
def square(rng):
    return rng.normal(size=(2, 3, 3)) + 2 * np.eye(3)


@pytest.fixture
def tall(rng):
    return rng.normal(size=(2, 5, 3))


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-10)


def test_determinants_and_inverses_match_numpy(square):
    close(ops.det(square), np.linalg.det(square))
    close(ops.inv(square), np.linalg.inv(square))
    for actual, expected in zip(ops.slogdet(square), np.linalg.slogdet(square), strict=True):
        close(actual, expected)
    positive = definite(ops.array(square)).numpy()
    close(ops.logdet(positive), np.log(np.linalg.det(positive)))


def test_factors_multiply_to_the_matrix(square, tall):
    positive = definite(ops.array(square)).numpy()
    low, up = ops.cholesky(positive), ops.cholesky(positive, upper=True)
    close(low @ ops.swapaxes(low, -1, -2), positive)
    close(ops.swapaxes(up, -1, -2) @ up, positive)
    close(ops.cholesky_inverse(low), np.linalg.inv(positive))
    close(ops.cholesky_inverse(up, upper=True), np.linalg.inv(positive))
    for mode, size in (("reduced", 3), ("complete", 5)):
        q, r = ops.qr(tall, mode)
        assert q.shape == (2, 5, size) and r.shape == (2, size, 3)
        close(q @ r, tall)
    u, s, vh = ops.svd(tall, full_matrices=False)
    close((u * ops.expand_dims(s, -2)) @ vh, tall)
    assert [part.shape for part in ops.svd(tall)] == [(2, 5, 5), (2, 3), (2, 3, 3)]
    close(ops.svd(tall, compute_uv=False), s)
    w, v = ops.eigh(positive)
    close((v * ops.expand_dims(w, -2)) @ ops.swapaxes(v, -1, -2), positive)
    w, v = (part.numpy() for part in ops.eig(square))
    assert w.dtype == np.complex128
    close(square @ v, v * w[:, None, :])


def test_lu_factor_gives_the_rows_back(square):
    lu, places = ops.lu_factor(square)
    lower = np.tril(lu.numpy(), -1) + np.eye(3)
    product = lower @ np.triu(lu.numpy())
    close(np.take_along_axis(product, places.numpy()[..., None], 1), square)


def test_solutions_solve_their_equations(square, tall, rng):
    b, vector = rng.normal(size=(2, 3, 4)), rng.normal(size=(2, 3))
    close(square @ ops.solve(square, b).numpy(), b)
    close((square @ ops.solve(square, vector).numpy()[..., None])[..., 0], vector)
    close(np.tril(square) @ ops.solve_triangular(square, b, lower=True).numpy(), b)
    close(np.triu(square) @ ops.solve_triangular(square, b).numpy(), b)
    close(ops.pinv(tall), np.linalg.pinv(tall))
    y = rng.normal(size=5)
    close(ops.lstsq(tall[0], y), np.linalg.lstsq(tall[0], y, rcond=None)[0])
    np.testing.assert_array_equal(ops.matrix_rank(tall), [3, 3])
    assert int(ops.matrix_rank(np.ones((3, 3)))) == 1


GRADIENTS = {
    "det": ops.det,
    "slogdet": lambda x: ops.slogdet(x)[1],
    "logdet": lambda x: ops.logdet(definite(x)),
    "inv": ops.inv,
    "cholesky": lambda x: ops.cholesky(definite(x)),
    "cholesky-upper": lambda x: ops.cholesky(definite(x), upper=True),
    "eigh-values": lambda x: ops.eigh(definite(x))[0],
    "eigh-vectors": lambda x: ops.square(ops.eigh(definite(x))[1]),
    "pinv": ops.pinv,
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_on_square_matrices(name, square):
    check_gradients(GRADIENTS[name], square, rtol=1e-5)


@pytest.mark.parametrize("part", [0, 1])
def test_gradients_of_qr(part, square, tall):
    check_gradients(lambda x: ops.qr(x)[part], tall, rtol=1e-5)
    check_gradients(lambda x: ops.qr(x)[part], square, rtol=1e-5)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_gradients_of_svd(part, square, tall):
    # Squares and products, as the signs of the vectors are free.
    def function(x):
        u, s, vh = ops.svd(x, full_matrices=False)
        return (ops.square(u), s, ops.square(vh))[part]

    for x in (square, tall, np.swapaxes(tall, -1, -2).copy()):
        check_gradients(function, x, rtol=1e-5)


def test_gradients_of_solutions(square, tall, rng):
    b = rng.normal(size=(2, 3, 4))
    check_gradients(ops.solve, square, b, rtol=1e-5)
    check_gradients(ops.solve, square, b[..., 0].copy(), rtol=1e-5)
    check_gradients(lambda a, b: ops.solve_triangular(a, b, lower=True), square, b, rtol=1e-5)
    check_gradients(ops.solve_triangular, square, b, rtol=1e-5)
    check_gradients(ops.lstsq, tall[0].copy(), rng.normal(size=5), rtol=1e-5)


def test_placeholders_give_shapes():
    x = KerasTensor((None, 4, 4))
    assert ops.inv(x).shape == ops.cholesky(x).shape == (None, 4, 4)
    assert ops.det(x).shape == (None,)
    assert [p.shape for p in ops.eigh(x)] == [(None, 4), (None, 4, 4)]
    assert [p.shape for p in ops.qr(KerasTensor((None, 5, 3)))] == [(None, 5, 3), (None, 3, 3)]
    assert ops.solve(x, KerasTensor((None, 4, 2))).shape == (None, 4, 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ops.inv(np.ones((2, 3))), "`x` must hold square matrices"),
        (lambda: ops.det(np.ones(3)), "Input should have rank >= 2"),
        (lambda: ops.inv(np.zeros((2, 2))), "the decomposition failed"),
        (lambda: ops.cholesky(-np.eye(2)), "the decomposition failed"),
        (lambda: ops.qr(np.eye(2), "raw"), r"Expected one of \{'reduced', 'complete'\}"),
        (lambda: ops.solve(np.eye(2), np.ones((3, 1))), "`b` must have the rows of `a`"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.keras
@pytest.mark.parametrize(
    "call",
    [
        lambda ops, x: ops.det(x),
        lambda ops, x: ops.inv(x),
        lambda ops, x: ops.slogdet(x)[1],
        lambda ops, x: ops.solve(x, x[..., :2]),
        lambda ops, x: ops.solve_triangular(x, x[..., :2]),
        lambda ops, x: ops.cholesky(ops.matmul(x, ops.transpose(x, (0, 2, 1)))),
        lambda ops, x: ops.svd(x)[1],
        lambda ops, x: ops.qr(x)[0] ** 2,
        lambda ops, x: ops.eigh(ops.matmul(x, ops.transpose(x, (0, 2, 1))))[0],
        lambda ops, x: ops.pinv(x),
        lambda ops, x: ops.lu_factor(x[0])[0],
        lambda ops, x: ops.lu_factor(x[0])[1],
        lambda ops, x: ops.matrix_rank(x),
    ],
)
def test_results_match_keras(call, square):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    expected = np.asarray(call(keras.ops, keras.ops.convert_to_tensor(square)))
    actual = call(ops, ops.convert_to_tensor(square))
    assert actual.dtype == expected.dtype.name
    close(actual, expected)
