import importlib

import numpy as np
import pytest

# By name: in the flat namespace `softmax` is the function.
kernels = importlib.import_module("kerasmirror.kernels.cpu.softmax")

# 1 to 17 cover every remainder of the eight and four partial sums.
WIDTHS = [1, 2, 3, 4, 5, 7, 8, 9, 12, 15, 16, 17, 100, 1000]


def arrays(shape, dtype="float64"):
    rng = np.random.default_rng(5)
    x, dy = rng.normal(size=(2, *shape))
    labels = rng.integers(0, shape[-1], shape[:-1])
    targets = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
    return (x * 4).astype(dtype), dy.astype(dtype), labels, targets.astype(dtype)


def probabilities(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def log_probabilities(x):
    z = x - x.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def slope(f, x, direction, h=1e-5):
    return (f(x + h * direction) - f(x - h * direction)) / (2 * h)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 3e-6), ("float64", 1e-13)])
def test_softmax_and_its_logarithm_match_float64(width, dtype, tolerance):
    x = arrays((6, width), dtype)[0]
    wide = x.astype(np.float64)
    y = kernels.softmax(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, probabilities(wide), rtol=tolerance)
    y = kernels.log_softmax(x)
    assert y.dtype == dtype
    np.testing.assert_allclose(y, log_probabilities(wide), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("place", range(17))
def test_the_largest_value_is_found_in_every_place(place):
    # e^300 overflows float32: the row is finite only if 300 itself was taken out.
    x = np.zeros((1, 17), np.float32)
    x[0, place] = 300
    assert np.array_equal(kernels.softmax(x)[0], np.eye(17)[place])


@pytest.mark.parametrize("width", WIDTHS)
def test_gradients_match_finite_differences(width):
    x, dy, _, _ = arrays((6, width))
    direction = np.random.default_rng(6).normal(size=x.shape)
    for forward, backward, oracle in (
        (kernels.softmax, kernels.softmax_grad, probabilities),
        (kernels.log_softmax, kernels.log_softmax_grad, log_probabilities),
    ):
        dx = backward(dy, forward(x))
        expected = (dy * slope(oracle, x, direction)).sum()
        np.testing.assert_allclose((dx * direction).sum(), expected, rtol=1e-7, atol=1e-8)
        single = backward(dy.astype("f4"), forward(x.astype("f4")))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, dx, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dtype, tolerance", [("float32", 5e-6), ("float64", 1e-13)])
def test_cross_entropies_match_float64(width, dtype, tolerance):
    x, _, labels, targets = arrays((6, width), dtype)
    logs = log_probabilities(x.astype(np.float64))
    loss, p = kernels.sparse_cross_entropy_from_logits(x, labels)
    assert loss.dtype == p.dtype == dtype and loss.shape == (6,)
    np.testing.assert_allclose(loss, -logs[range(6), labels], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(p, np.exp(logs), rtol=tolerance)
    loss, p = kernels.cross_entropy_from_logits(x, targets)
    assert loss.dtype == p.dtype == dtype and loss.shape == (6,)
    np.testing.assert_allclose(loss, -(targets * logs).sum(-1), rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(p, np.exp(logs), rtol=tolerance)


@pytest.mark.parametrize("width", WIDTHS)
def test_cross_entropy_gradients_match_finite_differences(width):
    x, _, labels, targets = arrays((6, width))
    dloss = np.linspace(-1, 2, 6)
    direction = np.random.default_rng(6).normal(size=x.shape)
    _, p = kernels.sparse_cross_entropy_from_logits(x, labels)
    dx = kernels.sparse_cross_entropy_from_logits_grad(dloss, p, labels)
    expected = slope(
        lambda v: (dloss * -log_probabilities(v)[range(6), labels]).sum(), x, direction
    )
    np.testing.assert_allclose((dx * direction).sum(), expected, rtol=1e-7, atol=1e-8)
    dx = kernels.cross_entropy_from_logits_grad(dloss, p, targets)
    expected = slope(
        lambda v: (dloss * -(targets * log_probabilities(v)).sum(-1)).sum(), x, direction
    )
    np.testing.assert_allclose((dx * direction).sum(), expected, rtol=1e-7, atol=1e-8)


def test_one_loss_gradient_serves_all_rows():
    x, _, labels, targets = arrays((2, 3, 5))
    _, p = kernels.sparse_cross_entropy_from_logits(x, labels)
    dx = kernels.sparse_cross_entropy_from_logits_grad(0.5, p, labels)
    np.testing.assert_allclose(dx, 0.5 * (p - np.eye(5)[labels]), rtol=1e-12)
    dx = kernels.cross_entropy_from_logits_grad(0.5, p, targets)
    np.testing.assert_allclose(dx, 0.5 * (p - targets), rtol=1e-12)


def test_labels_out_of_range_give_nan_in_their_rows_alone():
    x, _, _, _ = arrays((4, 5))
    labels = np.array([0, -1, 5, 4])
    loss, p = kernels.sparse_cross_entropy_from_logits(x, labels)
    dx = kernels.sparse_cross_entropy_from_logits_grad(np.ones(4), p, labels)
    assert np.isnan(loss).tolist() == [False, True, True, False]
    assert np.isnan(dx).all(1).tolist() == np.isnan(dx).any(1).tolist() == np.isnan(loss).tolist()


@pytest.mark.parametrize("place", [0, 3, 8, 16])
def test_nan_spoils_its_row_alone(place):
    x = np.ones((2, 17), np.float32)
    x[0, place] = np.nan
    for y in (kernels.softmax(x), kernels.log_softmax(x)):
        assert np.isnan(y[0]).all() and np.isfinite(y[1]).all()


def test_impossible_classes_count_nothing_without_a_target():
    x = np.array([[0.0, -np.inf, 0.0]])
    assert np.array_equal(kernels.softmax(x), [[0.5, 0, 0.5]])
    loss, _ = kernels.cross_entropy_from_logits(x, np.array([[1.0, 0, 0]]))
    np.testing.assert_allclose(loss, np.log(2))
    loss, _ = kernels.cross_entropy_from_logits(x, np.array([[0.0, 1, 0]]))
    assert loss == np.inf


def test_views_other_label_types_and_nothing_at_all():
    x, dy, _, targets = arrays((9, 14))
    v, dv, t = x.T[::2], dy.T[::2], targets.T[::2]
    labels = np.arange(7, dtype=np.int32)
    for view, copy in (
        (kernels.softmax(v), kernels.softmax(v.copy())),
        (kernels.log_softmax(v), kernels.log_softmax(v.copy())),
        (kernels.softmax_grad(dv, v), kernels.softmax_grad(dv.copy(), v.copy())),
        (kernels.log_softmax_grad(dv, v), kernels.log_softmax_grad(dv.copy(), v.copy())),
        (kernels.cross_entropy_from_logits(v, t)[0],
         kernels.cross_entropy_from_logits(v.copy(), t.copy())[0]),
        (kernels.cross_entropy_from_logits_grad(1.0, v, t),
         kernels.cross_entropy_from_logits_grad(1.0, v.copy(), t.copy())),
        (kernels.sparse_cross_entropy_from_logits(v, labels)[0],
         kernels.sparse_cross_entropy_from_logits(v.copy(), labels.astype(np.int64))[0]),
        (kernels.sparse_cross_entropy_from_logits_grad(1.0, v, labels.astype(np.uint8)),
         kernels.sparse_cross_entropy_from_logits_grad(1.0, v.copy(), labels)),
    ):  # fmt: skip
        assert np.array_equal(view, copy)
    for shape in ((0, 5), (3, 0)):
        assert kernels.softmax(np.zeros(shape)).shape == shape
    loss, p = kernels.sparse_cross_entropy_from_logits(np.zeros((0, 5)), np.zeros(0, int))
    assert loss.shape == (0,) and p.shape == (0, 5)


def test_nothing_depends_on_the_number_of_threads(same_on_any_threads):
    x, dy, labels, targets = arrays((5003, 37), "float32")
    p, logs = kernels.softmax(x), kernels.log_softmax(x)
    for run in (
        lambda: kernels.softmax(x), lambda: kernels.softmax_grad(dy, p),
        lambda: kernels.log_softmax(x), lambda: kernels.log_softmax_grad(dy, logs),
        lambda: kernels.sparse_cross_entropy_from_logits(x, labels),
        lambda: kernels.sparse_cross_entropy_from_logits_grad(1.0, p, labels),
        lambda: kernels.cross_entropy_from_logits(x, targets),
        lambda: kernels.cross_entropy_from_logits_grad(1.0, p, targets),
    ):  # fmt: skip
        same_on_any_threads(run)


@pytest.mark.keras
def test_losses_and_gradients_are_tensorflow_s():
    tf = pytest.importorskip("tensorflow")
    x, _, labels, targets = arrays((8, 21), "float32")
    targets = targets * np.float32(0.7)  # rows that do not add up to 1
    v = tf.constant(x)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(v)
        sparse = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, v)
        dense = tf.nn.softmax_cross_entropy_with_logits(targets, v)
    loss, p = kernels.sparse_cross_entropy_from_logits(x, labels)
    np.testing.assert_allclose(loss, sparse, rtol=2e-6, atol=2e-6)
    dx = kernels.sparse_cross_entropy_from_logits_grad(1.0, p, labels)
    np.testing.assert_allclose(dx, tape.gradient(sparse, v), rtol=1e-5, atol=1e-6)
    loss, p = kernels.cross_entropy_from_logits(x, targets)
    np.testing.assert_allclose(loss, dense, rtol=2e-6, atol=2e-6)
    dx = kernels.cross_entropy_from_logits_grad(1.0, p, targets)
    np.testing.assert_allclose(dx, tape.gradient(dense, v), rtol=1e-5, atol=1e-6)
