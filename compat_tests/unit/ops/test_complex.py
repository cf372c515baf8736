"""Complex tensors: values, dtypes, gradients as TensorFlow's, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import ops
from kerasmirror.autodiff import GradientTape
from kerasmirror.core.tensor import Tensor

Z = np.array([[1 + 2j, -3 + 0.5j], [2 - 1j, 0.25j]])


def gradient(function, z):
    source = Tensor(z)
    with GradientTape() as tape:
        tape.watch(source)
        loss = function(source)
    return tape.gradient(loss, source).data


FUNCTIONS = {
    "absolute": lambda z: ops.sum(ops.absolute(z)),
    "real": lambda z: ops.sum(ops.real(z) * np.arange(1.0, 5).reshape(2, 2)),
    "imag": lambda z: ops.sum(ops.imag(z) ** 2),
    "angle": lambda z: ops.sum(ops.angle(z)),
    "conj": lambda z: ops.sum(ops.real(ops.conj(z) * z * z)),
    "multiply": lambda z: ops.sum(ops.imag(z * z * (2 - 1j))),
    "divide": lambda z: ops.sum(ops.real((z + 1.0) / (z + (4 + 1j)))),
    "exp": lambda z: ops.sum(ops.absolute(ops.exp(z))),
    "matmul": lambda z: ops.sum(ops.absolute(ops.matmul(z, ops.matmul(z, z)))),
    "reshape": lambda z: ops.sum(ops.absolute(ops.reshape(z, (4,))[1:] + 1.0)),
    "stack": lambda z: ops.sum(ops.absolute(ops.stack([z, z * 1j]) + ops.mean(z))),
    "view_as_real": lambda z: ops.sum(ops.view_as_real(z) * np.array([1.0, 3.0])),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients_are_those_by_real_and_imaginary_part(name):
    function, step = FUNCTIONS[name], 1e-6
    found = gradient(function, Z)
    assert found.dtype == "complex128"
    for place in np.ndindex(Z.shape):
        for unit in (1, 1j):
            moved = np.zeros_like(Z)
            moved[place] = unit * step
            up, down = (float(function(Tensor(Z + sign * moved))) for sign in (1, -1))
            slope = found[place].real if unit == 1 else found[place].imag
            np.testing.assert_allclose(slope, (up - down) / (2 * step), rtol=1e-6, atol=1e-7)


def test_the_gradient_of_an_absolute_value_is_0_at_0():
    np.testing.assert_array_equal(gradient(lambda z: ops.sum(ops.absolute(z)), np.zeros(2) * 1j), 0)


def test_parts_to_and_from_real_tensors():
    pairs = np.array([[1.0, 2.0], [3.0, -4.0]], "float32")
    z = ops.view_as_complex(pairs)
    assert z.dtype == "complex64" and z.shape == (2,)
    np.testing.assert_array_equal(z, [1 + 2j, 3 - 4j])
    np.testing.assert_array_equal(ops.view_as_real(z), pairs)
    assert ops.view_as_real(Tensor(Z)).dtype == "float64"
    np.testing.assert_array_equal(ops.absolute(z), np.abs([1 + 2j, 3 - 4j]).astype("float32"))
    np.testing.assert_array_equal(ops.isreal(np.array([1 + 0j, 1j])), [True, False])


def test_polar_takes_absolute_values_and_angles():
    z = ops.polar(np.array([2.0, 1.0]), np.array([np.pi / 2, np.pi]))
    assert z.dtype == "complex128"
    np.testing.assert_allclose(z, [2j, -1], atol=1e-15)
    assert ops.nn.polar(np.float32([1]), np.float32([0])).dtype == "complex64"


def test_placeholders_have_complex_dtypes():
    x = keras.KerasTensor((None, 2))
    assert (ops.view_as_complex(x).shape, ops.view_as_complex(x).dtype) == ((None,), "complex64")
    z = keras.KerasTensor((3, None), "complex64")
    assert (ops.view_as_real(z).shape, ops.view_as_real(z).dtype) == ((3, None, 2), "float32")
    assert ops.absolute(z).dtype == ops.angle(z).dtype == "float32"


MISTAKES = {
    "view_as_complex": (
        ValueError,
        lambda: ops.view_as_complex(np.ones(3)),
        "keras.ops.view_as_complex: Last dimension of input must be size 2 (real and imaginary). "
        "Received: x.shape=(3,)",
    ),
    "polar": (
        ValueError,
        lambda: ops.polar([1], [2]),
        "keras.ops.polar: `abs_` and `angle` must hold floats. Received: dtypes int32 and int32",
    ),
    "fabs": (
        TypeError,
        lambda: ops.fabs(Z),
        "keras.ops.fabs: `x` must be real. Received: x.dtype=complex128",
    ),
    "sigmoid": (TypeError, lambda: ops.sigmoid(Z), "sigmoid is not defined for complex numbers."),
    "relu": (
        TypeError,
        lambda: ops.relu(Z),
        "ops.relu: `x` must be real. Received: x.dtype=complex128",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_what_complex_numbers_cannot_do_is_refused(name):
    error, action, message = MISTAKES[name]
    with pytest.raises(error) as raised:
        action()
    assert str(raised.value) == message


def test_real_numbers_have_no_imaginary_part_whatever_they_are():
    x = np.array([1.0, np.nan, np.inf], "float32")
    np.testing.assert_array_equal(ops.imag(x), [0, 0, 0])
    np.testing.assert_array_equal(ops.isreal(x), [True, True, True])
    np.testing.assert_array_equal(ops.isreal(np.array([complex(1, np.nan)])), [False])
