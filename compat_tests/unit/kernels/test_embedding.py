import numpy as np
import pytest

from kerasmirror.kernels.cpu import embedding, movement, threads


@pytest.mark.parametrize(
    "rows, indices", [(5, [3, 0, 3, 3, -1]), (2, [1]), (3, []), (4, [[0, 1], [1, 0]])]
)
def test_scattered_rows_add_up_as_the_gradient_of_taking_them(rows, indices):
    indices = np.asarray(indices, np.int64)
    dy = np.random.default_rng(0).normal(size=(*indices.shape, 3))
    expected = np.zeros((rows, 3))
    np.add.at(expected, indices.reshape(-1), dy.reshape(-1, 3))
    y = embedding.scatter_add_rows(dy, indices, rows)
    assert y.dtype == dy.dtype
    np.testing.assert_allclose(y, expected, rtol=1e-14, atol=1e-15)
    table = np.random.default_rng(1).normal(size=(rows, 3))
    taken = movement.take_rows(table, indices)
    # <take(table), dy> = <table, scatter(dy)>
    np.testing.assert_allclose((taken * dy).sum(), (table * y).sum(), atol=1e-12)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("width", [1, 31, 64, 130])
def test_rows_are_added_in_the_order_of_their_indices(dtype, kind, width):
    rng = np.random.default_rng(width)
    indices = rng.integers(0, 9, 70).astype(kind)
    dy = rng.normal(size=(70, width)).astype(dtype)
    expected = np.zeros((9, width), dtype)
    np.add.at(expected, indices, dy)
    np.testing.assert_array_equal(embedding.scatter_add_rows(dy, indices, 9), expected)


def test_the_number_of_threads_changes_no_sum():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 50, 4000).astype("int32")
    dy = rng.normal(size=(4000, 100)).astype("float32")
    before = threads.thread_count()
    expected = embedding.scatter_add_rows(dy, indices, 50)
    try:
        threads.set_threads(1)
        np.testing.assert_array_equal(embedding.scatter_add_rows(dy, indices, 50), expected)
    finally:
        threads.set_threads(before)
