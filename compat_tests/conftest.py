"""Fixtures of all tests, the table of tolerances, and what is skipped where Keras is missing."""

import gc
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


@pytest.fixture(autouse=True, scope="module")
def _only_new_objects_are_searched():
    """Spare garbage collections what was there before: TensorFlow's half a million objects.

    `clear_session` of both packages collects, in thousands of tests.
    """
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="session")
def some_gpu():
    """A GPU for this process: "real" where there is one, else "emulated"; skips without either."""
    pytest.importorskip("numba_cuda", reason="needs the package numba-cuda")
    pytest.importorskip("greenlet", reason="needs the package greenlet")
    from kerasmirror.kernels.cuda import device

    if not device.emulated() and device.count():
        yield "real"
        return
    patch = pytest.MonkeyPatch()
    patch.setenv(device.EMULATOR, "1")
    yield "emulated"
    patch.undo()


def pytest_collection_modifyitems(items):
    _skip_without_keras(items)
    _skip_without_gpu([item for item in items if item.get_closest_marker("cuda")])


def _skip_without_gpu(items):
    if not items:
        return
    try:
        from kerasmirror.kernels.cuda import device

        found = not device.emulated() and device.count()
    except ImportError:  # of numba-cuda
        found = False
    for item in () if found else items:
        item.add_marker(pytest.mark.skip(reason="needs an NVIDIA GPU, its driver and numba-cuda"))


def _skip_without_keras(items):
    missing = [n for n in ("keras", "tensorflow") if importlib.util.find_spec(n) is None]
    if not missing:
        return
    skip = pytest.mark.skip(reason=f"needs {' and '.join(missing)} to compare with")
    for item in items:
        if "keras" in item.keywords:
            item.add_marker(skip)
