import numpy as np
import pytest

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("index", ["int32", "int64", "uint8"])
def test_rows_are_added_in_the_order_of_their_indices(same, threads, dtype, index):
    dy = RNG.normal(size=(40, 5)).astype(dtype)
    places = RNG.integers(0, 7, (8, 5)).astype(index)
    same("scatter_add_rows", dy, places, 9, exact=True)


def test_negative_indices_count_from_the_end(same):
    dy = RNG.normal(size=(3, 4)).astype("float32")
    same("scatter_add_rows", dy, np.array([-1, 2, -1]), 3, exact=True)
    same("scatter_add_rows", dy[:0], np.zeros(0, "int32"), 3, exact=True)


def test_places_repeated_and_summed(same):
    x = RNG.normal(size=(2, 6, 3)).astype("float32")
    for axis in range(3):
        same("repeat_places", x, axis, 3, exact=True)
    same("repeat_places_grad_input", x, 1, 3, exact=True)
    same("repeat_places_grad_input", x, 2, 3, exact=True)
    same("repeat_places_grad_input", x.astype("float16"), 1, 2, rtol=1e-3)
