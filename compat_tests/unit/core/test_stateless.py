"""StatelessScope: variables have other values inside, and nothing that is written stays."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import autodiff
from kerasmirror.core.variable import all_or_nothing


def make(value, **kwargs):
    return keras.Variable(np.array(value, "float32"), **kwargs)


def values_of(*variables):
    return [variable.numpy().tolist() for variable in variables]


def test_mapped_values_are_read_and_updates_collected():
    a, b, out = make([1.0, 2.0]), make([3.0, 4.0]), make([0.0, 0.0])
    with keras.StatelessScope(state_mapping=[(a, [10.0, 20.0])]) as scope:
        out.assign(a + b)
        assert values_of(a, b, out) == [[10, 20], [3, 4], [13, 24]]
        assert np.asarray(out + 0.0).tolist() == [13, 24]
        b.assign_add([1.0, 1.0])
        b.assign_sub(np.array([0.5, 0.5]))
        assert np.asarray(scope.get_current_value(b)).tolist() == [3.5, 4.5]
    assert values_of(a, b, out) == [[1, 2], [3, 4], [0, 0]]
    assert np.asarray(scope.get_current_value(out)).tolist() == [13, 24]
    assert np.asarray(scope.get_current_value(b)).tolist() == [3.5, 4.5]
    assert np.asarray(scope.get_current_value(a)).tolist() == [10, 20]
    assert scope.get_current_value(make(1.0)) is None


def test_what_was_read_inside_keeps_its_value_after_an_assignment():
    a = make([1.0])
    with keras.StatelessScope():
        before = a.value
        a.assign([2.0])
        assert np.asarray(before).tolist() == [1.0]
    with keras.StatelessScope([(a, a)]) as scope:
        pass
    held = scope.get_current_value(a)
    a.assign([5.0])
    assert np.asarray(held).tolist() == [1.0]


def test_updates_in_place_leave_the_variables_and_the_given_values_alone():
    generator, mean = keras.random.SeedGenerator(3), keras.metrics.Mean()
    accuracy = keras.metrics.BinaryAccuracy()
    optimizer, weight = keras.optimizers.Adam(0.1), make([1.0, 2.0])
    optimizer.build([weight])
    given = np.array([5.0, 6.0], "float32")
    before = [v.numpy() for v in (generator.state, *mean.variables, *optimizer.variables, weight)]
    with keras.StatelessScope([(weight, given)]) as scope:
        first = np.asarray(keras.random.uniform((3,), seed=generator))
        mean.update_state([1.0, 2.0])
        assert float(mean.result()) == 1.5
        accuracy.update_state([[1.0]], [[1.0]])
        optimizer.apply([np.ones(2, "float32")])
        assert int(optimizer.iterations) == 1
        np.testing.assert_allclose(weight.numpy(), given - 0.1, rtol=1e-5)
    after = [v.numpy() for v in (generator.state, *mean.variables, *optimizer.variables, weight)]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
    assert given.tolist() == [5.0, 6.0]
    assert np.asarray(scope.get_current_value(generator.state)).tolist() == [3, 1]
    assert float(scope.get_current_value(mean.total)) == 3.0
    np.testing.assert_array_equal(keras.random.uniform((3,), seed=generator), first)
    assert float(accuracy.result()) == 0.0
    optimizer.apply([np.ones(2, "float32")])  # the flat buffer is in its place again
    np.testing.assert_allclose(weight.numpy(), [0.9, 1.9], rtol=1e-5)


def test_gradients_flow_to_the_given_tensors_and_through_assignments():
    a, b = make([2.0, 3.0]), make([0.0, 0.0], trainable=False)
    x = keras.ops.convert_to_tensor(np.array([5.0, 7.0], "float32"))
    with autodiff.GradientTape() as tape:
        tape.watch(x)
        with keras.StatelessScope([(a, x)]):
            b.assign(a * a)
            y = b * 3.0 + a
    assert np.asarray(tape.gradient(y, x)).tolist() == [31.0, 43.0]
    with autodiff.GradientTape() as tape:
        with keras.StatelessScope([(a, a)]):
            y = a * a
    assert np.asarray(tape.gradient(y, a)).tolist() == [4.0, 6.0]
    with autodiff.GradientTape() as tape:
        with keras.StatelessScope([(a, np.ones(2))]):
            y = a * a
    assert tape.gradient(y, a) is None


def test_a_value_takes_the_dtype_of_its_variable():
    a = make([1.0, 2.0])
    with keras.StatelessScope([(a, np.array([3, 4], "int64"))]) as scope:
        assert a.value.dtype == "float32"
        a.assign(np.array([1.5, 2.5], "float64"))
    assert scope.get_current_value(a).dtype == "float32"


def test_variables_made_inside_get_their_values_at_the_end():
    with keras.StatelessScope() as scope:
        v = keras.Variable(keras.initializers.RandomNormal(seed=1), shape=(2, 2), name="v")
        assert v._value is None
        assert (v + 1).shape == (2, 2)
        v.assign(np.ones((2, 2)))
        v.assign_add(np.ones((2, 2)))
    assert np.asarray(scope.get_current_value(v)).tolist() == [[2, 2], [2, 2]]
    expected = keras.initializers.RandomNormal(seed=1)((2, 2))
    np.testing.assert_array_equal(v.numpy(), expected)
    with pytest.raises(ValueError) as raised:
        v._deferred_initialize()
    assert str(raised.value) == "keras.Variable: Variable v is already initialized."
    with keras.StatelessScope(initialize_variables=False):
        w = keras.Variable("ones", shape=(2,))
    assert w._value is None
    with keras.StatelessScope():
        pass
    assert w._value is not None and w.numpy().tolist() == [1, 1]


def test_a_scope_within_a_scope_starts_from_the_variables_own_values():
    a = make(1.0)
    with keras.StatelessScope([(a, 2.0)]) as outer:
        a.assign_add(1.0)
        with keras.StatelessScope() as inner:
            assert float(a) == 1.0
            a.assign(7.0)
        assert float(a) == 3.0
    assert float(a) == 1.0
    assert float(outer.get_current_value(a)) == 3.0
    assert float(inner.get_current_value(a)) == 7.0
    with pytest.raises(KeyError), keras.StatelessScope([(a, 2.0)]):
        raise KeyError("inside")
    assert float(a) == 1.0


def test_all_or_nothing_works_inside_and_around_a_scope():
    a = make(1.0)
    with keras.StatelessScope([(a, 2.0)]) as scope:
        with pytest.raises(KeyError), all_or_nothing():
            a.assign(3.0)
            raise KeyError("inside")
        assert float(a) == 2.0
    with pytest.raises(KeyError), all_or_nothing():
        with scope:
            a.assign(3.0)
        raise KeyError("around")
    assert float(a) == 1.0


def test_an_error_takes_back_random_states_too():
    generator = keras.random.SeedGenerator(3)
    with pytest.raises(KeyError), all_or_nothing():
        keras.random.uniform((2,), seed=generator)
        raise KeyError("late")
    assert generator.state.numpy().tolist() == [3, 0]


@pytest.mark.parametrize(
    ("make_scope", "message"),
    [
        (
            lambda v: keras.StatelessScope([("a", 1.0)]),
            "keras.StatelessScope: all keys in argument `mapping` must be Variable instances. "
            "Received: 'a'",
        ),
        (
            lambda v: keras.StatelessScope([(v, np.ones(3))]),
            "keras.StatelessScope: all values in argument `mapping` must be tensors with the shape "
            "of their variable. Received: a value of shape (3,) for 'v' of shape (2,)",
        ),
    ],
)
def test_mistakes_are_named(make_scope, message):
    v = make([1.0, 2.0], name="v")
    with pytest.raises(ValueError) as raised:
        make_scope(v)
    assert str(raised.value) == message


def test_a_variable_of_values_cannot_be_made_inside():
    with pytest.raises(ValueError) as raised, keras.StatelessScope():
        keras.Variable(1.0, name="v")
    assert str(raised.value) == (
        "keras.Variable: in a StatelessScope a variable can be made of an initializer and a shape "
        "only, not of values: make it before, in `__init__()` or in `build()` by `add_weight()`. "
        "Received: initializer=1.0 for 'v' while in a stateless scope"
    )


def test_a_symbolic_scope_is_known_inside_only():
    from kerasmirror.core import scopes

    assert not scopes.in_symbolic_scope() and scopes.get_symbolic_scope() is None
    with keras.SymbolicScope() as outer:
        with keras.SymbolicScope() as inner:
            assert scopes.get_symbolic_scope() is inner
        assert scopes.get_symbolic_scope() is outer
    assert not scopes.in_symbolic_scope()
