import numpy as np
import pytest

from kerasmirror import ops, utils


def test_to_categorical():
    result = utils.to_categorical([0, 2, 1])
    np.testing.assert_array_equal(result, [[1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert result.dtype == "float64"


@pytest.mark.parametrize("shape", [(4,), (4, 1), (2, 2), (2, 2, 1)])
def test_to_categorical_puts_the_classes_last(shape):
    labels = np.array([0, 1, 2, 3]).reshape(shape)
    result = utils.to_categorical(labels, num_classes=5)
    kept = shape[:-1] if shape[-1] == 1 else shape
    assert result.shape == (*kept, 5)
    np.testing.assert_array_equal(result.reshape(4, 5), np.eye(5)[:4])


def test_to_categorical_of_a_tensor_is_a_tensor():
    result = utils.to_categorical(ops.convert_to_tensor([0, 1]), 2)
    assert ops.is_tensor(result)
    np.testing.assert_array_equal(np.asarray(result), np.eye(2))


@pytest.mark.parametrize("labels", [[0, 3], [-1, 2]])
def test_classes_out_of_range_are_an_error(labels):
    with pytest.raises(IndexError) as raised:
        utils.to_categorical(labels, 3)
    assert str(raised.value) == (
        "to_categorical: `x` must hold classes from 0 to 2. "
        f"Received: classes from {min(labels)} to {max(labels)}"
    )


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_normalize_divides_by_the_norm(axis, order):
    x = np.array([[3.0, 4.0], [0.0, 0.0], [1.0, -1.0]])
    result = utils.normalize(x, axis, order)
    norms = np.linalg.norm(result, order, axis)
    expected = np.where(np.linalg.norm(x, order, axis) == 0, 0.0, 1.0)
    np.testing.assert_allclose(norms, expected)
    np.testing.assert_array_equal(np.sign(result), np.sign(x))


def test_normalize_of_a_tensor_is_a_tensor():
    result = utils.normalize(ops.convert_to_tensor([[3.0, 4.0]]))
    assert ops.is_tensor(result)
    np.testing.assert_allclose(np.asarray(result), [[0.6, 0.8]], rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [[0, 0, 1], [0, 2, 3], [4, 5, 6], [0, 0, 0]]),
        ({"value": -1}, [[-1, -1, 1], [-1, 2, 3], [4, 5, 6], [-1, -1, -1]]),
        ({"padding": "post"}, [[1, 0, 0], [2, 3, 0], [4, 5, 6], [0, 0, 0]]),
        ({"maxlen": 2}, [[0, 1], [2, 3], [5, 6], [0, 0]]),
        ({"maxlen": 2, "truncating": "post"}, [[0, 1], [2, 3], [4, 5], [0, 0]]),
    ],
)
def test_pad_sequences(arguments, expected):
    result = utils.pad_sequences([[1], [2, 3], [4, 5, 6], []], **arguments)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == "int32"


def test_pad_sequences_of_vectors_and_texts():
    vectors = utils.pad_sequences([[[1, 2]], [[3, 4], [5, 6]]], dtype="float32")
    np.testing.assert_array_equal(vectors, [[[0, 0], [1, 2]], [[3, 4], [5, 6]]])
    texts = utils.pad_sequences([["a"], ["b", "c"]], dtype=object, value="-")
    assert texts.tolist() == [["-", "a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("sequences", "arguments", "message"),
    [
        (3, {}, "`sequences` must be a list of sequences. Received: sequences=3"),
        ([1, 2], {}, "`sequences` must be a list of sequences. Received: sequences=1"),
        (
            [[1]],
            {"padding": "no"},
            "`padding` must be one of 'pre', 'post'. Received: padding='no'",
        ),
        (
            [[1]],
            {"truncating": "no"},
            "`truncating` must be one of 'pre', 'post'. Received: truncating='no'",
        ),
        (
            [["a"]],
            {"value": "-"},
            "`dtype` int32 is not compatible with a text as `value`, pass dtype=object for texts "
            "of any length. Received: value='-'",
        ),
        (
            [[[1, 2]], [[1]]],
            {},
            "`sequences` must hold items of one shape, here (2,). Received: items of shape (1,)",
        ),
    ],
)
def test_bad_sequences(sequences, arguments, message):
    with pytest.raises(ValueError) as raised:
        utils.pad_sequences(sequences, **arguments)
    assert str(raised.value) == f"pad_sequences: {message}"


def test_packing_and_unpacking():
    x, y, w = np.ones(1), np.ones(2), np.ones(3)
    assert utils.pack_x_y_sample_weight(x) is x
    assert utils.pack_x_y_sample_weight([x, y]) == ([x, y],)
    assert utils.pack_x_y_sample_weight(x, y) == (x, y)
    assert utils.pack_x_y_sample_weight(x, y, w) == (x, y, w)
    for data, expected in [
        (x, (x, None, None)),
        ((x,), (x, None, None)),
        ([x, y], (x, y, None)),
        ((x, y, w), (x, y, w)),
    ]:
        assert utils.unpack_x_y_sample_weight(data) == expected


@pytest.mark.parametrize("data", [(1, 2, 3, 4), ()])
def test_other_tuples_cannot_be_unpacked(data):
    with pytest.raises(ValueError) as raised:
        utils.unpack_x_y_sample_weight(data)
    assert str(raised.value) == (
        "unpack_x_y_sample_weight: `data` must be x, (x,), (x, y) or (x, y, sample_weight). "
        f"Received: {len(data)} parts"
    )
