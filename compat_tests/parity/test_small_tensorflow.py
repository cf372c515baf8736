"""The names of TensorFlow that kerasmirror stands in for, against TensorFlow's own."""

import numpy as np
import pytest
from cases import small_tensorflow as cases

from kerasmirror.core import tree
from kerasmirror.standin import small_tensorflow


@pytest.fixture(scope="module")
def expected(real_keras):
    return real_keras.call(cases.run_all)


@pytest.mark.parametrize("name", cases.CASES)
def test_it_gives_what_tensorflow_gives(name, expected):
    actual = cases.plain(cases.CASES[name](small_tensorflow))
    tree.assert_same_structure(actual, expected[name])
    pairs = zip(tree.flatten(actual), tree.flatten(expected[name]), strict=True)
    for i, (ours, theirs) in enumerate(pairs):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape, i
        if ours.dtype.kind in "US":
            assert ours == theirs
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=str(i))
