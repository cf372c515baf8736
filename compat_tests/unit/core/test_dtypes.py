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
