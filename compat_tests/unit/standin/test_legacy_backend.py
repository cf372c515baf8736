"""Functions of Keras 2's backend, against those that TensorFlow's Keras still has."""

from __future__ import annotations

import types

import numpy as np
import pytest

from kerasmirror.standin.small_tensorflow import legacy_backend

VALUES = np.array([[0.2, 0.9, 0.4], [0.6, 0.1, 0.8]], "float32")
TARGETS = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]], "float32")
CASES = {
    "means": lambda K, A, T: [K.mean(A), K.mean(A, axis=-1, keepdims=True), K.std(A), K.var(A, 0)],
    "sums": lambda K, A, T: [K.sum(A, axis=1), K.prod(A), K.max(A, 0), K.min(A), K.any(A > 0.5)],
    "clip": lambda K, A, T: [K.clip(A, 0.3, 0.5), K.clip(A, 0.3, None)],
    "elementwise": lambda K, A, T: [
        K.abs(-A),
        K.square(A),
        K.sqrt(A),
        K.exp(A),
        K.log(A),
        K.pow(A, 3),
    ],
    "activations": lambda K, A, T: [
        K.relu(A - 0.5),
        K.sigmoid(A),
        K.tanh(A),
        K.softmax(A),
        K.elu(-A),
    ],
    "places": lambda K, A, T: [K.argmax(A), K.argmin(A, 0), K.cumsum(A, 1)],
    "products": lambda K, A, T: [K.dot(A, K.transpose(A)), K.l2_normalize(A, axis=-1)],
    "shapes": lambda K, A, T: [
        K.flatten(A),
        K.batch_flatten(A[..., None]),
        K.expand_dims(A, 0),
        K.permute_dimensions(A, (1, 0)),
        K.repeat(A, 2),
        K.repeat_elements(A, 2, 1),
        K.reverse(A, 1),
        K.tile(A, [2, 1]),
        K.concatenate([A, A]),
        K.stack([A, A]),
        K.gather(A, K.constant([1, 0], "int32")),
        K.one_hot(K.constant([0, 2], "int32"), 3),
    ],
    "comparisons": lambda K, A, T: [K.equal(A, T), K.greater(A, 0.5), K.maximum(A, T), K.round(A)],
    "choice": lambda K, A, T: K.switch(A > 0.5, A, T),
    "losses": lambda K, A, T: [
        K.categorical_crossentropy(T, A / K.sum(A, 1, keepdims=True)),
        K.sparse_categorical_crossentropy(K.constant([1, 0]), A, from_logits=True),
        K.binary_crossentropy(T, A),
        K.binary_crossentropy(T, A, from_logits=True),
    ],
    "variables": lambda K, A, T: [
        K.get_value(K.variable(VALUES)),
        K.eval(K.ones((2,))),
        K.get_value(K.zeros((2, 1))),
        K.get_value(K.eye(2)),
        K.zeros_like(A),
    ],
    "sizes": lambda K, A, T: [
        K.int_shape(K.variable(VALUES)),
        K.ndim(K.variable(VALUES)),
        K.count_params(A),
    ],
}


@pytest.mark.keras
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CASES)
def test_it_gives_what_keras_gives(name):
    theirs = pytest.importorskip("keras._tf_keras.keras.backend")
    actual, expected = (
        CASES[name](one, one.constant(VALUES), one.constant(TARGETS))
        for one in (legacy_backend, theirs)
    )
    if not isinstance(actual, list):
        actual, expected = [actual], [expected]
    for i, (one, other) in enumerate(zip(actual, expected, strict=True)):
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape, i
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6, err_msg=str(i))


def test_what_a_variable_holds_is_set_and_changed():
    x = legacy_backend.variable([1.0, 2.0])
    legacy_backend.set_value(x, [3, 4])
    legacy_backend.update_add(x, [1.0, 1.0])
    legacy_backend.update_sub(x, [0.5, 0.5])
    assert legacy_backend.batch_get_value([x])[0].tolist() == [3.5, 4.5]
    legacy_backend.batch_set_value([(x, [0, 1])])
    assert legacy_backend.get_value(legacy_backend.update(x, [7.0, 8.0])).tolist() == [7.0, 8.0]


def test_names_that_are_there_stay_as_they_are():
    backend = types.SimpleNamespace(mean="kept")
    legacy_backend.install(backend)
    assert backend.mean == "kept"
    assert backend.square is legacy_backend.square
    assert not hasattr(backend, "install") and not hasattr(backend, "np")
