"""Fixtures of all tests."""

import numpy as np
import pytest


@pytest.fixture
def rng():
    """NumPy's generator with one fixed seed."""
    return np.random.default_rng(20)
