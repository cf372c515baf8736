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
    alike(np.absolute, X > 0)


def test_an_array_of_the_host_is_a_constant_of_the_rule_that_computes_with_it(gpu):
    x = gpu.to_device(X)
    for operation in (
        lambda x: x + X,
        lambda x: X * x,
        lambda x: np.maximum(X, x),
        lambda x: x @ X.T,
        lambda x: X.T @ x,
    ):
        np.testing.assert_allclose(operation(x).to_host(), operation(X), rtol=1e-6)


def test_nothing_moves_by_itself_where_values_are_written_or_joined(gpu):
    x = gpu.to_device(X)
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
        ("numpy.var with ddof", lambda: np.var(x, ddof=1)),
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
    "clip_below": lambda x: np.clip(x, 0.25, None),
    "clip_above": lambda x: np.clip(x, None, 0.25),
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


REDUCTIONS = "sum prod mean var std max min all any argmax argmin".split()
KINDS = {
    "float32": X,
    "float16": X.astype("float16"),
    "int32": WHOLE,
    "bool": X > 0,
    "empty": X[:, :0].copy(),
}


@pytest.mark.parametrize("kind", ["float32", "int32", "bool"])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_have_numpys_values_and_types(alike, name, kind):
    function, x = getattr(np, name), KINDS[kind].reshape(3, 2, 2)
    alike(function, x, rtol=1e-6)
    alike(lambda x: function(x, axis=1), x, rtol=1e-6)
    alike(lambda x: function(x, axis=-1, keepdims=True), x, rtol=1e-6)
    if name != "std":
        alike(lambda x: getattr(x, name)(0), x, rtol=1e-6)
    if name not in ("argmax", "argmin"):
        alike(lambda x: function(x, axis=(0, 2)), x, rtol=1e-6)


def test_reductions_of_nothing_and_of_one_value(alike):
    one = np.full((), 2.5, "float32")
    for name in ("sum", "prod", "mean", "var"):
        alike(getattr(np, name), one)
    alike(lambda x: np.sum(x, axis=1), KINDS["empty"])
    alike(lambda x: np.prod(x, axis=1), KINDS["empty"])
    alike(lambda x: np.sum(x, axis=0), KINDS["empty"])


@pytest.mark.parametrize("name", ["sum", "mean", "cumsum", "cumprod"])
def test_a_dtype_is_what_is_computed_in(alike, name):
    function = getattr(np, name)
    alike(lambda x: function(x, axis=0, dtype="float64"), X, rtol=1e-15)
    alike(lambda x: function(x, axis=0, dtype=np.float32), WHOLE, rtol=1e-6)
    if name != "mean":
        alike(lambda x: function(x, dtype=np.int32), WHOLE)


@pytest.mark.parametrize("kind", ["float32", "int32", "bool", "empty"])
def test_cumulative_sums_and_products_have_numpys_types(alike, kind):
    alike(np.cumsum, KINDS[kind], rtol=1e-5)
    alike(np.cumprod, KINDS[kind], rtol=1e-5)
    alike(lambda x: np.cumprod(x, axis=0), KINDS[kind], rtol=1e-5)
    alike(lambda x: x.cumsum(-1), KINDS[kind], rtol=1e-6)


STACK = np.random.default_rng(1).normal(size=(2, 4, 5)).astype("float32")


@pytest.mark.parametrize("product", [operator.matmul, np.matmul, np.dot], ids=lambda f: f.__name__)
def test_products_of_matrices_and_vectors(alike, product):
    row = X[0].copy()
    for a, b in [(X, X.T.copy()), (X, row), (row, X.T.copy()), (row, row), (row, STACK)]:
        alike(product, a, b, rtol=1e-6)
    alike(product, X[:, :0].copy(), X.T[:0].copy())
    alike(product, X.astype("float64"), X.T.copy(), rtol=1e-14)
    alike(product, X.astype("float16"), X.T.astype("float16"), rtol=2e-3)


def test_products_of_stacks_of_matrices(alike):
    three = np.stack([X, X + 1])
    alike(operator.matmul, three, STACK, rtol=1e-6)
    alike(operator.matmul, X, STACK, rtol=1e-6)
    alike(operator.matmul, three, STACK[:1].copy(), rtol=1e-6)
    alike(lambda a, b: a.dot(b), three, STACK, rtol=1e-6)
    alike(np.dot, three, STACK[0].copy(), rtol=1e-6)
    alike(np.dot, three, STACK.reshape(1, 2, 4, 5), rtol=1e-6)
    alike(lambda x: np.dot(x, np.float32(2)) + np.dot(np.float32(3), x), X)


@pytest.mark.parametrize("shapes", [((3, 4), (3, 4)), ((4,), (3,)), ((2, 3), ()), ((), (2,))])
def test_matrices_that_do_not_fit_are_refused(gpu, shapes):
    a, b = (gpu.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match="as many columns in the first as rows in the second"):
        a @ b


def test_places_that_have_to_be_counted(alike):
    for x in (X, X > 0.5, WHOLE[0], X[:, :0].copy()):
        alike(np.nonzero, x)
        alike(lambda x: x.nonzero(), x)
        alike(np.flatnonzero, x)
        alike(np.argwhere, x)


def test_powers_have_numpys_types(alike):
    alike(lambda x: x**2, WHOLE)
    alike(lambda x: x**2.0, WHOLE)
    alike(lambda x: x**2.0, X)
    alike(lambda x: x**2.0, X.astype("float16"), rtol=1e-3)


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


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64"])
def test_sums_and_products_of_unsigned_numbers_are_uint64_as_numpys(gpu, dtype):
    x = np.array([[3, 250], [1, 7]], dtype)
    there = gpu.to_device(x)
    for function in (np.sum, np.prod, np.cumsum, np.cumprod):
        found, expected = function(there, axis=0).to_host(), function(x, axis=0)
        assert found.dtype == expected.dtype == np.uint64
        np.testing.assert_array_equal(found, expected)


OF_AN_AXIS = {
    "sum": lambda x, a: np.sum(x, axis=a),
    "max": lambda x, a: x.max(axis=(0, a)),
    "argmax": lambda x, a: np.argmax(x, axis=a),
    "cumsum": lambda x, a: np.cumsum(x, axis=a),
    "concatenate": lambda x, a: np.concatenate([x, x], axis=a),
    "stack": lambda x, a: np.stack([x, x], axis=a + (a > 0)),
    "split": lambda x, a: np.split(x, 1, axis=a),
    "flip": lambda x, a: np.flip(x, a),
    "roll": lambda x, a: np.roll(x, 1, a),
    "repeat": lambda x, a: np.repeat(x, 2, a),
    "take": lambda x, a: np.take(x, 0, a),
    "transpose": lambda x, a: np.transpose(x, (0, a)),
    "moveaxis": lambda x, a: np.moveaxis(x, a, 0),
    "swapaxes": lambda x, a: np.swapaxes(x, 0, a),
    "squeeze": lambda x, a: np.squeeze(x, a),
}


@pytest.mark.parametrize("function", OF_AN_AXIS.values(), ids=OF_AN_AXIS)
@pytest.mark.parametrize("axis", [2, -4])
def test_an_axis_that_is_none_is_refused_as_by_numpy(gpu, function, axis):
    x = np.ones((2, 3), "float32")
    for array in (x, gpu.to_device(x)):
        with pytest.raises((np.exceptions.AxisError, IndexError)):
            function(array, axis)


def test_an_axis_given_twice_is_refused(gpu):
    with pytest.raises(ValueError, match="duplicate value in 'axis'"):
        gpu.to_device(np.ones((2, 3), "float32")).sum(axis=(0, -2))
