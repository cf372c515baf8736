"""Real Keras in a child process, one for the whole run, and real data where there is some."""

import os

import pytest

from kerasmirror.parity import RealKeras


@pytest.fixture(scope="session")
def real_keras():
    """A process with real Keras on TensorFlow: `real_keras.call(function, *arguments)`."""
    pytest.importorskip("keras", reason="real Keras is not installed")
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    with RealKeras() as real:
        yield real


@pytest.fixture(scope="session")
def data_folder():
    """The folder with real data sets that KERASMIRROR_DATASETS names."""
    folder = os.environ.get("KERASMIRROR_DATASETS")
    if not folder:
        pytest.skip("real data: KERASMIRROR_DATASETS names no folder")
    return folder
