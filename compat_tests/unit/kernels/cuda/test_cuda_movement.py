import numpy as np
import pytest

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 7)).astype("float32")
Y = RNG.normal(size=(3, 37, 5, 41)).astype("float32")
DTYPES = ["float32", "float64", "float16", "bool"]


@pytest.mark.parametrize(
    "axes", [(0, 2, 3, 1), (0, 3, 1, 2), (3, 2, 1, 0), (0, 2, 1, 3), (2, 3, 0, 1), (0, 1, 2, 3)]
)
def test_transpose(same, threads, axes):
    same("transpose", Y, axes, exact=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_transpose_of_each_size_of_values(same, dtype):
    same("transpose", Y[0, :, 0].astype(dtype), exact=True)


def test_transposes_of_many_axes(same):
    x = np.arange(2 * 3 * 2 * 3 * 2 * 3).reshape(2, 3, 2, 3, 2, 3).astype("float32")
    same("transpose", x, (5, 0, 3, 1, 4, 2), exact=True)
    same("transpose", x[:0], (5, 0, 3, 1, 4, 2), exact=True)


def test_broadcast_to(same):
    same("broadcast_to", X[0], (3, 5, 7), exact=True)
    same("broadcast_to", X[:, :1].copy(), (2, 5, 7), exact=True)
    same("broadcast_to", np.asarray(X[0, 0]), (4,), exact=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_concatenate_stack_and_split(same, axis, dtype):
    x = Y[..., 0].astype(dtype)
    same("concatenate", [x, x, x], axis, exact=True)
    same("stack", [x, x], axis, exact=True)
    same("split", x, [1, x.shape[axis] - 1], axis, exact=True)


def test_pad(same, gpu):
    same("pad", Y, ((0, 0), (1, 2), (3, 0), (0, 0)), 1.5, exact=True)
    same("pad", X, ((1, 0), (0, 2)), exact=True)
    same("pad", X.astype("float16"), ((1, 1), (1, 1)), 2.0, exact=True)
    same("pad", Y[:2, :2, :, :3].copy()[..., None], ((1, 0),) * 5, exact=True)
    with pytest.raises(NotImplementedError, match="pad with mode='reflect' has no CUDA kernel"):
        gpu.pad(gpu.to_device(X), ((1, 1), (1, 1)), mode="reflect")


def test_flip_roll_tile_and_repeat(same):
    same("flip", Y, (1, 3), exact=True)
    same("flip", X, exact=True)
    same("roll", Y, -5, 1, exact=True)
    same("roll", X, 3, exact=True)
    same("roll", Y, (1, 2), (0, 3), exact=True)
    same("tile", X, (2, 3), exact=True)
    same("tile", X, (2, 1, 2), exact=True)
    same("repeat", Y, 3, 1, exact=True)
    same("repeat", X, 2, exact=True)
    same("repeat", X, [1, 0, 2, 3, 1], 0, exact=True)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint8"])
def test_take(same, dtype):
    indices = np.array([[0, 4], [3, 2]], dtype)
    same("take", Y, indices, 2, exact=True)
    same("take", X, indices, exact=True)
    same("take_rows", X, indices, exact=True)
    if dtype != "uint8":
        same("take", Y, -indices - 1, 1, exact=True)


def test_runs_of_values_are_moved_in_words_of_eight_bytes(same):
    rng = np.random.default_rng(4)
    for dtype in ("uint8", "float16", "float32"):
        for width in (8, 6, 5):
            x = rng.integers(0, 99, (3, 4, width)).astype(dtype)
            same("transpose", x, (1, 0, 2), exact=True)
            same("take", x, np.array([2, -1, 0]), 1, exact=True)
            same("concatenate", [x, x[:, :1].copy()], 1, exact=True)
            same("flip", x, 0, exact=True)
