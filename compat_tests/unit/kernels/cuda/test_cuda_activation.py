import numpy as np
import pytest


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (0,), (3, 5), (300,)])
def test_relu_and_its_gradient(same, dtype, shape):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, *shape)).astype(dtype)
    same("relu", np.asarray(x), exact=True)
    same("relu_grad", np.asarray(dy), np.asarray(x), exact=True)


def test_relu_keeps_what_is_not_a_number(same):
    same("relu", np.array([np.nan, -np.inf, np.inf, -0.0], "float32"), exact=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(0, 3), (7, 5), (300, 3), (2, 150, 33), (1500, 1)])
def test_relu_gradient_behind_dropout_with_its_sums(same, threads, dtype, shape):
    dy, y = np.random.default_rng(0).normal(size=(2, *shape)).astype(dtype)
    same("relu_grad_sums", dy, y, 1.25, rtol=1e-6 if dtype == "float32" else 1e-14)
