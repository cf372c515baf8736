"""One function of user code, run with the real Keras on TensorFlow and with the mirror.

`run_both(function, *arrays)` calls `function(keras, *tensors)` on either side and compares the
results, and the gradients of their weighted sum for every float array.
"""

import warnings

import numpy as np
import pytest

import kerasmirror


def real_keras():
    """Keras on TensorFlow; the test is skipped where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensorflow = pytest.importorskip("tensorflow")
        keras = pytest.importorskip("keras")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("needs Keras on TensorFlow")
    return keras, tensorflow


def is_float(array):
    return isinstance(array, np.ndarray) and array.dtype.kind == "f"


def as_parts(result):
    return list(result) if isinstance(result, (tuple, list)) else [result]


def on_keras(function, arrays, weights=None):
    keras, tf = real_keras()
    inputs = [tf.constant(a) if isinstance(a, np.ndarray) else a for a in arrays]
    watched = [t for t, a in zip(inputs, arrays, strict=True) if is_float(a)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with tf.GradientTape() as tape:
            tape.watch(watched)
            parts = as_parts(function(keras, *inputs))
            if weights is None:
                weights = weights_for([np.asarray(p) for p in parts])
            pairs = [(p, w) for p, w in zip(parts, weights, strict=True) if w.dtype.kind == "f"]
            total = sum(tf.reduce_sum(p * w) for p, w in pairs)
        grads = tape.gradient(total, watched, unconnected_gradients="zero") if watched else []
    return (
        [np.asarray(p) for p in parts],
        [np.asarray(tf.convert_to_tensor(g)) for g in grads],
        weights,
    )


def on_mirror(function, arrays, weights):
    inputs = [
        kerasmirror.ops.convert_to_tensor(a) if isinstance(a, np.ndarray) else a for a in arrays
    ]
    watched = [t for t, a in zip(inputs, arrays, strict=True) if is_float(a)]
    with kerasmirror.autodiff.GradientTape() as tape:
        tape.watch(watched)
        parts = as_parts(function(kerasmirror, *inputs))
    seeds = [kerasmirror.ops.convert_to_tensor(w) for w in weights]
    grads = tape.gradient(parts, watched, output_gradients=seeds, unconnected_gradients="zero")
    return [np.asarray(p) for p in parts], [np.asarray(g) for g in grads]


def weights_for(parts):
    rng = np.random.default_rng(11)
    return [rng.uniform(0.5, 1.5, p.shape).astype(p.dtype) for p in parts]


def assert_near(actual, expected, what, rtol=1e-5):
    """Equal shapes and dtypes, and a largest error of `rtol` times the largest value."""
    assert actual.shape == expected.shape, what
    assert actual.dtype == expected.dtype, what
    scale = np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0) + 1e-30
    np.testing.assert_allclose(actual, expected, rtol=rtol, atol=rtol * scale, err_msg=what)


def run_both(function, *arrays, rtol=1e-5, gradients=True):
    expected, expected_grads, weights = on_keras(function, arrays)
    actual, actual_grads = on_mirror(function, arrays, weights)
    for i, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert_near(a, e, f"result {i}", rtol)
    if gradients:
        for i, (a, e) in enumerate(zip(actual_grads, expected_grads, strict=True)):
            assert_near(a, e, f"gradient {i}", rtol)
