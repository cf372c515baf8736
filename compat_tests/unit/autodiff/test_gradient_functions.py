"""grad, value_and_grad, no_grad, Jacobians: values, structures and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff import GradientTape, grad, no_grad, value_and_grad
from kerasmirror.core.tensor import Tensor


def test_grad_of_a_nested_structure_is_nested_like_it():
    def loss(weights, x):
        return ops.sum(weights["a"] * x) + ops.sum(weights["b"][0] * weights["b"][0])

    weights = {"a": np.array([1.0, 2.0]), "b": [np.array(3.0), np.array(7.0)]}
    found = grad(loss)(weights, np.array([5.0, 6.0]))
    np.testing.assert_array_equal(found["a"], [5.0, 6.0])
    assert [float(part) for part in found["b"]] == [6.0, 0.0]


def test_value_and_grad_in_several_arguments():
    value, (da, db) = value_and_grad(lambda a, b: a * b * b, argnums=(0, -1))(2.0, 3.0)
    assert (float(value), float(da), float(db)) == (18.0, 9.0, 12.0)


def test_auxiliary_values_come_back():
    def loss(x):
        return ops.sum(x), {"seen": x}

    (value, aux), gradient = value_and_grad(loss, has_aux=True)(np.ones(3))
    assert float(value) == 3.0 and aux["seen"].shape == (3,)
    gradient, aux = grad(loss, has_aux=True)(np.ones(3))
    np.testing.assert_array_equal(gradient, np.ones(3))


def test_grad_leaves_no_mark_on_its_arguments():
    x = ops.convert_to_tensor([1.0, 2.0])
    grad(lambda x: ops.sum(x * x))(x)
    assert x.key is None


def test_a_variable_gets_its_gradient_frozen_or_not():
    for trainable in (True, False):
        variable = keras.Variable(np.array([1.0, 2.0]), trainable=trainable)
        np.testing.assert_array_equal(grad(lambda v: ops.sum(v * v))(variable), [2.0, 4.0])


MISTAKES = {
    "argnums": (lambda: grad(ops.sum, argnums="x"), "`argnums` must be an int or a tuple of ints"),
    "place": (
        lambda: grad(ops.sum, argnums=1)(1.0),
        "`argnums` must name arguments that are given",
    ),
    "value": (lambda: grad(lambda x: x * 2.0)(np.ones(2)), "`f` must give a tensor with one value"),
    "number": (lambda: grad(lambda x: 2.0)(np.ones(2)), "`f` must give a tensor with one value"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_refused(name):
    action, message = MISTAKES[name]
    with pytest.raises(ValueError) as raised:
        action()
    assert str(raised.value).startswith(f"kerasmirror.autodiff.value_and_grad: {message}")


def test_no_grad_is_a_context_and_a_decorator_with_and_without_call():
    @no_grad
    def bare(x):
        return x * 2.0

    @no_grad()
    def called(x):
        return x * 2.0

    for function in (bare, called):
        assert function.__name__ in ("bare", "called")
        x = ops.convert_to_tensor([1.0])
        with GradientTape() as tape:
            tape.watch(x)
            y = function(x) + x
        np.testing.assert_array_equal(tape.gradient(y, x), [1.0])


def test_no_grad_within_itself_and_after_an_error_gives_the_tape_back():
    context = no_grad()
    x = ops.convert_to_tensor([3.0])
    with GradientTape() as tape:
        tape.watch(x)
        with context, context:
            assert (x * x).key is None
        with pytest.raises(ZeroDivisionError), no_grad():
            raise ZeroDivisionError
        y = x * x
    np.testing.assert_array_equal(tape.gradient(y, x), [6.0])


@pytest.mark.parametrize("persistent", [True, False])
def test_jacobian_has_a_row_for_each_value(persistent):
    a = np.arange(6.0).reshape(2, 3)
    x, other = Tensor(np.array([1.0, 2.0, 3.0])), Tensor(np.ones(2))
    with GradientTape(persistent=persistent) as tape:
        tape.watch([x, other])
        y = ops.matmul(Tensor(a), x * x)
    rows, none = tape.jacobian(y, [x, other])
    np.testing.assert_allclose(rows, a * 2 * x.data)
    assert none is None
    if persistent:
        assert tape.jacobian(y, other, unconnected_gradients="zero").shape == (2, 2)
    else:
        with pytest.raises(RuntimeError, match="gives gradients once"):
            tape.jacobian(y, x)


def test_batch_jacobian_has_one_matrix_for_each_sample():
    x = Tensor(np.arange(6.0).reshape(2, 3))
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.stack([ops.sum(x * x, 1), x[:, 0]], 1)
    found = tape.batch_jacobian(y, x)
    for n in range(2):
        np.testing.assert_allclose(found[n], [2 * x.data[n], [1, 0, 0]])


def test_jacobians_of_nothing_and_of_wrong_arguments():
    x = Tensor(np.ones((2, 2)))
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x[:0]
    assert tape.jacobian(y, x, unconnected_gradients="zero").shape == (0, 2, 2, 2)
    with pytest.raises(ValueError, match="GradientTape.jacobian: `target` must be one tensor"):
        tape.jacobian([y], x)
    with pytest.raises(ValueError, match="must have one size along their first axis"):
        tape.batch_jacobian(y, x)


def test_gradients_that_are_single_numbers_add_up():
    x = Tensor(np.array(0.5))
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.i0(x) + ops.i0(x) * 2.0
    with GradientTape() as once:
        once.watch(x)
        z = ops.i0(x)
    assert float(tape.gradient(y, x)) == pytest.approx(3 * float(once.gradient(z, x)))
