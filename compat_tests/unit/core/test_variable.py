"""Variable: values, names, assignment in place, what is refused."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.core.variable import Variable, all_or_nothing


def make(**options):
    return Variable(np.arange(6.0, dtype="float32").reshape(2, 3), name="v", **options)


def test_a_variable_knows_its_shape_dtype_name_and_path():
    with keras.name_scope("outer"), keras.name_scope("inner"):
        variable = make(trainable=False)
    assert (variable.shape, variable.ndim, variable.dtype) == ((2, 3), 2, "float32")
    assert (variable.name, variable.path) == ("v", "outer/inner/v")
    assert variable.trainable is False


@pytest.mark.keras
@pytest.mark.parametrize(
    "value",
    [1, 1.5, True, [1, 2], [1.0, 2], np.ones(2), np.ones(2, "int64"), np.ones(2, "float16")],
    ids=repr,
)
def test_a_value_without_a_dtype_gets_keras_s(value):
    real = pytest.importorskip("keras")
    assert Variable(value).dtype == real.Variable(value).dtype
    assert Variable(value, dtype="float64").dtype == "float64"


def test_initializers_may_be_names_functions_and_objects():
    np.testing.assert_array_equal(Variable("ones", shape=(2,)).numpy(), [1, 1])
    made = Variable(lambda shape, dtype: np.full(shape, 7, dtype), shape=(2,), dtype="int32")
    np.testing.assert_array_equal(made.numpy(), [7, 7])
    made = Variable(keras.initializers.Constant(3.0), shape=(1, 2))
    np.testing.assert_array_equal(made.numpy(), [[3.0, 3.0]])


def test_the_variable_does_not_share_its_first_values():
    values = np.zeros(3, "float32")
    variable = Variable(values)
    values[:] = 5
    copied = variable.numpy()
    copied[:] = 9
    np.testing.assert_array_equal(variable.numpy(), [0, 0, 0])


def test_assignment_writes_in_place_and_casts():
    variable = make()
    view = variable.data
    assert np.asarray(variable.assign(np.ones((2, 3), "float64"))).tolist() == [[1, 1, 1]] * 2
    variable.assign_add(2.0)
    variable.assign_sub(np.full((2, 3), 0.5))
    assert variable.data is view and variable.dtype == "float32"
    np.testing.assert_array_equal(view, np.full((2, 3), 2.5))


def test_move_to_keeps_the_values_in_another_buffer():
    variable, buffer = make(), np.zeros((2, 3), "float32")
    before = variable.numpy()
    variable.move_to(buffer)
    assert variable.data is buffer
    np.testing.assert_array_equal(buffer, before)


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (
            lambda v: v.assign(np.ones((3, 2))),
            ValueError,
            "keras.Variable.assign: The shape of the target variable and the shape of the target "
            "value must match. Received: value.shape=(3, 2) for variable 'v' of shape (2, 3)",
        ),
        (
            lambda v: v.assign("a"),
            TypeError,
            "keras.Variable.assign: `value` must hold numbers that float32 can take. "
            "Received: value='a' for variable 'v'",
        ),
        (
            lambda v: v.assign(None),
            ValueError,
            "keras.Variable.assign: `value` must be an array. Received: value=None for "
            "variable 'v'",
        ),
        (
            bool,
            TypeError,
            "A Keras Variable cannot be used as a boolean. Compare its value, for example "
            "`variable.numpy() > 0`. Received: 'v' of shape (2, 3)",
        ),
        (
            float,
            TypeError,
            "keras.Variable: Only scalar arrays can be converted to Python scalars. "
            "Received: 'v' of shape (2, 3)",
        ),
        (
            lambda v: setattr(v, "regularizer", "l2"),
            ValueError,
            "keras.Variable: Invalid value for attribute `regularizer`, it must be a callable or "
            "None. Received: regularizer='l2'",
        ),
        (
            lambda v: Variable(lambda shape, dtype: np.ones(shape)),
            ValueError,
            None,
        ),
        (
            lambda v: Variable("zeros", shape=(None, 2), name="w"),
            ValueError,
            "keras.Variable: `shape` must be known in full. Received: shape=(None, 2) for 'w'",
        ),
        (
            lambda v: Variable(1.0, name="a/b"),
            ValueError,
            "keras.Variable: Argument `name` must be a string and cannot contain character `/`. "
            "Received: name='a/b'",
        ),
        (
            lambda v: Variable(1.0, aggregation="foo"),
            ValueError,
            "keras.Variable: Invalid value for argument `aggregation`, it must be one of ('none', "
            "'mean', 'sum', 'only_first_replica') or None. Received: aggregation='foo'",
        ),
        (
            lambda v: Variable(None, name="w"),
            ValueError,
            "keras.Variable: `initializer` must give numbers. Received: initializer=None for 'w'",
        ),
        (
            lambda v: Variable([[1], [2, 3]]),
            ValueError,
            "keras.Variable: `initializer` must be an array without ragged rows. "
            "Received: initializer=[[1], [2, 3]]",
        ),
    ],
)
def test_a_mistake_is_refused_and_the_values_stay(action, error, message):
    variable = make()
    before = variable.numpy()
    with pytest.raises(error) as raised:
        action(variable)
    if message is not None:
        assert str(raised.value) == message
    np.testing.assert_array_equal(variable.numpy(), before)


def test_arithmetic_gives_tensors():
    variable = make()
    expected = variable.numpy()
    np.testing.assert_array_equal(variable + 1.0, expected + 1)
    np.testing.assert_array_equal(2.0 * variable, expected * 2)
    np.testing.assert_array_equal(ops.sum(variable), expected.sum())
    np.testing.assert_array_equal(variable[1], expected[1])
    assert float(Variable(2.5)) == 2.5 and int(Variable(3)) == 3


def test_a_deep_copy_has_values_of_its_own():
    variable = make()
    variable.constraint = keras.constraints.NonNeg()
    twin = copy.deepcopy(variable)
    twin.assign(np.zeros((2, 3)))
    assert variable.numpy().any() and twin.path == variable.path
    assert twin.constraint is variable.constraint


def test_all_or_nothing_takes_assignments_back_on_an_error():
    first, second = make(), make()
    before = first.numpy()
    with pytest.raises(KeyError), all_or_nothing():
        first.assign_add(1.0)
        first.assign_add(1.0)
        second.assign(np.zeros((2, 3)))
        raise KeyError("late")
    np.testing.assert_array_equal(first.numpy(), before)
    np.testing.assert_array_equal(second.numpy(), before)
    with all_or_nothing():
        first.assign_add(1.0)
    np.testing.assert_array_equal(first.numpy(), before + 1)
