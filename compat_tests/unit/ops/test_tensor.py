"""Conversions between Python values, arrays, variables and tensors; parts by position."""

import numpy as np
import pytest

import kerasmirror
from kerasmirror import KerasTensor, Variable, ops
from kerasmirror.autodiff import tape
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops.tensor import convert_input, operands, to_tensor


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (1, "int32"),
        (2**40, "int64"),
        (1.5, "float32"),
        (True, "bool"),
        ([1, 2], "int32"),
        ([1, 2.5], "float32"),
        ([[True], [False]], "bool"),
        ([], "float32"),
        (np.float64(1.5), "float64"),
        (np.arange(3), "int64"),
        (np.ones(2), "float64"),
        (np.ones(2, "float16"), "float16"),
        ([np.float64(1.0)], "float64"),
        (range(3), "int32"),
    ],
    ids=repr,
)
def test_dtype_of_converted_values(value, dtype):
    tensor = ops.convert_to_tensor(value)
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor, np.asarray(value))


def test_floatx_rules_python_floats():
    kerasmirror.config.set_floatx("float64")
    try:
        assert ops.convert_to_tensor(1.5).dtype == "float64"
        assert ops.zeros((2,)).dtype == "float64"
        assert ops.mean(np.ones(3, "int32")).dtype == "float32"
        assert ops.sqrt(np.ones(3, "int32")).dtype == "float64"
    finally:
        kerasmirror.config.set_floatx("float32")


def test_nan_and_infinities_survive():
    values = [np.nan, np.inf, -np.inf]
    np.testing.assert_array_equal(ops.convert_to_tensor(values), np.float32(values))


def test_bfloat16_comes_and_goes():
    x = ops.cast([1.0, 2.5, 3.0078125], "bfloat16")
    assert x.dtype == "bfloat16"
    assert ops.add(x, x).dtype == "bfloat16"
    assert ops.add(x, ops.cast(x, "float16")).dtype == "float32"
    np.testing.assert_array_equal(ops.cast(x, "float32"), [1.0, 2.5, 3.0])
    assert ops.matmul(x, x).dtype == "bfloat16"
    assert ops.mean(x).dtype == ops.exp(x).dtype == "bfloat16"


def test_a_tensor_does_not_follow_the_array_it_was_made_of():
    array = np.ones(3, "float32")
    tensor = ops.convert_to_tensor(array)
    array[0] = 7
    np.testing.assert_array_equal(tensor, [1, 1, 1])
    copy = ops.convert_to_numpy(tensor)
    copy[0] = 9
    np.testing.assert_array_equal(tensor, [1, 1, 1])


def test_lists_of_tensors_are_stacked_with_their_gradients():
    a, b = ops.convert_to_tensor(1.0), ops.convert_to_tensor(2.0)
    with tape.GradientTape() as t:
        t.watch([a, b])
        y = ops.sum(ops.square(ops.convert_to_tensor([[a, b], [b, 3.0]])))
    assert [float(g) for g in t.gradient(y, [a, b])] == [2.0, 8.0]


def test_conversion_to_a_dtype():
    assert ops.convert_to_tensor([1, 2], dtype="float16").dtype == "float16"
    assert ops.convert_to_tensor(ops.ones((2,)), dtype="int32").dtype == "int32"
    assert ops.convert_to_tensor(KerasTensor((2,)), dtype="int32").dtype == "int32"
    np.testing.assert_array_equal(ops.cast([-1.7, 1.7], "int32"), [-1, 1])


def test_cast_between_floats_has_a_gradient_and_to_whole_numbers_has_none():
    x = ops.convert_to_tensor([1.0, 2.0])
    with tape.GradientTape(persistent=True) as t:
        t.watch(x)
        wide = ops.sum(ops.cast(x, "float64") * 3.0)
        whole = ops.sum(ops.cast(x, "int32"))
    gradient = t.gradient(wide, x)
    assert gradient.dtype == "float32"
    np.testing.assert_array_equal(gradient, [3, 3])
    assert t.gradient(whole, x) is None


def test_saturate_cast_clips_to_the_range():
    np.testing.assert_array_equal(ops.saturate_cast([-5.0, 7.0, 400.0], "uint8"), [0, 7, 255])
    np.testing.assert_array_equal(ops.saturate_cast(np.int32([-5, 300]), "int8"), [-5, 127])
    assert int(ops.saturate_cast(1e20, "int32")) == 2147483520


def test_stop_gradient_blocks_the_tape():
    w = Variable(np.float32([1.0, 2.0]))
    with tape.GradientTape() as t:
        y = ops.sum(w * ops.stop_gradient(w))
    np.testing.assert_array_equal(t.gradient(y, w), [1, 2])


def test_is_tensor_shape_and_dtype():
    assert ops.is_tensor(ops.ones(2))
    assert not ops.is_tensor(np.ones(2))
    assert not ops.is_tensor(Variable(np.ones(2)))
    assert not ops.is_tensor(KerasTensor((2,)))
    assert ops.shape([[1, 2]]) == (1, 2)
    assert ops.shape(KerasTensor((None, 3))) == (None, 3)
    assert ops.dtype(Variable(np.ones(2, "float16"))) == "float16"
    assert ops.ndim([[1]]) == 2
    assert ops.size(ops.ones((2, 3))) == 6


def test_convert_input_casts_floats_only():
    assert convert_input(np.ones(2), True, "float32").dtype == "float32"
    assert convert_input(np.ones(2, "int32"), True, "float32").dtype == "int32"
    assert convert_input(np.ones(2), False, "float32").dtype == "float64"
    assert convert_input(KerasTensor((2,), "float64"), True, "float16").dtype == "float16"
    assert convert_input(None, True, "float32") is None
    assert convert_input("text", True, "float32") == "text"


def test_operands_take_the_fast_way_for_tensors_of_one_dtype():
    x, y = ops.ones((2,)), ops.ones((2,))
    assert operands(x, y) == (x, y) or operands(x, y)[0] is x
    assert to_tensor(x) is x
    number = operands(x, 2)[1]
    assert isinstance(number, Tensor) and number.dtype == "float32"


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: ops.slice(np.ones((2, 3)), [1, 1], [1, 3]),
            ValueError,
            "keras.ops.slice: the slice must lie within `inputs`. Received: "
            "inputs.shape=(2, 3), start_indices=[1, 1], shape=(1, 3)",
        ),
        (
            lambda: ops.slice_update(np.ones((2, 3)), [0, 0], np.ones((3, 3))),
            ValueError,
            "keras.ops.slice_update: `updates` must fit into `inputs`. Received: "
            "inputs.shape=(2, 3), updates.shape=(3, 3)",
        ),
        (
            lambda: ops.scatter_update(np.ones(3), [[0]], [1.0], "sum"),
            ValueError,
            "keras.ops.scatter_update: `reduction` must be one of (None, 'add', 'max', 'min', "
            "'mul'). Received: reduction='sum'",
        ),
        (
            lambda: ops.unstack(KerasTensor((None, 2))),
            ValueError,
            "keras.ops.unstack: Cannot infer argument `num` from shape, as the size of the axis is "
            "not known. Received: num=None, x.shape=(None, 2), axis=0",
        ),
        (
            lambda: ops.sum(np.ones((2, 3)), axis=2),
            ValueError,
            "keras.ops.sum: `axis` must be within [-2, 2) for an input with 2 axes, "
            "axis 2 is out of bounds. Received: axis=2",
        ),
        (
            lambda: ops.sum(np.ones((2, 3)), axis=(0, -2)),
            ValueError,
            "keras.ops.sum: `axis` must name each axis once. Received: axis=(0, -2)",
        ),
        (
            lambda: ops.max(np.ones((0, 3))),
            ValueError,
            "keras.ops.max: `x` must not be empty. Received: x.shape=(0, 3)",
        ),
        (
            lambda: ops.reshape(np.ones((2, 3)), (4, -1)),
            ValueError,
            "keras.ops.reshape: `newshape` must have the input's number of elements, 6. "
            "Received: x.shape=(2, 3), newshape=(4, -1)",
        ),
        (
            lambda: ops.reshape(KerasTensor((2, 3)), (5,)),
            ValueError,
            "keras.ops.reshape: `newshape` must have the input's number of elements, 6. "
            "Received: x.shape=(2, 3), newshape=(5,)",
        ),
        (
            lambda: ops.concatenate([np.ones((2, 3)), np.ones((3, 2))], axis=1),
            ValueError,
            "keras.ops.concatenate: all inputs must have one shape but along axis 1. "
            "Received: shapes=[(2, 3), (3, 2)]",
        ),
        (
            lambda: ops.stack([np.ones(2), np.ones(3)]),
            ValueError,
            "keras.ops.stack: all inputs must have one shape. Received: shapes=[(2,), (3,)]",
        ),
        (
            lambda: ops.matmul(np.ones((2, 3)), np.ones((2, 3))),
            ValueError,
            "keras.ops.matmul: the last axis of `x1` must have the size of the contracted axis of "
            "`x2`. Received: x1.shape=(2, 3), x2.shape=(2, 3)",
        ),
        (
            lambda: ops.einsum("ij,jk->ik", np.ones((2, 3)), np.ones((2, 3))),
            ValueError,
            "keras.ops.einsum: axis 'j' must have one size. Received: 3 and 2 in operands of "
            "shapes (2, 3) and (2, 3)",
        ),
        (
            lambda: ops.einsum("ij->ik", np.ones((2, 3))),
            ValueError,
            "keras.ops.einsum: `subscripts` must name each axis of each operand. "
            "Received: subscripts='ij->ik', operands with (2,) axes",
        ),
        (
            lambda: ops.take(np.ones(3), [3]),
            IndexError,
            "keras.ops.take: `indices` must be within [-3, 3). Received: indices from 3 to 3",
        ),
        (
            lambda: ops.split(np.ones((5,)), 2),
            ValueError,
            "keras.ops.split: `indices_or_sections` must divide the size of the axis. "
            "Received: indices_or_sections=2, x.shape=(5,), axis=0",
        ),
        (
            lambda: ops.squeeze(np.ones((2, 3)), 0),
            ValueError,
            "keras.ops.squeeze: `axis` must name axes of size 1. Received: x.shape=(2, 3), axis=0",
        ),
        (
            lambda: ops.pad(np.ones(3), 1, mode="zeros"),
            ValueError,
            "keras.ops.pad: `mode` must be one of ('constant', 'reflect', 'symmetric', 'edge', "
            "'wrap', 'circular'). Received: mode='zeros'",
        ),
        (
            lambda: ops.zeros((2, None)),
            ValueError,
            "keras.ops.zeros: `shape` must hold ints of at least 0. Received: shape=(2, -1)",
        ),
        (
            lambda: ops.top_k(np.ones(3), 4),
            ValueError,
            "keras.ops.top_k: `k` must be within 0 and the size of the last axis. "
            "Received: k=4, x.shape=(3,)",
        ),
        (
            lambda: ops.bitwise_and(1.5, 1),
            TypeError,
            "keras.ops.bitwise_and: `x` and `y` must be whole numbers or booleans. "
            "Received: their common dtype float32",
        ),
        (
            lambda: ops.norm(np.ones((2, 2)), ord="max"),
            ValueError,
            "keras.ops.norm: `ord` must be one of 'fro', 'nuc'. Received: ord='max'",
        ),
    ],
    ids=lambda value: "" if callable(value) or isinstance(value, type) else value[:40],
)
def test_wrong_arguments_are_named(call, error, message):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == message


def test_unknown_sizes_pass_through_shape_rules():
    x = KerasTensor((None, 6))
    assert ops.reshape(x, (-1, 2, 3)).shape == (None, 2, 3)
    assert ops.reshape(x, (-1,)).shape == (None,)
    assert ops.reshape(x, (ops.shape(x)[0], 3, 2)).shape == (None, 3, 2)
    assert ops.concatenate([x, x], axis=0).shape == (None, 6)
    assert ops.concatenate([x, KerasTensor((3, 6))], axis=1).shape == (3, 12)
    assert (x + KerasTensor((1, 6))).shape == (None, 6)
    assert (x + KerasTensor((4, 6))).shape == (4, 6)
    assert ops.einsum("bi,ij->bj", x, np.ones((6, 2), "float32")).shape == (None, 2)
    assert ops.tile(x, (2, 1)).shape == (None, 6)
    assert ops.repeat(x, 2, axis=1).shape == (None, 12)
    assert ops.pad(x, ((0, 0), (1, 2))).shape == (None, 9)
    assert x[:, 1:].shape == (None, 5)
    assert x[:-1].shape == (None, 6)
    assert ops.mean(x, axis=0).shape == (6,)
    assert ops.expand_dims(x, -1).shape == (None, 6, 1)


def test_integer_products_are_exact_and_keep_their_dtype():
    x = np.array([[3000001, 1], [2, 3]], "int64")
    y = ops.matmul(x, x)
    assert y.dtype == "int64"
    np.testing.assert_array_equal(y, x @ x)
    assert ops.matmul(np.ones((2, 2), "int8"), np.ones((2, 2), "int8")).dtype == "int32"


def test_ties_share_the_gradient_as_in_tensorflow():
    x = ops.convert_to_tensor([3.0, 1.0, 3.0])
    with tape.GradientTape(persistent=True) as t:
        t.watch(x)
        largest = ops.max(x)
        both = ops.sum(ops.maximum(x, x * 1.0))
    np.testing.assert_array_equal(t.gradient(largest, x), [0.5, 0, 0.5])
    np.testing.assert_array_equal(t.gradient(both, x), [1, 1, 1])


def test_placeholders_and_tensors_have_their_mask_under_keras_name():
    x = kerasmirror.Input((4,), dtype="int32")
    assert x._keras_mask is None
    embed = kerasmirror.layers.Embedding(3, 2, mask_zero=True)
    assert embed(x)._keras_mask.shape == (None, 4)
    assert ops.convert_to_numpy(embed(np.array([[0, 1]]))._keras_mask).tolist() == [[False, True]]
    x._keras_mask = mask = KerasTensor((None, 4), "bool")
    assert x._keras_mask is mask


@pytest.mark.parametrize(
    "arguments, text",
    [
        ((1.5,), "`kth` must be an int. Received: kth=1.5"),
        (([1],), r"`kth` must be an int. Received: kth=\[1\]"),
        ((3,), r"`kth` must be within \[-3, 3\). Received: kth=3"),
        ((0, 4), r"`axis` must be within \[-2, 2\)"),
    ],
)
def test_argpartition_says_what_is_wrong(arguments, text):
    with pytest.raises(ValueError, match=f"keras.ops.argpartition: {text}"):
        ops.argpartition(np.zeros((2, 3)), *arguments)


@pytest.mark.parametrize("value", [None, [1.0, None], [[None], [2]]])
def test_none_is_no_tensor(value):
    for make in (
        ops.convert_to_tensor,
        ops.sum,
        lambda x: ops.add(x, 1),
        lambda x: ops.cast(x, "float32"),
    ):
        with pytest.raises(ValueError, match="None cannot become a tensor"):
            make(value)
