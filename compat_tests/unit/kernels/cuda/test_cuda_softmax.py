import numpy as np
import pytest

# Fewer classes than lanes, a warp's and a block's worth, more than a block has lanes.
SHAPES = [(37, 10), (3, 40), (2, 3, 1030), (5, 1), (0, 4)]


def _normal(shape, dtype, seed=0):
    return (np.random.default_rng(seed).normal(size=shape) * 4).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_and_its_logarithm(same, cpu, dtype, shape):
    x, dy = _normal(shape, dtype), _normal(shape, dtype, 1)
    same("softmax", x)
    same("log_softmax", x)
    same("softmax_grad", dy, cpu.softmax(x))
    same("log_softmax_grad", dy, cpu.log_softmax(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES)
def test_cross_entropies(same, cpu, dtype, shape):
    rng = np.random.default_rng(3)
    logits, dloss = _normal(shape, dtype), _normal(shape[:-1], dtype, 1)
    labels = rng.integers(0, shape[-1], shape[:-1])
    targets = np.eye(shape[-1], dtype=dtype)[labels] * dtype_factor(rng, shape, dtype)
    p = cpu.softmax(logits)
    same("sparse_cross_entropy_from_logits", logits, labels)
    same("sparse_cross_entropy_from_logits_grad", dloss, p, labels.astype("int32"))
    same("cross_entropy_from_logits", logits, targets)
    same("cross_entropy_from_logits_grad", dloss, p, targets)


def dtype_factor(rng, shape, dtype):
    return rng.uniform(0, 1, (*shape[:-1], 1)).astype(dtype)


@pytest.mark.parametrize("shape", [(3, 20), (2, 1030)])
def test_rows_need_their_barriers(same, threads, shape):
    x = _normal(shape, "float32")
    same("softmax", x)
    same("cross_entropy_from_logits", x, np.abs(x))


def test_labels_out_of_range_make_the_loss_nan(same, cpu):
    logits = _normal((5, 3), "float32")
    labels = np.array([0, -1, 3, 2, 2**40])
    same("sparse_cross_entropy_from_logits", logits, labels)
    dloss = np.ones(5, "float32")
    same("sparse_cross_entropy_from_logits_grad", dloss, cpu.softmax(logits), labels)
    same("sparse_cross_entropy_from_logits", logits, np.array([0, 1, 2, 0, 255], "uint8"))


def test_one_gradient_for_all_rows(same, cpu):
    p = cpu.softmax(_normal((4, 3), "float32"))
    labels = np.array([0, 1, 2, 1])
    for dloss in (np.array(0.5, "float32"), np.array([0.25], "float32")):
        same("sparse_cross_entropy_from_logits_grad", dloss, p, labels)
        same("cross_entropy_from_logits_grad", dloss, p, p)


def test_infinite_logits_without_a_target_cost_nothing(same):
    logits = np.array([[0, -np.inf, 1], [np.inf, 0, 0], [np.nan, 0, 0]], "float32")
    targets = np.array([[0.5, 0, 0.5], [1, 0, 0], [1, 0, 0]], "float32")
    same("cross_entropy_from_logits", logits, targets)
