import numpy as np
import pytest

RNG = np.random.default_rng(0)
SPECIAL = np.array([[3, np.nan, -0.0, 0.0, -np.inf, 3, np.inf, np.nan, -1.5, 0.0]], "float32")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "int64", "uint8"])
def test_sort_and_argsort(same, dtype):
    x = RNG.integers(0, 9, (3, 13)).astype(dtype)
    same("sort", x, exact=True)
    same("argsort", x, exact=True)


def test_orders_keep_equal_values_and_what_is_not_a_number(same, threads):
    for dtype in ("float32", "float64"):
        same("sort", SPECIAL.astype(dtype), exact=True)
        same("argsort", SPECIAL.astype(dtype), exact=True)
    same("argsort", SPECIAL > 0, exact=True)
    same("sort", np.array([5, -7, 0, -(2**31), 2**31 - 1], "int32"), exact=True)


@pytest.mark.parametrize("n", [1, 2, 1025])
def test_sizes_of_rows(same, n):
    same("argsort", RNG.integers(0, 50, (2, n)).astype("float32"), exact=True)


def test_long_rows(same):
    same("argsort", RNG.integers(0, 300, (4100,)).astype("int32"), exact=True)


@pytest.mark.parametrize("k", [1, 4, 10])
def test_top_k(same, k):
    same("top_k", SPECIAL, k, exact=True)
    same("top_k", RNG.integers(0, 5, (4, 11)).astype("int32"), k, exact=True)


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(same, side):
    edges = np.array([-1, 0, 0, 2, np.nan], "float32")
    values = np.array([[-2, 0, 2, 3], [np.nan, 1, -1, 0.5]], "float32")
    same("searchsorted", edges, values, side, exact=True)
    same("searchsorted", np.arange(4), np.array([0, 9], "int32"), side, exact=True)
