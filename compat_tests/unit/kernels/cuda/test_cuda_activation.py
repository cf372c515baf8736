import numpy as np
import pytest


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (3, 5), (300,)])
def test_relu_and_its_gradient(same, dtype, shape):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    same("relu", np.asarray(x), exact=True)
    same("relu_grad", np.asarray(dy), np.asarray(x), exact=True)


def test_relu_keeps_what_is_not_a_number(same):
    same("relu", np.array([np.nan, -np.inf, np.inf, -0.0], "float32"), exact=True)
