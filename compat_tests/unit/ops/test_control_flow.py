"""Branches, loops, maps and scans."""

import numpy as np
import pytest

from kerasmirror import KerasTensor, ops
from kerasmirror.autodiff.gradcheck import check_gradients

X = np.arange(12.0).reshape(4, 3)


def test_cond_runs_one_branch():
    ran = []
    y = ops.cond(ops.array(2) > 1, lambda: ran.append("yes") or 1, lambda: ran.append("no") or 2)
    assert (y, ran) == (1, ["yes"])
    assert ops.cond(False, lambda: 1, lambda: 2) == 2


def test_cond_on_a_placeholder_needs_alike_branches():
    pred, x = KerasTensor((), "bool"), KerasTensor((None, 3))
    assert ops.cond(pred, lambda: x * 2.0, lambda: x).shape == (None, 3)
    with pytest.raises(ValueError, match="one structure, shape and dtype"):
        ops.cond(pred, lambda: x, lambda: x[:, 0])


def test_switch_clamps_its_index():
    branches = [lambda x: x + 1, lambda x: x * 10]
    assert [int(ops.switch(i, branches, ops.array(2))) for i in (-5, 0, 1, 9)] == [3, 3, 20, 20]


def test_while_loop_with_one_and_with_several_variables():
    assert int(ops.while_loop(lambda i: i < 5, lambda i: i + 2, 0)) == 6
    i, total = ops.while_loop(lambda i, t: i < 5, lambda i, t: (i + 1, t + i), (0, 0))
    assert (int(i), int(total)) == (5, 10)
    i, _ = ops.while_loop(lambda *_: True, lambda i, t: [i + 1, t], [0, 0], maximum_iterations=3)
    assert int(i) == 3


def test_fori_loop():
    assert int(ops.fori_loop(1, 5, lambda i, value: value + i, 0)) == 10


def test_map_over_nested_inputs():
    y = ops.map(lambda pair: {"sum": pair[0] + pair[1]}, (X, 2 * X))["sum"]
    np.testing.assert_array_equal(y, 3 * X)
    np.testing.assert_array_equal(ops.vectorized_map(lambda row: row[0], X), X[:, 0])
    assert ops.map(lambda row: row[:2], KerasTensor((None, 3))).shape == (None, 2)


def test_scan_carries_and_stacks():
    carry, sums = ops.scan(lambda c, x: (c + x, c * 2.0), np.zeros(3), X)
    np.testing.assert_array_equal(carry, X.sum(0))
    np.testing.assert_array_equal(sums, 2 * (np.cumsum(X, 0) - X))
    carry, sums = ops.scan(lambda c, x: (c + x, c), np.zeros(3), X, reverse=True)
    np.testing.assert_array_equal(sums[0], X[1:].sum(0))
    carry, nothing = ops.scan(lambda c, _: (c + 1, None), 0, length=4)
    assert (int(carry), nothing) == (4, None)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 8])
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reverse", [False, True])
def test_associative_scan_is_a_running_combination(rng, size, axis, reverse):
    x = rng.normal(size=(size, 2) if axis == 0 else (2, size))
    y = ops.associative_scan(lambda a, b: a + b, x, reverse=reverse, axis=axis)
    expected = np.flip(np.cumsum(np.flip(x, axis), axis), axis) if reverse else np.cumsum(x, axis)
    np.testing.assert_allclose(y, expected, rtol=1e-12)


def test_associative_scan_of_matrices_keeps_the_order(rng):
    x = rng.normal(size=(5, 2, 2))
    y = ops.associative_scan(ops.matmul, x)
    expected = x[0]
    for i in range(1, 5):
        expected = expected @ x[i]
    np.testing.assert_allclose(y[4], expected, rtol=1e-10)


def test_gradients_flow_through_loops(rng):
    check_gradients(
        lambda x: ops.scan(lambda c, row: (c * row, c + row), ops.ones((3,), "float64"), x)[1],
        rng.normal(size=(4, 3)),
    )
    check_gradients(lambda x: ops.associative_scan(ops.multiply, x), rng.normal(size=(5, 2)))
    check_gradients(lambda x: ops.fori_loop(0, 3, lambda i, v: v * x, x), rng.normal(size=3))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: ops.scan(1, 0, X), TypeError, "keras.ops.scan: `f` should be a callable"),
        (lambda: ops.scan(max, 0), ValueError, "must not both be None"),
        (lambda: ops.scan(max, 0, X, unroll=0), ValueError, "`unroll` must be an positive integer"),
        (lambda: ops.scan(max, 0, X, length=3), ValueError, "`length` must be the size"),
        (lambda: ops.map(max, (X, X[1:])), ValueError, "one size along their first axis"),
    ],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
