"""GradientTape: what is recorded, what comes back, when arrays are let go, and what is refused."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff import GradientTape, check_gradients, no_grad
from kerasmirror.autodiff.primitive import primitive


def tensor(*values, dtype="float64"):
    return ops.convert_to_tensor(np.array(values, dtype))


def variable(*values, **options):
    return keras.Variable(np.array(values, "float64"), **options)


def refused(error, action):
    with pytest.raises(error) as raised:
        action()
    return str(raised.value)


def test_a_watched_tensor_gets_its_gradient():
    x = tensor(1.0, 2.0, 3.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = ops.sum(x * x * x)
    np.testing.assert_array_equal(tape.gradient(y, x), [3.0, 12.0, 27.0])


def test_a_tensor_that_is_not_watched_gets_none():
    x = tensor(1.0)
    with GradientTape() as tape:
        y = x * 2.0
    assert tape.gradient(y, x) is None


def test_trainable_variables_are_watched_by_themselves():
    trained, frozen = variable(2.0), variable(3.0, trainable=False)
    with GradientTape() as tape:
        y = ops.sum(trained * frozen)
    gradients = tape.gradient(y, [trained, frozen])
    np.testing.assert_array_equal(gradients[0], [3.0])
    assert gradients[1] is None


def test_a_frozen_variable_can_be_watched():
    frozen = variable(3.0, trainable=False)
    with GradientTape() as tape:
        tape.watch(frozen)
        y = frozen * frozen
    np.testing.assert_array_equal(tape.gradient(y, frozen), [6.0])


def test_variables_are_not_watched_when_told_so():
    a, b = variable(2.0), variable(5.0)
    with GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(b)
        y = a * b
    gradients = tape.gradient(y, [a, b])
    assert gradients[0] is None
    np.testing.assert_array_equal(gradients[1], [2.0])


def test_what_a_target_does_not_depend_on_is_none_or_zero():
    x, other = tensor(1.0, 2.0), tensor([1.0, 2.0, 3.0])
    for kind, expected in (("none", None), ("zero", np.zeros((1, 3)))):
        with GradientTape() as tape:
            tape.watch([x, other])
            y = ops.sum(x)
        gradient = tape.gradient(y, {"x": x, "other": other}, unconnected_gradients=kind)
        assert set(gradient) == {"x", "other"}
        if expected is None:
            assert gradient["other"] is None
        else:
            np.testing.assert_array_equal(gradient["other"], expected)
            assert gradient["other"].dtype == "float64"


def test_a_tensor_used_many_times_adds_its_gradients_up():
    x = tensor(2.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = x * x + x + ops.exp(x) * x + x
    np.testing.assert_allclose(tape.gradient(y, x), [4.0 + 2.0 + 3.0 * np.exp(2.0)], rtol=1e-15)


def test_adding_up_does_not_write_into_shared_gradients():
    x, y = tensor(1.0, 2.0), tensor(3.0, 4.0)
    with GradientTape() as tape:
        tape.watch([x, y])
        total = x + y  # hands one array to both
        result = ops.sum(total) + ops.sum(x)
    gx, gy = tape.gradient(result, [x, y])
    np.testing.assert_array_equal(gx, [2.0, 2.0])
    np.testing.assert_array_equal(gy, [1.0, 1.0])


def test_output_gradients_weigh_the_target():
    x = tensor(1.0, 2.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = x * x
    np.testing.assert_array_equal(
        tape.gradient(y, x, output_gradients=tensor(10.0, 100.0)), [20.0, 400.0]
    )


def test_several_targets_add_up():
    x = tensor(3.0)
    with GradientTape() as tape:
        tape.watch(x)
        a, b = x * x, 5.0 * x
    np.testing.assert_array_equal(tape.gradient([a, b], x), [11.0])


def test_the_gradient_of_a_middle_tensor_can_be_asked_for():
    x = tensor(3.0)
    with GradientTape() as tape:
        tape.watch(x)
        middle = x * x
        y = middle * middle
    gradient_x, gradient_middle = tape.gradient(y, [x, middle])
    np.testing.assert_array_equal(gradient_middle, [18.0])
    np.testing.assert_array_equal(gradient_x, [108.0])


def test_a_target_is_a_source_of_itself():
    x = tensor(3.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = x * 2.0
    np.testing.assert_array_equal(tape.gradient(y, y), [1.0])


def test_a_tape_gives_gradients_once():
    x = tensor(1.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = x * x
    tape.gradient(y, x)
    assert refused(RuntimeError, lambda: tape.gradient(y, x)) == (
        "GradientTape.gradient: a tape that is not persistent gives gradients once. "
        "Open it with persistent=True to call gradient() again."
    )


def test_a_persistent_tape_gives_gradients_again():
    x = tensor(3.0)
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        z = y * x
    for _ in range(2):
        np.testing.assert_array_equal(tape.gradient(y, x), [6.0])
        np.testing.assert_array_equal(tape.gradient(z, x), [27.0])


def test_nothing_is_recorded_where_recording_stops():
    x = tensor(3.0)
    with GradientTape() as tape:
        tape.watch(x)
        with tape.stop_recording():
            fixed = x * x
        with no_grad():
            fixed_too = x * x
        y = fixed * x + fixed_too
    np.testing.assert_array_equal(tape.gradient(y, x), [9.0])


def test_recording_goes_on_after_an_error_where_it_stopped():
    x = tensor(3.0)
    with GradientTape() as tape:
        tape.watch(x)
        for scope in (tape.stop_recording, no_grad):
            with pytest.raises(KeyError), scope():
                raise KeyError("inside")
        y = x * x
    np.testing.assert_array_equal(tape.gradient(y, x), [6.0])


def test_an_error_inside_closes_the_tape():
    with pytest.raises(KeyError), GradientTape():
        raise KeyError("inside")
    with GradientTape() as tape:  # would be a tape within another
        assert tape is not None


def test_reset_forgets_what_was_recorded():
    x = tensor(3.0)
    with GradientTape() as tape:
        tape.watch(x)
        before = x * x
        tape.reset()
        after = x * 5.0
    assert tape.gradient([after], x).numpy().tolist() == [5.0]
    tape.reset()
    assert tape.gradient(before, x) is None


@pytest.mark.parametrize("value", [3, "x", None])
def test_only_tensors_and_variables_can_be_watched(value):
    text = refused(ValueError, lambda: GradientTape().watch(value))
    assert text == (
        f"GradientTape.watch: `tensor` must be a tensor or a variable. Received: {value!r}"
    )


def test_another_word_for_unconnected_gradients_is_refused():
    x = tensor(1.0)
    tape = GradientTape()
    text = refused(ValueError, lambda: tape.gradient(x, x, unconnected_gradients="ones"))
    assert text == (
        'GradientTape.gradient: `unconnected_gradients` must be "none" or "zero". '
        "Received: unconnected_gradients='ones'"
    )


def residual_primitive(kept):
    def rule(k, x):
        residual = np.array(x)
        kept.append(weakref.ref(residual))

        def backward(dy, needs):
            return (dy * 2.0 * residual,)

        return x * x, backward

    return primitive("residual_test", spec=lambda x: (x.shape, x.dtype))(rule)


def test_residuals_are_let_go_as_the_gradient_is_made():
    kept = []
    square = residual_primitive(kept)
    x = tensor(1.0, 2.0)
    with GradientTape() as tape:
        tape.watch(x)
        y = square(square(x))
    assert all(ref() is not None for ref in kept)
    gradient = tape.gradient(y, x)
    gc.collect()
    assert [ref() for ref in kept] == [None, None]
    np.testing.assert_array_equal(gradient, [4.0, 32.0])


def test_a_persistent_tape_keeps_its_residuals():
    kept = []
    square = residual_primitive(kept)
    x = tensor(1.0, 2.0)
    with GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = square(x)
    tape.gradient(y, x)
    assert kept[0]() is not None
    tape.reset()
    gc.collect()
    assert kept[0]() is None


def test_nothing_is_kept_without_a_tape():
    kept = []
    y = residual_primitive(kept)(tensor(1.0))
    assert kept[0]() is None
    assert y.key is None


def test_assigning_to_a_variable_afterwards_leaves_the_gradient_right():
    v = variable(3.0)
    with GradientTape() as tape:
        y = v * v
    value = y.numpy()
    gradient = tape.gradient(y, v)
    np.testing.assert_array_equal(gradient, [6.0])
    v.assign([100.0])
    np.testing.assert_array_equal(value, [9.0])


def test_each_thread_has_a_tape_of_its_own():
    results = {}

    def work(number):
        x = tensor(float(number))
        for _ in range(50):
            with GradientTape() as tape:
                tape.watch(x)
                y = ops.sum(x * x * x)
            results.setdefault(number, []).append(float(tape.gradient(y, x).numpy()[0]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [3.0 * n * n] * 50 for n in range(1, 5)}


def wrong_primitive(factor, shape=None):
    def rule(k, x):
        def backward(dy, needs):
            gradient = dy * factor * x
            return (gradient if shape is None else gradient.reshape(shape),)

        return x * x, backward

    return primitive("wrong_test", spec=lambda x: (x.shape, x.dtype))(rule)


def test_check_gradients_accepts_a_right_gradient():
    check_gradients(wrong_primitive(2.0), np.array([1.0, -3.0, 0.5]))


@pytest.mark.parametrize("factor", [2.0001, 1.9999, -2.0, 0.0, float("nan")])
def test_check_gradients_catches_a_wrong_gradient(factor):
    with pytest.raises(AssertionError, match="argument 0: the tape gives"):
        check_gradients(wrong_primitive(factor), np.array([1.0, -3.0, 0.5]))


def test_check_gradients_catches_a_missing_gradient_and_a_wrong_shape():
    text = refused(
        AssertionError, lambda: check_gradients(lambda x, y: x * 2.0, np.ones(2), np.ones(2))
    )
    assert text == "check_gradients: argument 1 got no gradient"
    wrong = wrong_primitive(2.0, (3, 1))
    text = refused(AssertionError, lambda: check_gradients(wrong, np.ones(3)))
    assert text == "check_gradients: argument 0 has shape (3,), its gradient (3, 1)"
