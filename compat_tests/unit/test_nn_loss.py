import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients
from kerasmirror.autodiff.tape import GradientTape
from kerasmirror.core.tensor import Tensor

LABELS = np.array([2, 0, 1, 2])
ONE_HOT = np.eye(3)[LABELS]


def probabilities(rng):
    p = rng.uniform(0.1, 1, (4, 3))
    return p / p.sum(1, keepdims=True)


@pytest.mark.parametrize("from_logits", [False, True])
def test_categorical_gradients_match_finite_differences(from_logits, rng):
    output = rng.standard_normal((4, 3)) if from_logits else probabilities(rng)
    target = Tensor(ONE_HOT)
    check_gradients(lambda x: ops.categorical_crossentropy(target, x, from_logits), output)
    output = Tensor(output)
    check_gradients(lambda t: ops.categorical_crossentropy(t, output, from_logits), ONE_HOT)


@pytest.mark.parametrize("from_logits", [False, True])
def test_sparse_gradients_match_finite_differences(from_logits, rng):
    output = rng.standard_normal((4, 3)) if from_logits else probabilities(rng)
    check_gradients(lambda x: ops.sparse_categorical_crossentropy(LABELS, x, from_logits), output)


@pytest.mark.parametrize("from_logits", [False, True])
def test_binary_gradients_match_finite_differences(from_logits, rng):
    output = rng.standard_normal((4, 3)) if from_logits else rng.uniform(0.1, 0.9, (4, 3))
    check_gradients(
        lambda t, x: ops.binary_crossentropy(t, x, from_logits), rng.uniform(size=(4, 3)), output
    )


def test_the_logits_of_a_softmax_are_used_on_the_tape():
    # 1 - 1e-30 is 1 in float32: from the probability the loss would be 0 and so its gradient.
    x = Tensor(np.array([[70.0, 0.0]], "float32"))
    with GradientTape() as tape:
        tape.watch(x)
        loss = ops.sparse_categorical_crossentropy([1], ops.softmax(x))
    assert float(np.asarray(loss)[0]) == 70.0
    np.testing.assert_allclose(np.asarray(tape.gradient(loss, x)), [[1.0, -1.0]])


def test_from_logits_with_a_softmax_warns_and_uses_its_logits():
    x = np.array([[1.0, 2.0]])
    with pytest.warns(UserWarning, match="`sparse_categorical_crossentropy` received `from_logits"):
        loss = ops.sparse_categorical_crossentropy([1], ops.softmax(x), from_logits=True)
    np.testing.assert_allclose(np.asarray(loss), np.log(1 + np.exp(-1.0)))


@pytest.mark.parametrize("label", [3, -1, 2**40])
@pytest.mark.parametrize("from_logits", [False, True])
def test_a_label_that_is_no_class_is_refused(label, from_logits):
    target = np.array([0, 1, label])
    message = (
        "ops.sparse_categorical_crossentropy: `target` must hold class numbers from 0 to 2, as "
        f"`output` has 3 classes. Received: label {label} at position (2,)"
    )
    with pytest.raises(ValueError) as error:
        ops.sparse_categorical_crossentropy(target, np.ones((3, 3)), from_logits)
    assert str(error.value) == message


def test_float_labels_are_cut_to_whole_ones_and_nan_is_refused():
    x = np.array([[0.2, 0.8], [0.4, 0.6]])
    whole = ops.sparse_categorical_crossentropy(np.array([1, 0]), x)
    cut = ops.sparse_categorical_crossentropy(np.array([[1.7], [0.2]]), x)
    np.testing.assert_array_equal(np.asarray(whole), np.asarray(cut))
    with pytest.raises(ValueError, match="must hold class numbers from 0 to 1"):
        ops.sparse_categorical_crossentropy(np.array([np.nan, 0.0]), x)


@pytest.mark.parametrize("from_logits", [False, True])
def test_nan_outputs_give_nan_in_their_rows_only(from_logits):
    output = np.array([[0.5, 0.5], [np.nan, 0.5]])
    target = np.array([[0.0, 1.0], [0.0, 1.0]])
    losses = (
        ops.categorical_crossentropy(target, output, from_logits),
        ops.sparse_categorical_crossentropy([1, 1], output, from_logits),
        ops.binary_crossentropy(target, output, from_logits)[:, 0],
    )
    for loss in losses:
        np.testing.assert_array_equal(np.isnan(np.asarray(loss)), [False, True])


def test_placeholders_get_the_shape_of_the_real_loss():
    output = keras.KerasTensor((None, 5, 3))
    assert ops.categorical_crossentropy(output, output).shape == (None, 5)
    assert ops.categorical_crossentropy(output, output, axis=1).shape == (None, 3)
    labels = keras.KerasTensor((None, 5), "int32")
    assert ops.sparse_categorical_crossentropy(labels, output).shape == (None, 5)
    assert ops.binary_crossentropy(output, output).shape == (None, 5, 3)


@pytest.mark.parametrize("name", ["categorical_crossentropy", "binary_crossentropy"])
def test_shapes_that_differ_are_refused(name):
    message = (
        f"ops.{name}: `target` and `output` must have the same shape. "
        "Received: target.shape=(2, 3), output.shape=(2, 4)"
    )
    with pytest.raises(ValueError) as error:
        getattr(ops, name)(np.ones((2, 3)), np.ones((2, 4)))
    assert str(error.value) == message


def test_sparse_classes_may_stand_along_any_axis(rng):
    y, labels = rng.standard_normal((2, 4, 3)), rng.integers(0, 4, (2, 3))
    moved = ops.sparse_categorical_crossentropy(labels, np.moveaxis(y, 1, -1), from_logits=True)
    loss = ops.sparse_categorical_crossentropy(labels, y, from_logits=True, axis=1)
    np.testing.assert_array_equal(loss, moved)
    check_gradients(
        lambda y: ops.sparse_categorical_crossentropy(labels, y, from_logits=True, axis=1), y
    )


def test_sparse_shapes_and_axes_that_do_not_fit_are_refused():
    message = (
        "ops.sparse_categorical_crossentropy: `target` must have the shape of `output` without its "
        "last axis. Received: target.shape=(2, 2), output.shape=(2, 4)"
    )
    with pytest.raises(ValueError) as error:
        ops.sparse_categorical_crossentropy(np.zeros((2, 2)), np.ones((2, 4)))
    assert str(error.value) == message
    message = (
        "ops.sparse_categorical_crossentropy: `axis` must be within [-2, 2) for an input with 2 "
        "axes, axis 2 is out of bounds. Received: axis=2"
    )
    with pytest.raises(ValueError) as error:
        ops.sparse_categorical_crossentropy([0, 1], np.ones((2, 4)), axis=2)
    assert str(error.value) == message
