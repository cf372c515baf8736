"""keras.regularizers and keras.constraints against Keras on TensorFlow."""

import numpy as np
import pytest
from side_by_side import real_keras, run_both

import kerasmirror

pytestmark = pytest.mark.keras
X = np.random.default_rng(2).standard_normal((5, 4)).astype("float32")

REGULARIZERS = {
    "L1": lambda keras: keras.regularizers.L1(0.2),
    "L2": lambda keras: keras.regularizers.L2(0.2),
    "L1L2": lambda keras: keras.regularizers.L1L2(0.2, 0.3),
    "rows": lambda keras: keras.regularizers.OrthogonalRegularizer(0.2),
    "columns": lambda keras: keras.regularizers.OrthogonalRegularizer(0.2, "columns"),
    "name": lambda keras: keras.regularizers.get("l2"),
}
CONSTRAINTS = {
    "max_norm": lambda keras: keras.constraints.MaxNorm(1.5),
    "max_norm_rows": lambda keras: keras.constraints.MaxNorm(1.5, axis=1),
    "unit_norm": lambda keras: keras.constraints.UnitNorm(),
    "min_max_norm": lambda keras: keras.constraints.MinMaxNorm(0.5, 1.5, 0.7),
    "non_neg": lambda keras: keras.constraints.NonNeg(),
}


@pytest.mark.parametrize("make", REGULARIZERS.values(), ids=REGULARIZERS)
def test_a_regularizer_and_its_gradient_match(make):
    run_both(lambda keras, x: make(keras)(x), X)
    keras, _ = real_keras()
    expected = keras.regularizers.serialize(make(keras))
    assert kerasmirror.regularizers.serialize(make(kerasmirror)) == expected


@pytest.mark.parametrize("make", CONSTRAINTS.values(), ids=CONSTRAINTS)
def test_a_constraint_and_its_gradient_match(make):
    run_both(lambda keras, x: make(keras)(x), X)
    keras, _ = real_keras()
    expected = keras.constraints.serialize(make(keras))
    assert kerasmirror.constraints.serialize(make(kerasmirror)) == expected
