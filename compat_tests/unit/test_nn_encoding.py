import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops


def test_one_hot_puts_a_one_at_each_class():
    y = ops.one_hot([2, 0, -1, 3], 3)
    assert y.dtype == "float32"
    np.testing.assert_array_equal(np.asarray(y), [[0, 0, 1], [1, 0, 0], [0, 0, 0], [0, 0, 0]])


@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
def test_one_hot_takes_any_axis(axis):
    x = np.array([[0, 1, 2], [2, 1, 0]])
    y = np.asarray(ops.one_hot(x, 4, axis=axis, dtype="int32"))
    np.testing.assert_array_equal(np.moveaxis(y, axis, -1), np.eye(4, dtype="int32")[x])
    assert ops.one_hot(keras.KerasTensor((2, 3), "int32"), 4, axis=axis).shape == y.shape


def test_multi_hot_is_the_largest_one_hot_of_a_sample():
    np.testing.assert_array_equal(
        np.asarray(ops.multi_hot([[0, 2], [1, 1]], 3)), [[1, 0, 1], [0, 1, 0]]
    )
    np.testing.assert_array_equal(np.asarray(ops.multi_hot([0, 2], num_tokens=3)), [1, 0, 1])
    assert ops.multi_hot(keras.KerasTensor((None, 7), "int32"), 3).shape == (None, 3)
    assert ops.multi_hot([[True]], 2, dtype="bool").dtype == "bool"


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError) as error:
        ops.one_hot([0], 0)
    assert str(error.value) == (
        "ops.one_hot: `num_classes` must be a positive integer. Received: num_classes=0"
    )
    with pytest.raises(ValueError) as error:
        ops.multi_hot([0], 2, sparse=True)
    assert str(error.value) == (
        "ops.multi_hot: `sparse` must be False, kerasmirror has dense tensors only. "
        "Received: sparse=True"
    )
