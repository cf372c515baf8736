"""Attention layers against real Keras: outputs, scores, gradients, masks, configs."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import layers

real = pytest.importorskip("keras", reason="real Keras is not installed")
tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytestmark = pytest.mark.keras
MASK = np.array([[1, 1, 0, 1, 1], [1, 0, 0, 1, 0]], bool)
CASES = [
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, {}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "value_dim": 5, "output_shape": 7}, {}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3}, {"use_causal_mask": True}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "use_gate": True}, {}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "sliding_window": 2}, {}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "use_bias": False}, {"scores": True}),
    ("MultiHeadAttention", {"num_heads": 2, "key_dim": 3, "dropout": 0.3, "seed": 1}, {"t": True}),
    ("Attention", {}, {}),
    ("Attention", {"use_scale": True, "score_mode": "concat"}, {}),
    ("Attention", {"dropout": 0.3, "seed": 1}, {"t": True}),
    ("Attention", {}, {"use_causal_mask": True}),
    ("AdditiveAttention", {}, {}),
]


def arrays():
    rng = np.random.default_rng(3)
    return [rng.normal(size=(2, n, 4)).astype("float32") for n in (5, 5)]


def called(layer, inputs, call, masked):
    options = {"training": True} if call.get("t") else {}
    options |= {k: v for k, v in call.items() if k == "use_causal_mask"}
    if call.get("scores"):
        options["return_attention_scores"] = True
    if type(layer).__name__ == "MultiHeadAttention":
        if masked:
            options |= {"value_mask": MASK}
        return layer(*inputs, **options)
    if masked:
        options["mask"] = [None, layer_array(layer, MASK)]
    return layer(list(inputs), **options)


def layer_array(layer, mask):
    return mask if isinstance(layer, layers.Layer) else tf.constant(mask)


def built(package, name, options, inputs):
    layer = getattr(package.layers, name)(**options)
    called(layer, inputs, {}, False)
    rng = np.random.default_rng(7)
    layer.set_weights([rng.normal(size=w.shape) for w in layer.get_weights()])
    return layer


@pytest.mark.parametrize("name, options, call", CASES)
@pytest.mark.parametrize("masked", [False, True])
def test_outputs_and_gradients_match_keras(name, options, call, masked):
    xs = arrays()
    theirs_in = [tf.constant(x) for x in xs]
    theirs = built(real, name, options, theirs_in)
    with tf.GradientTape() as tape:
        tape.watch(theirs_in)
        expected = called(theirs, theirs_in, call, masked)
        first = expected[0] if isinstance(expected, tuple) else expected
        total = tf.reduce_sum(tf.square(first))
    weights = [w.value for w in theirs.trainable_weights]
    expected_grads = tape.gradient(total, theirs_in + weights)
    ours_in = [keras.ops.convert_to_tensor(x) for x in xs]
    ours = built(keras, name, options, ours_in)
    assert [w.name for w in ours.weights] == [w.name for w in theirs.weights]
    with keras.autodiff.GradientTape() as tape:
        tape.watch(ours_in)
        actual = called(ours, ours_in, call, masked)
        first = actual[0] if isinstance(actual, tuple) else actual
        total = keras.ops.sum(keras.ops.square(first))
    grads = tape.gradient(total, ours_in + ours.trainable_weights)
    if isinstance(expected, tuple):
        np.testing.assert_allclose(actual[1], expected[1], rtol=1e-4, atol=1e-5)
        expected = expected[0]
    np.testing.assert_allclose(first, expected, rtol=1e-4, atol=1e-4)
    # Of the largest gradient: that of the key's bias is 0 but for rounding.
    scale = max(float(np.max(np.abs(gradient))) for gradient in expected_grads)
    for one, other in zip(grads, expected_grads, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4 * scale)
    config, wanted = ours.get_config(), theirs.get_config()
    wanted["name"] = config["name"]
    assert config == wanted
    twin = type(ours).from_config(config)
    assert twin.get_config() == config


def test_masks_of_the_inputs_are_used_and_handed_on():
    tokens = np.array([[3, 1, 0, 0], [2, 2, 2, 0]])
    x = layers.Embedding(5, 4, mask_zero=True)(tokens)
    attention = layers.MultiHeadAttention(2, 3)
    y = attention(x, x)
    np.testing.assert_array_equal(y._keras_mask, tokens != 0)
    explicit = attention(
        np.asarray(x), np.asarray(x), query_mask=tokens != 0, value_mask=tokens != 0
    )
    np.testing.assert_allclose(y, explicit, rtol=1e-5)
