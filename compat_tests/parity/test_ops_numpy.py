"""keras.ops.numpy, math and linalg against Keras on TensorFlow: values, dtypes, gradients."""

import itertools
import warnings

import numpy as np
import pytest
from cases.ops_numpy import CASES

import kerasmirror

pytestmark = pytest.mark.keras


@pytest.fixture(scope="module")
def keras():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import keras
    return keras


def on_keras(keras, case, weights):
    import tensorflow as tf

    tensors = [tf.constant(array) for array in case.arrays]
    watched = [t for t in tensors if t.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        y = case.run(keras.ops, *tensors)
        target = tf.reduce_sum(y * weights) if y.dtype.is_floating else None
    if target is None or not watched or not case.keras_grad:
        return y, None
    gradients = tape.gradient(target, watched)
    return y, [None if g is None else np.asarray(tf.convert_to_tensor(g)) for g in gradients]


def on_mirror(case, weights):
    tensors = [kerasmirror.ops.convert_to_tensor(array) for array in case.arrays]
    watched = [t for t in tensors if t.dtype.startswith("float")]
    with kerasmirror.autodiff.GradientTape() as tape:
        tape.watch(watched)
        y = case.run(kerasmirror.ops, *tensors)
    if not y.dtype.startswith("float") or not watched:
        return y, None
    return y, tape.gradient(y, watched, output_gradients=kerasmirror.ops.array(weights))


@pytest.mark.parametrize("case", [pytest.param(c, id=c.name) for c in CASES if c.keras])
def test_values_dtypes_and_gradients_match_keras(keras, case, tolerance):
    eager = case.run(kerasmirror.ops, *map(kerasmirror.ops.convert_to_tensor, case.arrays))
    weights = np.random.default_rng(4).standard_normal(eager.shape).astype("float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected, expected_gradients = on_keras(keras, case, weights)
    actual, gradients = on_mirror(case, weights)
    assert actual.dtype == keras.backend.standardize_dtype(expected.dtype)
    assert actual.shape == tuple(expected.shape)
    np.testing.assert_allclose(actual.numpy(), np.asarray(expected), **tolerance(actual.dtype))
    for position, wanted in enumerate(expected_gradients or ()):
        got = gradients[position]
        # TensorFlow has no gradient of some functions whose gradient is 0 or nothing.
        if wanted is None:
            assert got is None or not np.any(got.numpy())
        else:
            got = np.zeros_like(wanted) if got is None else got.numpy()
            np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-5)


# --- dtypes ---------------------------------------------------------------------------------

DTYPES = ("bool", "uint8", "int8", "int32", "int64", "float16", "float32", "float64")
BINARY = (
    "add subtract multiply divide true_divide floor_divide power maximum minimum mod arctan2 "
    "logaddexp equal less logical_and matmul dot tensordot outer inner where concatenate stack"
).split()
UNARY = (
    "negative absolute abs fabs square sqrt exp log expm1 log1p sin tanh sign floor ceil trunc "
    "round isnan sum mean prod max min var std argmax all any cumsum cumprod count_nonzero "
    "logical_not median sort argsort ravel transpose ones_like trace tril diff average"
).split()


def values(dtype):
    return np.array([[1, 0], [1, 1]]).astype(dtype)


def call(ops, name, *args):
    if name in ("concatenate", "stack"):
        return getattr(ops, name)(list(args))
    if name == "where":
        return ops.where(np.array([[True, False], [True, True]]), *args)
    return getattr(ops, name)(*args)


def agree(keras, name, *args):
    """Both fail, or both give one dtype. Where Keras lacks a kernel for a dtype, ours may work."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tensors = [keras.ops.convert_to_tensor(a) if hasattr(a, "dtype") else a for a in args]
            expected = call(keras.ops, name, *tensors)
    except Exception:
        return
    actual = call(kerasmirror.ops, name, *args)
    message = f"{name} of {[getattr(a, 'dtype', a) for a in args]}"
    assert actual.dtype == keras.backend.standardize_dtype(expected.dtype), message
    if "nan" not in str(np.asarray(expected)):
        np.testing.assert_allclose(
            np.asarray(actual, "float64"),
            np.asarray(expected).astype("float64"),
            rtol=2e-3,
            atol=1e-3,
            err_msg=message,
        )


@pytest.mark.parametrize("name", BINARY)
def test_dtypes_of_two_operands_are_those_of_keras(keras, name):
    for first, second in itertools.product(DTYPES, DTYPES):
        agree(keras, name, values(first), values(second))


# Of the others Keras takes arrays only, or makes the number a tensor before it chooses the dtype.
WITH_NUMBERS = (
    "add subtract multiply divide true_divide floor_divide power maximum minimum mod arctan2 "
    "logaddexp logical_and outer inner where"
).split()


@pytest.mark.parametrize("name", WITH_NUMBERS)
@pytest.mark.parametrize("number", [2, 2.5, True], ids=str)
def test_dtypes_of_tensors_with_python_numbers_are_those_of_keras(keras, name, number):
    for dtype in DTYPES:
        agree(keras, name, values(dtype), number)


@pytest.mark.parametrize("name", UNARY)
def test_dtypes_of_one_operand_are_those_of_keras(keras, name):
    for dtype in DTYPES:
        agree(keras, name, values(dtype))


@pytest.mark.parametrize(
    "make",
    [
        lambda ops: ops.arange(5),
        lambda ops: ops.arange(1.0, 2.0, 0.25),
        lambda ops: ops.arange(5, dtype="float32"),
        lambda ops: ops.arange(7, 1, -2),
        lambda ops: ops.linspace(0, 1, 5),
        lambda ops: ops.linspace(0, 10, 4, dtype="int32"),
        lambda ops: ops.linspace(0.0, 1.0, 1),
        lambda ops: ops.logspace(0, 2, 5),
        lambda ops: ops.geomspace(1.0, 100.0, 5),
        lambda ops: ops.zeros((2, 3)),
        lambda ops: ops.ones((2,), dtype="int8"),
        lambda ops: ops.full((2, 2), 7),
        lambda ops: ops.full((2, 2), 7, dtype="int32"),
        lambda ops: ops.eye(3, 4, k=1),
        lambda ops: ops.identity(3, dtype="int32"),
        lambda ops: ops.tri(3, 4, k=-1),
        lambda ops: ops.bartlett(5),
        lambda ops: ops.hamming(5),
        lambda ops: ops.hanning(5),
        lambda ops: ops.blackman(5),
        lambda ops: ops.kaiser(5, 2.0),
        lambda ops: ops.convert_to_tensor([1, 2]),
        lambda ops: ops.convert_to_tensor([1.5, 2]),
        lambda ops: ops.convert_to_tensor([True]),
        lambda ops: ops.convert_to_tensor(np.ones(2)),
        lambda ops: ops.convert_to_tensor(3),
        lambda ops: ops.convert_to_tensor([1, 2], dtype="float16"),
        lambda ops: ops.array([[1, 2], [3, 4]]),
    ],
)
def test_new_tensors_match_keras(keras, make, tolerance):
    expected, actual = make(keras.ops), make(kerasmirror.ops)
    assert actual.dtype == keras.backend.standardize_dtype(expected.dtype)
    np.testing.assert_allclose(actual.numpy(), np.asarray(expected), **tolerance(actual.dtype))
