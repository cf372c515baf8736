"""Fixtures of all tests, the table of tolerances, and what is skipped where Keras is missing."""

import importlib.util
import os

# Before anything imports Keras or TensorFlow.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

import numpy as np
import pytest

# Relative and absolute, for values that went through a few operations in that dtype.
TOLERANCES = {
    "float64": (1e-10, 1e-12),
    "float32": (1e-5, 1e-6),
    "float16": (2e-3, 1e-3),
    "bfloat16": (2e-2, 1e-2),
}


@pytest.fixture
def rng():
    """NumPy's generator with one fixed seed."""
    return np.random.default_rng(20)


@pytest.fixture(scope="session")
def tolerance():
    """`tolerance("float32")`: the keyword arguments of `assert_allclose` for a dtype.

    Whole numbers and booleans must be equal.
    """

    def of(dtype):
        rtol, atol = TOLERANCES.get(str(dtype), (0, 0))
        return {"rtol": rtol, "atol": atol}

    return of


def pytest_collection_modifyitems(items):
    missing = [n for n in ("keras", "tensorflow") if importlib.util.find_spec(n) is None]
    if not missing:
        return
    skip = pytest.mark.skip(reason=f"needs {' and '.join(missing)} to compare with")
    for item in items:
        if "keras" in item.keywords:
            item.add_marker(skip)
