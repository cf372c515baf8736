"""Real Keras in a child process, one for the whole run, and real data where there is some."""

import os

import pytest

# pytest finds fixtures by their names in here.
from kerasmirror.parity.pytest_plugin import assert_parity, parity_report, real_keras  # noqa: F401


@pytest.fixture(scope="session")
def data_folder():
    """The folder with real data sets that KERASMIRROR_DATASETS names."""
    folder = os.environ.get("KERASMIRROR_DATASETS")
    if not folder:
        pytest.skip("real data: KERASMIRROR_DATASETS names no folder")
    return folder
