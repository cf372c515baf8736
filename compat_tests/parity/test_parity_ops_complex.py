"""Complex tensors and jvp of keras.ops against Keras on TensorFlow: values and gradients."""

import numpy as np
import pytest
from side_by_side import run_both

pytestmark = pytest.mark.keras
RNG = np.random.default_rng(4)


def normal(*shape):
    return RNG.standard_normal(shape).astype("float32")


CASES = {
    "absolute": lambda keras, z: keras.ops.absolute(z),
    "angle": lambda keras, z: keras.ops.angle(z),
    "conj": lambda keras, z: keras.ops.view_as_real(keras.ops.conj(z) * z * z),
    "real": lambda keras, z: keras.ops.real(z * z),
    "imag": lambda keras, z: keras.ops.imag(z * z),
    "divide": lambda keras, z: keras.ops.view_as_real(keras.ops.divide(z, z + 3.0)),
    "matmul": lambda keras, z: keras.ops.view_as_real(keras.ops.matmul(z, keras.ops.transpose(z))),
    "sum": lambda keras, z: keras.ops.view_as_real(keras.ops.sum(keras.ops.exp(z), axis=0)),
}


@pytest.mark.parametrize("run", CASES.values(), ids=CASES)
def test_complex_values_and_gradients_match(run):
    run_both(lambda keras, x: run(keras, keras.ops.view_as_complex(x)), normal(3, 4, 2))


def test_polar_matches():
    run_both(
        lambda keras, a, b: keras.ops.view_as_real(keras.ops.polar(a, b)),
        np.abs(normal(3, 4)),
        normal(3, 4),
    )
