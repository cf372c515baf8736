"""Python's operators on tensors, variables and KerasTensors."""

import operator

import numpy as np
import pytest

from kerasmirror import KerasTensor, Variable, ops
from kerasmirror.autodiff import tape
from kerasmirror.core import scopes

ARITHMETIC = (
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
)
COMPARISONS = (operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge)
LEFT = np.array([[1.5, 2.0, 0.5], [3.0, 1.0, 2.0]], "float32")
RIGHT = np.array([[2.0, 2.0, 1.5], [1.0, 0.5, 3.0]], "float32")


def tensor(array):
    return ops.convert_to_tensor(array)


@pytest.mark.parametrize("run", ARITHMETIC + COMPARISONS, ids=lambda run: run.__name__)
@pytest.mark.parametrize("kind", [tensor, Variable], ids=["tensor", "variable"])
def test_operators_give_what_numpy_gives(run, kind, tolerance):
    expected = run(LEFT, RIGHT)
    for actual in (
        run(kind(LEFT), kind(RIGHT)),
        run(kind(LEFT), RIGHT),
        run(LEFT, kind(RIGHT)),
        run(kind(LEFT), tensor(RIGHT)),
    ):
        assert isinstance(actual, type(tensor(LEFT)))
        assert actual.dtype == expected.dtype.name
        np.testing.assert_allclose(actual, expected, **tolerance("float32"))


@pytest.mark.parametrize("run", ARITHMETIC + COMPARISONS, ids=lambda run: run.__name__)
def test_python_numbers_stand_on_either_side(run, tolerance):
    x = tensor(LEFT)
    np.testing.assert_allclose(run(x, 2.0), run(LEFT, np.float32(2)), **tolerance("float32"))
    np.testing.assert_allclose(run(2, x), run(np.float32(2), LEFT), **tolerance("float32"))
    assert run(x, 2).dtype == run(2.0, x).dtype == run(LEFT, np.float32(2)).dtype.name


NODES = [run for run in ARITHMETIC + COMPARISONS if run is not operator.eq]


@pytest.mark.parametrize("run", NODES, ids=lambda run: run.__name__)
def test_operators_on_placeholders_give_shape_and_dtype(run):
    x, y = KerasTensor((None, 3)), KerasTensor((3,))
    for result in (run(x, y), run(x, 2.0), run(2.0, x), run(x, RIGHT[0]), run(RIGHT[0], x)):
        assert isinstance(result, KerasTensor)
        assert result.shape == (None, 3)
        assert result.dtype == ("bool" if run in COMPARISONS else "float32")


def test_a_placeholder_equals_itself_only():
    x, y = KerasTensor((3,)), KerasTensor((3,))
    assert x == x
    assert not x == y
    assert [x, y].index(y) == 1


def test_matmul_operator_on_both_sides():
    x = tensor(LEFT)
    np.testing.assert_allclose(x @ RIGHT.T, LEFT @ RIGHT.T, rtol=1e-6)
    np.testing.assert_allclose(LEFT @ tensor(RIGHT.T), LEFT @ RIGHT.T, rtol=1e-6)
    assert (KerasTensor((None, 3)) @ RIGHT.T).shape == (None, 2)


def test_unary_operators():
    x = tensor(LEFT - 1.5)
    np.testing.assert_array_equal(-x, 1.5 - LEFT)
    np.testing.assert_array_equal(abs(x), np.abs(LEFT - 1.5))
    np.testing.assert_array_equal(+x, LEFT - 1.5)
    np.testing.assert_array_equal(round(x), np.round(LEFT - 1.5))
    np.testing.assert_array_equal(~(x > 0), ~(LEFT - 1.5 > 0))
    np.testing.assert_array_equal(~tensor(np.int32([0, 5])), [-1, -6])


def test_logic_operators_on_booleans_and_whole_numbers():
    a, b = np.array([True, True, False]), np.array([True, False, False])
    assert (tensor(a) & b).dtype == "bool"
    np.testing.assert_array_equal(tensor(a) & b, a & b)
    np.testing.assert_array_equal(tensor(a) | tensor(b), a | b)
    np.testing.assert_array_equal(a ^ tensor(b), a ^ b)
    np.testing.assert_array_equal(tensor(np.int32([6, 3])) & 2, [2, 2])
    np.testing.assert_array_equal(tensor(np.int32([6, 3])) | 1, [7, 3])


@pytest.mark.parametrize(
    "make", [tensor, Variable, lambda a: KerasTensor(a.shape)], ids=["tensor", "variable", "symbol"]
)
def test_objects_keep_their_identity_as_hash(make):
    first, second = make(LEFT), make(LEFT)
    assert hash(first) == hash(first)
    assert {first: 1, second: 2}[first] == 1


def test_iteration_goes_over_the_first_axis():
    rows = list(tensor(LEFT))
    assert [row.shape for row in rows] == [(3,), (3,)]
    np.testing.assert_array_equal(rows[1], LEFT[1])
    first, second = Variable(LEFT)
    np.testing.assert_array_equal(second, LEFT[1])
    assert [row.shape for row in KerasTensor((2, 3))] == [(3,), (3,)]


def test_iteration_without_a_known_first_axis_raises():
    with pytest.raises(TypeError, match="iteration over a tensor without axes"):
        iter(tensor(np.float32(1)))
    with pytest.raises(TypeError, match="first axis is unknown"):
        iter(KerasTensor((None, 3)))


def test_methods_and_transpose():
    x = tensor(LEFT)
    np.testing.assert_array_equal(x.T, LEFT.T)
    assert x.reshape(3, 2).shape == x.reshape((3, 2)).shape == x.reshape([3, -1]).shape == (3, 2)
    assert KerasTensor((None, 1, 3)).squeeze(1).shape == (None, 3)
    assert KerasTensor((4, 3)).reshape(2, 6).shape == (2, 6)


def test_indexing_with_tensors():
    x = tensor(LEFT)
    np.testing.assert_array_equal(x[tensor(np.int32([1, 0]))], LEFT[[1, 0]])
    np.testing.assert_array_equal(x[x > 1.8], LEFT[LEFT > 1.8])
    np.testing.assert_array_equal(Variable(LEFT)[:, 1], LEFT[:, 1])


def test_operators_pass_unknown_objects_on():
    class Other:
        def __radd__(self, tensor):
            return "mine"

    assert tensor(LEFT) + Other() == "mine"
    assert (tensor(LEFT) == None) is False  # noqa: E711 - the operator itself is tested
    with pytest.raises(TypeError, match="unsupported operand"):
        tensor(LEFT) + "text"


def test_operators_on_variables_reach_their_gradients():
    w, b = Variable(LEFT, name="w"), Variable(RIGHT, name="b")
    with tape.GradientTape() as t:
        loss = ops.sum((2.0 * w - b) ** 2 / 4.0)
    dw, db = t.gradient(loss, [w, b])
    np.testing.assert_allclose(dw, 2 * LEFT - RIGHT, rtol=1e-6)
    np.testing.assert_allclose(db, -(2 * LEFT - RIGHT) / 2, rtol=1e-6)


def test_a_view_of_a_variable_does_not_follow_its_assignment():
    w = Variable(LEFT.copy())
    views = [
        ops.reshape(w, (3, 2)),
        ops.transpose(w),
        w[0],
        ops.convert_to_tensor(w),
        ops.stop_gradient(w),
        ops.expand_dims(w, 0),
        ops.cast(w, "float32"),
        ops.split(w, 2)[0],
    ]
    before = [view.numpy() for view in views]
    w.assign(LEFT * 0)
    for view, values in zip(views, before, strict=True):
        np.testing.assert_array_equal(view, values)


def test_broadcast_error_names_the_shapes():
    with pytest.raises(ValueError) as caught:
        tensor(LEFT) + np.ones(4, "float32")
    assert str(caught.value) == (
        "keras.ops.add: the shapes of the operands do not broadcast. Received: (2, 3) and (4,)"
    )
    with pytest.raises(ValueError, match=r"do not broadcast. Received: \(2, 3\) and \(4,\)"):
        KerasTensor((2, 3)) + KerasTensor((4,))


def test_mixed_precision_reads_variables_in_the_compute_dtype():
    w = Variable(LEFT)
    with scopes.autocast("float16"):
        assert (w * 2.0).dtype == "float16"
        assert ops.matmul(w, np.ones((3, 2), "float16")).dtype == "float16"
    assert (w * 2.0).dtype == "float32"
