"""Fixtures for tests of one's own models: `pytest_plugins = ["kerasmirror.parity.pytest_plugin"]`.

def test_my_model(assert_parity):
    assert_parity(build_my_model, steps=10)
"""

from __future__ import annotations

import functools

import pytest

from kerasmirror.parity import assert_parity as _assert_parity
from kerasmirror.parity import compare
from kerasmirror.parity.peer import RealKeras


@pytest.fixture(scope="session")
def real_keras():
    """A process with real Keras on TensorFlow, one for the whole run.

    `real_keras.call(function, *arguments)` runs a module-level function there, which gets `keras`
    as its first argument. Skips where Keras or TensorFlow is not installed.
    """
    pytest.importorskip("keras", reason="real Keras is not installed")
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    with RealKeras() as real:
        yield real


@pytest.fixture
def parity_report(real_keras):
    """`parity_report(build, data, ...)`: kerasmirror.parity.compare with the run's real Keras."""
    return functools.partial(compare, real=real_keras)


@pytest.fixture
def assert_parity(real_keras):
    """The same, failing with the table if the two packages differ; gives the report."""
    return functools.partial(_assert_parity, real=real_keras)
