import operator

import numpy as np
import pytest

X = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
WHOLE = (X * 9).astype("int32")


@pytest.fixture
def alike(gpu):
    """alike(function, *arrays): on the GPU's arrays it gives what it gives on NumPy's."""

    def moved(value):
        return gpu.to_device(value) if isinstance(value, np.ndarray) else value

    def check(function, *args, rtol=0.0):
        expected = function(*args)
        found = function(*[moved(a) for a in args])
        many = isinstance(expected, (tuple, list))
        for e, f in zip(expected, found, strict=True) if many else [(expected, found)]:
            f = f.to_host()
            assert (f.shape, f.dtype) == (np.shape(e), np.asarray(e).dtype)
            np.testing.assert_allclose(f, e, rtol=rtol, atol=rtol)

    return check


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "mod", "lt", "eq", "ge"])
def test_operators_of_two_arrays_and_of_an_array_and_a_number(alike, name):
    operation = getattr(operator, name)
    alike(operation, X, X[0] + 1)
    alike(lambda x: operation(x, 2), X)
    alike(lambda x: operation(2.5, x), X)
    alike(lambda x: operation(np.float32(2), x), X)
    alike(lambda x: operation(x, 2), WHOLE)


def test_operators_of_whole_numbers_and_booleans(alike):
    alike(lambda x, y: (x > 0) & ~(y > 0) | (x > y), X, X[:, ::-1].copy())
    alike(lambda x: (x // 3) ^ (x << 2), WHOLE)
    alike(lambda x: abs(-x) ** 2, X)
    alike(lambda x: x**0.5, np.abs(X), rtol=1e-6)


def test_numpys_ufuncs_run_kernels(alike):
    alike(lambda x: np.maximum(np.square(x), np.float32(0.3)), X)
    alike(lambda x: np.tanh(np.exp(x)), X, rtol=1e-6)
    alike(lambda x: np.add(x, 2, out=x.copy()), X)
    alike(np.isfinite, X)


def test_what_stands_on_two_devices_is_refused(gpu):
    x = gpu.to_device(X)
    for operation in (lambda: x + X, lambda: X * x, lambda: np.maximum(X, x)):
        with pytest.raises(TypeError, match="an array on the CPU .* together with one on a GPU"):
            operation()
    with pytest.raises(TypeError, match="values of shape .* that are on the CPU"):
        x[0] = X[0]
    with pytest.raises(TypeError, match="to write values of a GPU to"):
        np.add(x, x, out=X.copy())
    with pytest.raises(TypeError, match="arrays on the CPU and on a GPU were to be joined"):
        np.concatenate([x, X])
    with pytest.raises(TypeError, match="does not become a NumPy array by itself"):
        np.asarray(x)


def test_what_has_no_kernel_is_refused(gpu):
    x = gpu.to_device(X)
    for name, run in (
        ("numpy.copysign", lambda: np.copysign(x, x)),
        ("numpy.unique", lambda: np.unique(x)),
        ("numpy.add.accumulate", lambda: np.add.accumulate(x)),
        ("numpy.where of one argument", lambda: np.where(x)),
        ("numpy.add with where", lambda: np.add(x, x, where=X > 0)),
    ):
        with pytest.raises(NotImplementedError, match=f"{name} has no CUDA kernel"):
            run()


def test_indexing_reads_and_writes(alike):
    alike(lambda x: x[1:, ::-2], X)
    alike(lambda x, i: x[i], X, np.array([2, 0, 0]))
    alike(lambda x: [row * 2 for row in x], X)

    def written(x, row):
        y = x.copy()
        y[1] = row
        y[:, 0] += 2
        y[..., -1] = 7
        return y

    alike(written, X, X[2].copy())


FUNCTIONS = {
    "moveaxis": lambda x: np.moveaxis(x, 0, -1),
    "expand_dims": lambda x: np.expand_dims(x, (0, -1)),
    "squeeze": lambda x: np.squeeze(x[None, ..., None]),
    "stack": lambda x: np.stack([x, x], axis=1),
    "concatenate": lambda x: np.concatenate([x, x[:1]]),
    "split": lambda x: np.split(x, 2, axis=1),
    "split_at": lambda x: np.split(x, [1, 3], axis=1),
    "where": lambda x: np.where(x > 0, x, 0),
    "clip": lambda x: np.clip(x, -0.5, 0.5),
    "zeros_like": np.zeros_like,
    "full_like": lambda x: np.full_like(x, 2.5),
    "pad": lambda x: np.pad(x, ((0, 1), (2, 0)), constant_values=3),
    "tril": np.tril,
    "triu": lambda x: np.triu(x, 1),
    "argsort": lambda x: np.argsort(x, axis=0),
    "sort": lambda x: np.sort(x, axis=-1),
    "broadcast_to": lambda x: np.broadcast_to(x, (2, 3, 4)),
    "transpose": lambda x: x.T.transpose(1, 0).swapaxes(0, 1),
    "astype": lambda x: x.astype("float64").astype(np.int32, copy=False),
    "view": lambda x: x.view(np.int32),
    "outer": lambda x: np.outer(x, x[0]),
    "fill": lambda x: x.copy().fill(3) or x,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_and_methods(alike, name):
    alike(FUNCTIONS[name], X)


def test_values_are_put_along_an_axis_in_place(alike):
    def put(x, i):
        y = x.copy()
        np.put_along_axis(y, i, x[:, :2] * 2, 1)
        return y

    alike(put, X, np.array([[0, 3], [1, 2], [2, 0]]))


def test_shapes_and_types_are_numpys(gpu):
    x = gpu.to_device(X)
    assert np.shape(x) == (3, 4) and np.ndim(x) == 2 and np.size(x) == 12
    assert np.result_type(x, np.float64) == np.float64
    assert x.strides == X.strides and x.T.shape == (4, 3)
    with pytest.raises(TypeError, match="unhashable"):
        hash(x)
