import numpy as np
import pytest

RNG = np.random.default_rng(0)
X = RNG.normal(size=(4, 5, 6)).astype("float32")
PLACES = np.array([3, 0, 0, -1])

KEYS = [
    1,
    (slice(None), -2),
    (..., slice(None, -1)),
    (slice(None, None, -2), None, slice(4, 0, -1)),
    (slice(1, 3), ..., 0),
    (2, 3, 4),
    slice(3, 1),
]
ARRAY_KEYS = [
    (PLACES,),
    (slice(None), PLACES),
    (..., PLACES),
    (PLACES[:, None], np.array([1, 2, 2])),
    (slice(1, 3), slice(None, None, -1), PLACES),
    (PLACES, slice(None), 2),
    (PLACES, slice(None), PLACES),
    (0, PLACES),
    (X[..., 0] > 0,),
    (slice(None), np.array([True, False, True, True, False])),
]


def _moved(gpu, key):
    key = key if isinstance(key, tuple) else (key,)
    return tuple(gpu.to_device(k) if isinstance(k, np.ndarray) else k for k in key)


def _run(gpu, cpu, name, key, before, after):
    """Both devices' results of `name(*before, key, *after)`."""
    expected = getattr(cpu, name)(*before, key, *after)
    brought = [
        [gpu.to_device(a) if isinstance(a, np.ndarray) else a for a in part]
        for part in (before, after)
    ]
    found = getattr(gpu, name)(*brought[0], _moved(gpu, key), *brought[1]).to_host()
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("key", KEYS + ARRAY_KEYS, ids=str)
def test_get_at(gpu, cpu, key):
    _run(gpu, cpu, "get_at", key, [X], [])
    _run(gpu, cpu, "get_at", key, [X.astype("float16")], [])


@pytest.mark.parametrize("key", KEYS + ARRAY_KEYS, ids=str)
def test_set_at(gpu, cpu, key):
    values = RNG.normal(size=X[key].shape).astype("float32")
    _run(gpu, cpu, "set_at", key, [X], [values])
    _run(gpu, cpu, "set_at", key, [X], [2.5])


@pytest.mark.parametrize("key", KEYS + ARRAY_KEYS, ids=str)
def test_add_at(gpu, cpu, key):
    values = RNG.normal(size=X[key].shape).astype("float32")
    _run(gpu, cpu, "add_at", key, [X.shape], [np.asarray(values)])


@pytest.mark.parametrize("reduction", ["add", "max", "min", "mul"])
@pytest.mark.parametrize("key", [(slice(None), PLACES), slice(1, 3)], ids=str)
def test_reductions_at_places_go_on_from_a_start(gpu, cpu, key, reduction):
    values = RNG.normal(size=X[key].shape).astype("float32")
    _run(gpu, cpu, "add_at", key, [X.shape], [values, reduction, X])


def test_a_part_of_memory_is_a_view_where_kernels_may_load_vectors(gpu):
    x = gpu.to_device(np.zeros((4, 64), "float32"))
    assert gpu.get_at(x, 1).address == x.address + 256
    assert gpu.get_at(x, (1, slice(1, None))).owner is not x.owner


def test_keys_beyond_an_array_are_refused(gpu):
    x = gpu.to_device(X)
    with pytest.raises(IndexError, match="index 4 is out of bounds for axis 0 with size 4"):
        gpu.get_at(x, 4)
    with pytest.raises(IndexError, match="too many indices for array: array is 3-dimensional"):
        gpu.get_at(x, (0, 0, 0, 0))
    with pytest.raises(NotImplementedError, match="indexed by a single boolean"):
        gpu.get_at(x, True)


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_and_add_along_an_axis(same, axis):
    axis %= 3
    form = [*X.shape]
    form[axis] = 7
    indices = RNG.integers(-form[axis] + 3, form[axis] - 3, form)
    same("take_along_axis", X, indices, axis, exact=True)
    values = RNG.normal(size=form).astype("float32")
    same("put_along_axis_add", X.shape, indices, values, axis, exact=True)


def test_axes_beside_it_broadcast(same):
    indices = np.array([[[0], [3], [1]]], "int32")
    same("take_along_axis", X, indices, 1, exact=True)
    values = RNG.normal(size=(4, 3, 6)).astype("float32")
    same("put_along_axis_add", X.shape, indices, values, 1, exact=True)


def test_an_axis_without_places_cannot_be_indexed(gpu):
    x, i = gpu.zeros((2, 0, 3)), gpu.to_device(np.array([0, 0]))
    along = gpu.to_device(np.zeros((2, 1, 3), "int32"))
    values = gpu.zeros((2, 1, 3))
    for run in (
        lambda: gpu.take(x, i, 1),
        lambda: gpu.get_at(x, (slice(None), i)),
        lambda: gpu.set_at(x, (slice(None), i), 1.0),
        lambda: gpu.take_along_axis(x, along, 1),
        lambda: gpu.put_along_axis_add((2, 0, 3), along, values, 1),
        lambda: gpu.scatter_add_rows(gpu.zeros((2, 3)), i, 0),
    ):
        with pytest.raises(IndexError, match="axis [01] has no places to index"):
            run()
    none = gpu.to_device(np.zeros((0,), "int32"))
    assert gpu.take(x, none, 1).shape == gpu.get_at(x, (slice(None), none)).shape == (2, 0, 3)
    assert gpu.scatter_add_rows(gpu.zeros((0, 3)), none, 0).shape == (0, 3)
