"""Dtype names and promotion, against real Keras over all pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import kerasmirror
from kerasmirror.core import dtypes

NAMES = (
    "bool",
    *("uint8", "uint16", "uint32", "int8", "int16", "int32", "int64"),
    *("bfloat16", "float16", "float32", "float64"),
)
OPERANDS = (*NAMES, int, float)


@pytest.mark.keras
@pytest.mark.parametrize("floatx", ["float32", "float16", "bfloat16", "float64"])
def test_every_pair_and_triple_promotes_as_in_keras(floatx):
    keras = pytest.importorskip("keras")
    triples = itertools.islice(itertools.product(OPERANDS, repeat=3), 0, None, 7)
    different = []
    for package in (keras, kerasmirror):
        package.config.set_floatx(floatx)
    try:
        for operands in itertools.chain(itertools.product(OPERANDS, repeat=2), triples):
            expected = keras.backend.result_type(*operands)
            actual = kerasmirror.backend.result_type(*operands)
            if actual != expected:
                different.append((operands, actual, expected))
    finally:
        for package in (keras, kerasmirror):
            package.config.set_floatx("float32")
    assert different == []


@pytest.mark.keras
@pytest.mark.parametrize(
    "dtype",
    [*NAMES, None, float, int, bool, str, np.float32, np.dtype("int16"), np.int8, "uint64"],
    ids=str,
)
def test_a_dtype_gets_keras_s_name(dtype):
    keras = pytest.importorskip("keras")
    expected = keras.backend.standardize_dtype(dtype)
    assert kerasmirror.backend.standardize_dtype(dtype) == expected
    assert kerasmirror.backend.is_float_dtype(expected) is keras.backend.is_float_dtype(expected)
    assert kerasmirror.backend.is_int_dtype(expected) is keras.backend.is_int_dtype(expected)


@pytest.mark.parametrize("dtype", ["float31", "", 3, "FLOAT32", object()])
def test_what_is_no_dtype_is_refused(dtype):
    with pytest.raises(ValueError) as raised:
        dtypes.standardize_dtype(dtype)
    allowed = sorted(dtypes.ALLOWED)
    assert (
        str(raised.value) == f"keras: `dtype` must be one of {allowed}. Received: dtype={dtype!r}"
    )


def test_promotion_is_symmetric_and_idempotent():
    for a, b in itertools.product(OPERANDS, repeat=2):
        both = dtypes.result_type(a, b)
        assert both == dtypes.result_type(b, a)
        assert dtypes.result_type(both, a) == both, (a, b)


def test_dtypes_without_a_common_one_are_refused():
    with pytest.raises(ValueError) as raised:
        dtypes.result_type("string", "float32")
    assert str(raised.value) == (
        "keras: no common dtype for ('string', 'float32'); ['string'] only go with themselves."
    )


def test_numpy_dtypes_of_small_floats_come_from_ml_dtypes():
    assert dtypes.numpy_dtype("bfloat16").name == "bfloat16"
    assert dtypes.numpy_dtype("float8_e4m3fn").itemsize == 1
    assert dtypes.numpy_dtype("float64") == np.float64


@pytest.mark.parametrize("pair", [("float8_e4m3fn", "bfloat16"), ("int32", "float8_e5m2")])
def test_float8_has_no_common_dtype_with_anything(pair):
    with pytest.raises(ValueError) as raised:
        kerasmirror.backend.result_type(*pair)
    assert str(raised.value) == (
        "keras: There is no implicit conversions from float8 dtypes to others, cast it first. "
        f"Received: dtypes={pair}"
    )


def test_a_policy_converts_inputs_as_layers_do():
    policy = kerasmirror.DTypePolicy("mixed_float16")
    for x, dtype in ((np.ones(2), "float16"), (np.ones(2, "int32"), "int32")):
        converted = policy.convert_input(x, True, "float16")
        assert kerasmirror.ops.is_tensor(converted) and converted.dtype == dtype
    assert policy.convert_input(np.ones(2), False, "float16").dtype == "float64"
    assert policy.convert_input("a", True, "float16") == "a"
    placeholder = policy.convert_input(kerasmirror.KerasTensor((2,)), True, "float16")
    assert isinstance(placeholder, kerasmirror.KerasTensor) and placeholder.dtype == "float16"


def test_products_of_complex_matrices_and_their_gradients(rng):
    a, b = (rng.standard_normal((2, 3, 3)) + 1j * rng.standard_normal((2, 3, 3)) for _ in "ab")
    x, y = kerasmirror.ops.convert_to_tensor(a), kerasmirror.ops.convert_to_tensor(b)
    with kerasmirror.autodiff.GradientTape() as tape:
        tape.watch([x, y])
        product = kerasmirror.ops.matmul(x, y)
        total = kerasmirror.ops.sum(kerasmirror.ops.real(product))
    np.testing.assert_allclose(product, a @ b, rtol=1e-12)
    dx, dy = tape.gradient(total, [x, y])
    ones = np.ones((2, 3, 3))
    np.testing.assert_allclose(dx, ones @ b.conj().swapaxes(-1, -2), rtol=1e-12)
    np.testing.assert_allclose(dy, a.conj().swapaxes(-1, -2) @ ones, rtol=1e-12)
