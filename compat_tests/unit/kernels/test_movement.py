import numpy as np
import pytest

from kerasmirror.kernels.cpu import movement


@pytest.fixture
def x():
    return np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def fresh(y, source):
    """y is contiguous and shares no memory with its source."""
    return y.flags.c_contiguous and not np.shares_memory(y, source)


@pytest.mark.parametrize("axes", [None, (0, 1, 2), (2, 0, 1), (0, 2, 1)])
def test_transpose_copies_also_where_nothing_moves(x, axes):
    y = movement.transpose(x, axes)
    assert np.array_equal(y, np.transpose(x, axes)) and fresh(y, x)


def test_broadcast_flip_roll_tile_and_repeat(x):
    pairs = [
        (movement.broadcast_to(x[:, :1], (5, 2, 3, 4)), np.broadcast_to(x[:, :1], (5, 2, 3, 4))),
        (movement.flip(x), np.flip(x)),
        (movement.flip(x, 1), np.flip(x, 1)),
        (movement.roll(x, 2), np.roll(x, 2)),
        (movement.roll(x, (1, -1), (0, 2)), np.roll(x, (1, -1), (0, 2))),
        (movement.tile(x, (2, 1, 3)), np.tile(x, (2, 1, 3))),
        (movement.tile(x, (1, 1, 1)), x),
        (movement.repeat(x, 2), np.repeat(x, 2)),
        (movement.repeat(x, [1, 0, 2], 1), np.repeat(x, [1, 0, 2], 1)),
    ]
    for actual, expected in pairs:
        assert np.array_equal(actual, expected) and fresh(actual, x)


def test_pad_with_a_value_and_by_reflection(x):
    widths = [(0, 1), (2, 0), (1, 1)]
    y = movement.pad(x, widths, -7)
    assert np.array_equal(y, np.pad(x, widths, constant_values=-7)) and y.dtype == np.float32
    y = movement.pad(x, widths, mode="reflect")
    assert np.array_equal(y, np.pad(x, widths, mode="reflect"))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_split_undoes_concatenate(x, axis):
    parts = [x, 2 * x, 3 * x]
    whole = movement.concatenate(parts, axis)
    assert np.array_equal(whole, np.concatenate(parts, axis)) and whole.dtype == np.float32
    back = movement.split(whole, [x.shape[axis]] * 3, axis)
    assert all(np.array_equal(a, b) and fresh(a, whole) for a, b in zip(back, parts, strict=True))
    uneven = movement.split(whole, [1, whole.shape[axis] - 1], axis)
    assert np.array_equal(np.concatenate(uneven, axis), whole)
    assert np.array_equal(movement.stack(parts, axis), np.stack(parts, axis))


@pytest.mark.parametrize("axis", [None, 0, 1, -1])
@pytest.mark.parametrize("indices", [1, [0, -1], [[1, 0], [-2, 1]], []])
def test_take_counts_negative_places_from_the_end(x, axis, indices):
    indices = np.asarray(indices, np.int64)
    y = movement.take(x, indices, axis)
    assert (
        np.array_equal(y, np.take(x, indices, axis)) and y.shape == np.take(x, indices, axis).shape
    )
