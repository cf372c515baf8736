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


# Tiles, by their edge and whether they are for aligned operands, and sizes that end inside them.
WAYS = {
    "128 aligned": (128, True, (132, 20, 20)),
    "64 aligned": (64, True, (36, 20, 68)),
    "64": (64, False, (66, 19, 35)),
    "32": (32, False, (33, 35, 31)),
}


def tile_kernels(edge, aligned):
    from kerasmirror.kernels.cuda.gemm_kernels import TILE_KERNELS

    return {layout: TILE_KERNELS["f4", edge, aligned, layout] for layout in ("nn", "tn", "nt")}


@pytest.fixture
def planned(monkeypatch):
    """planned(kernels by layout, edge, slabs): products are made so."""

    def plan(kernels, edge, slabs):
        def plan_of(code, m, n, k, batch, layout, *others):
            length = -(-k // slabs // 16) * 16
            return kernels[layout], -(-m // edge) * -(-n // edge), -(-k // length), length

        monkeypatch.setattr("kerasmirror.kernels.cuda.gemm.plan_of", plan_of)

    return plan


@pytest.mark.parametrize("slabs", [1, 2])
@pytest.mark.parametrize("way", WAYS)
def test_every_tile_makes_every_layout(same, threads, planned, way, slabs):
    edge, aligned, (m, k, n) = WAYS[way]
    planned(tile_kernels(edge, aligned), edge, slabs)
    x, w, dy = values(m, k), values(k, n), values(m, n)
    same("dense", x, w, values(n), "relu")
    same("dense_grad_input", dy, w)
    same("dense_grad_kernel", x, dy)


def test_what_is_left_of_a_step_is_not_multiplied(gpu, planned):
    # Beyond k lies what is not a number: of the next matrix, or of nothing.
    x, w = values(2, 4, 20), values(2, 20, 8)
    x[1], w[1] = np.nan, np.nan
    for edge in (128, 64):
        planned(tile_kernels(edge, True), edge, 1)
        y = gpu.matmul(gpu.to_device(x), gpu.to_device(w)).to_host()
        np.testing.assert_allclose(y[0], x[0] @ w[0], rtol=1e-5, atol=1e-5)


def in_tf32(x):
    """X to the nearest of 10 bits after the point."""
    return ((x.view(np.int32) + 4096) & -8192).view(np.float32)


@pytest.mark.parametrize("slabs", [1, 2])
def test_tensor_cores_multiply_factors_of_ten_bits(gpu, threads, planned, slabs):
    from kerasmirror.kernels.cuda.gemm_tensor_core import TENSOR_CORE_KERNELS

    planned(TENSOR_CORE_KERNELS, 128, slabs)
    m, k, n = 36, 20, 132
    x, w, dy, b = values(m, k), values(k, n), values(m, n), values(n)
    rounded = [in_tf32(value).astype("float64") for value in (x, w, dy)]
    moved = [gpu.to_device(value) for value in (x, w, dy, b)]
    cases = [
        (
            np.maximum(rounded[0] @ rounded[1] + b, 0),
            gpu.dense(moved[0], moved[1], moved[3], "relu"),
        ),
        (rounded[2] @ rounded[1].T, gpu.dense_grad_input(moved[2], moved[1])),
        (rounded[0].T @ rounded[2], gpu.dense_grad_kernel(moved[0], moved[2])),
    ]
    for expected, found in cases:
        np.testing.assert_allclose(found.to_host(), expected, rtol=1e-5, atol=1e-5)


def test_tensor_cores_are_used_when_set(gpu):
    from kerasmirror.kernels.cuda import gemm_plan

    def kernel_name(tensor_cores, m=1024, aligned=True):
        return gemm_plan.plan_of("f4", m, m, m, 1, "nn", aligned, tensor_cores, 132)[0].name

    assert kernel_name(True) == "_gemm_128_nn_tf32"
    assert kernel_name(False) == "_gemm_128_nn"
    assert kernel_name(True, aligned=False) == kernel_name(True, 1023) == "_gemm_64_nn_any"


def test_tensor_cores_are_refused_where_there_are_none(gpu, monkeypatch):
    from kerasmirror.kernels.cuda import device

    monkeypatch.setattr(device.current(), "capability", (7, 5))
    with pytest.raises(ValueError) as error:
        gpu.set_tensor_cores(True)
    assert str(error.value) == (
        "set_tensor_cores: `enabled` must be False on a GPU of compute capability below 8.0. "
        "Received: enabled=True, on emulated on the CPU (7.5)"
    )


def test_setting_tensor_cores_reaches_products(gpu, monkeypatch):
    from kerasmirror.kernels.cuda import gemm

    asked = []
    plan_of = gemm.plan_of
    monkeypatch.setattr(gemm, "plan_of", lambda *args: asked.append(args[7]) or plan_of(*args))
    monkeypatch.setattr(gemm, "_tensor_cores", False)
    x = gpu.to_device(values(4, 4))
    for enabled in (False, True, False):
        gpu.set_tensor_cores(enabled)
        gpu.matmul(x, x)
    assert asked == [False, True, False]


def test_operands_anywhere_in_memory(gpu):
    x, w = values(6, 8), values(9, 8)
    y = gpu.dense(gpu.to_device(x).view_at(4, (5, 8)), gpu.to_device(w).view_at(3, (8, 8)))
    expected = x.ravel()[4:44].reshape(5, 8) @ w.ravel()[3:67].reshape(8, 8)
    np.testing.assert_allclose(y.to_host(), expected, rtol=1e-5, atol=1e-5)


def test_types_without_a_kernel_are_refused(gpu):
    x = gpu.to_device(np.ones((2, 2), "int32"))
    with pytest.raises(NotImplementedError, match="matmul has no CUDA kernel for arrays of int32"):
        gpu.matmul(x, x)
