"""LoRA's life, embeddings out of range, lambdas in configs, masks that layers make."""

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror import layers


def lora_model():
    return keras.Sequential([keras.Input((4,)), layers.Dense(3, activation="tanh")])


def test_lora_learns_on_a_fixed_kernel_and_is_saved_as_one_weight(rng, tmp_path):
    x, y = (rng.normal(size=(32, n)).astype("float32") for n in (4, 3))
    model = lora_model()
    dense = model.layers[0]
    kernel = dense.kernel.numpy()
    dense.enable_lora(2, lora_alpha=3)
    assert [w.path.rpartition("/")[2] for w in dense.trainable_weights] == [
        "bias",
        "lora_kernel_a",
        "lora_kernel_b",
    ]
    model.compile("sgd", "mse")
    model.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(dense._kernel.numpy(), kernel)
    assert np.abs(dense.lora_kernel_b.numpy()).max() > 0
    merged = kernel + 1.5 * dense.lora_kernel_a.numpy() @ dense.lora_kernel_b.numpy()
    np.testing.assert_allclose(dense.kernel, merged, rtol=1e-5)
    path = tmp_path / "lora.weights.h5"
    model.save_weights(path)
    plain = lora_model()
    plain.load_weights(path)
    np.testing.assert_allclose(plain.layers[0].kernel.numpy(), merged, rtol=1e-5)
    np.testing.assert_allclose(plain.predict(x), model.predict(x), rtol=1e-4, atol=1e-5)
    model.load_weights(path)
    assert not dense.lora_kernel_a.numpy().any()
    np.testing.assert_allclose(plain.predict(x), model.predict(x), rtol=1e-4, atol=1e-5)


def test_a_number_without_a_vector_names_the_layer():
    layer = layers.Embedding(3, 2, name="words")
    with pytest.raises(IndexError) as error:
        layer(np.array([[0, 3]]))
    assert str(error.value) == (
        "Embedding: layer 'words': the indices must be within [0, 3). "
        "Received: indices from 0 to 3, of shape (1, 2)"
    )


def test_a_lambda_is_loaded_only_where_that_was_asked_for():
    layer = layers.Lambda(lambda x, n=3: x * n, output_shape=lambda shape: shape)
    config = layer.get_config()
    with pytest.raises(ValueError, match="code of a Python lambda"):
        layers.Lambda.from_config(config)
    with pytest.raises(Exception, match="code of a Python lambda"):
        layers.deserialize(layers.serialize(layer))
    twin = layers.Lambda.from_config(config, safe_mode=False)
    np.testing.assert_array_equal(twin(np.ones((2, 2), "float32")), np.full((2, 2), 3.0))


def test_masking_masks_steps_and_embeddings_mask_zeros():
    x = np.array([[[1.0, 2.0], [5.0, 5.0], [5.0, 3.0]]], "float32")
    y = layers.Masking(5.0)(x)
    np.testing.assert_array_equal(y._keras_mask, [[True, False, True]])
    np.testing.assert_array_equal(y, [[[1, 2], [0, 0], [5, 3]]])
    assert layers.Embedding(4, 2, mask_zero=True)(np.array([[1, 0]]))._keras_mask.tolist() == [
        [True, False]
    ]


def test_a_shape_error_names_the_layer_its_path_and_the_shapes():
    inner = layers.Dense(2, name="inner")
    model = keras.Sequential([keras.Input((3,)), inner], name="outer")
    model(np.ones((1, 3)))
    with pytest.raises(ValueError) as error:
        inner(np.ones((1, 4), "float32"))
    where = "" if inner.path == "inner" else f" at '{inner.path}'"
    assert str(error.value) == (
        f"Layer 'inner'{where}: `inputs` is incompatible with the layer: it must have size 3 on "
        "axis -1. Received: an input of shape (1, 4) and dtype float32"
    )
