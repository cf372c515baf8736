"""Every case of keras.ops.numpy: values against NumPy, gradients, and the shape rule."""

import numpy as np
import pytest
from cases.ops_numpy import CASES

import kerasmirror
from kerasmirror import ops
from kerasmirror.autodiff.gradcheck import check_gradients


def named(cases):
    return [pytest.param(case, id=case.name) for case in cases]


def floats(array):
    return array.dtype.kind == "f"


# NumPy's names, and the keyword that it calls otherwise.
class NumPyOps:
    norm = staticmethod(np.linalg.norm)
    split = staticmethod(np.split)
    logaddexp2 = staticmethod(np.logaddexp2)

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.mark.parametrize("case", named(c for c in CASES if c.numpy))
def test_values_match_numpy(case, tolerance):
    with np.errstate(all="ignore"):
        expected = np.asarray(case.run(NumPyOps(), *case.arrays))
    actual = case.run(ops, *[ops.convert_to_tensor(array) for array in case.arrays])
    assert actual.shape == expected.shape
    np.testing.assert_allclose(
        actual.numpy().astype(expected.dtype), expected, **tolerance(actual.dtype)
    )


@pytest.mark.parametrize("case", named(c for c in CASES if c.grad))
def test_gradients_match_finite_differences(case):
    positions = [i for i, array in enumerate(case.arrays) if floats(array)]

    def function(*moved):
        arrays = [kerasmirror.ops.convert_to_tensor(array) for array in case.arrays]
        for position, value in zip(positions, moved, strict=True):
            arrays[position] = value
        return case.run(ops, *arrays)

    check_gradients(function, *[case.arrays[i] for i in positions])


@pytest.mark.parametrize("case", named(c for c in CASES if c.symbolic))
def test_symbolic_shape_and_dtype_equal_the_eager_ones(case):
    eager = case.run(ops, *[ops.convert_to_tensor(array) for array in case.arrays])
    symbols = [kerasmirror.KerasTensor(a.shape, a.dtype.name) for a in case.arrays]
    symbolic = case.run(ops, *symbols)
    assert isinstance(symbolic, kerasmirror.KerasTensor)
    assert (symbolic.shape, symbolic.dtype) == (eager.shape, eager.dtype)


# Shapes of values, or places along the first axis, must be known for these.
NEEDS_FIRST_SIZE = (
    "array_split vander slice scatter corrcoef reshape cdist vsplit split cov unstack correlate "
    "meshgrid histogram extract_sequences segment diag diagflat kron bincount rot90 repeat-each "
    "take_along_axis slice_update get_item"
).split()


@pytest.mark.parametrize(
    "case",
    named(c for c in CASES if c.symbolic and not c.name.startswith(tuple(NEEDS_FIRST_SIZE))),
)
def test_symbolic_shape_with_an_unknown_batch_agrees_where_it_is_known(case):
    eager = case.run(ops, *[ops.convert_to_tensor(array) for array in case.arrays])
    first = case.arrays[0]
    if first.ndim == 0 or first.shape[0] == 1:
        pytest.skip("the first array has no batch axis")
    symbols = [kerasmirror.KerasTensor(a.shape, a.dtype.name) for a in case.arrays]
    symbols[0] = kerasmirror.KerasTensor((None, *first.shape[1:]), first.dtype.name)
    symbolic = case.run(ops, *symbols)
    assert len(symbolic.shape) == len(eager.shape)
    pairs = zip(symbolic.shape, eager.shape, strict=True)
    assert all(known is None or known == actual for known, actual in pairs)


@pytest.mark.parametrize("case", named(c for c in CASES if c.grad))
def test_float32_stays_float32_in_values_and_gradients(case):
    tensors = [ops.convert_to_tensor(array) for array in case.arrays]
    watched = [tensor for tensor in tensors if tensor.dtype == "float32"]
    with kerasmirror.autodiff.GradientTape() as tape:
        tape.watch(watched)
        y = case.run(ops, *tensors)
    gradients = tape.gradient(y, watched)
    assert y.dtype == "float32"
    for tensor, gradient in zip(watched, gradients, strict=True):
        assert (gradient.shape, gradient.dtype) == (tensor.shape, "float32")


@pytest.mark.parametrize("case", named(CASES))
def test_arrays_lists_and_variables_are_taken_as_tensors_are(case):
    expected = case.run(ops, *[ops.convert_to_tensor(array) for array in case.arrays])
    if not case.name.startswith(("get_item", "select", "operator")):
        np.testing.assert_array_equal(case.run(ops, *case.arrays), expected)
    variables = [kerasmirror.Variable(array, dtype=array.dtype.name) for array in case.arrays]
    np.testing.assert_array_equal(case.run(ops, *variables), expected)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_stay_halves_in_values_and_gradients(dtype):
    wrong = []
    for case in CASES:
        if not case.grad:
            continue
        tensors = [
            ops.cast(a, dtype) if floats(a) else ops.convert_to_tensor(a) for a in case.arrays
        ]
        watched = [tensor for tensor in tensors if tensor.dtype == dtype]
        with kerasmirror.autodiff.GradientTape() as tape:
            tape.watch(watched)
            y = case.run(ops, *tensors)
        gradients = tape.gradient(y, watched)
        if {y.dtype, *[gradient.dtype for gradient in gradients]} != {dtype}:
            wrong.append(case.name)
    assert wrong == []
