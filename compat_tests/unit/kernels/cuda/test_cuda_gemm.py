import numpy as np
import pytest


def values(*shape, dtype="float32", seed=0):
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(dtype)


SHAPES = [(1, 1, 1), (3, 5, 7), (33, 20, 36), (40, 17, 70), (64, 32, 64)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m, k, n", SHAPES)
def test_products_of_all_layouts(same, threads, m, k, n, dtype):
    x, w, dy = values(m, k, dtype=dtype), values(k, n, dtype=dtype), values(m, n, dtype=dtype)
    same("matmul", x, w)
    same("dense_grad_input", dy, w)
    same("dense_grad_kernel", x, dy)


@pytest.mark.parametrize("activation", ["linear", "relu"])
@pytest.mark.parametrize("m, k, n", [*SHAPES, (4, 0, 5), (0, 3, 4)])
def test_dense_and_its_gradients(same, m, k, n, activation):
    x, w, dy = values(m, k), values(k, n), values(m, n)
    same("dense", x, w, values(n), activation)
    same("dense", x, w, None, activation)
    same("dense_grad_kernel_bias", x, dy)


@pytest.mark.parametrize(
    "a, b",
    [
        [(3, 4, 5), (3, 5, 6)],
        [(3, 4, 5), (5, 6)],
        [(4, 5), (3, 5, 6)],
        [(2, 1, 4, 5), (3, 5, 6)],
        [(2, 1, 3, 4, 5), (4, 1, 5, 6)],
        [(1, 1, 4, 5), (1, 5, 2)],
        [(0, 4, 5), (5, 6)],
        [(2, 4, 0), (2, 0, 3)],
    ],
)
def test_products_of_stacks_broadcast(same, a, b):
    same("matmul", values(*a), values(*b))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (700, 5), (90, 70), (2, 3, 4, 33), (0, 4)])
def test_bias_gradient(same, threads, shape, dtype):
    same("bias_grad", values(*shape, dtype=dtype))
