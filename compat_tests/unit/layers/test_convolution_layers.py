"""Transposed, depthwise and separable convolutions, and those over volumes."""

from __future__ import annotations

import numpy as np
import pytest
from cases.mistakes import Mistake, ones, other_types, place, raised_by

from kerasmirror import layers, ops


def built(layer, shape):
    layer.build(shape)
    return layer


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("options", [{"strides": 2}, {"dilation_rate": 2}, {"padding": "same"}])
def test_a_transposed_convolution_is_the_adjoint_of_the_convolution(rank, options):
    """<conv(x), y> = <x, conv_transpose(y)>; TensorFlow has none with dilation on the CPU."""
    rng = np.random.default_rng(rank)
    x = rng.normal(size=(2, *(7, 5, 9)[:rank], 3)).astype("float32")
    plain = getattr(layers, f"Conv{rank}D")(4, 3, use_bias=False, **options)
    there = plain(x)
    y = rng.normal(size=there.shape).astype("float32")
    back = getattr(layers, f"Conv{rank}DTranspose")(3, 3, use_bias=False, **options)
    assert back.compute_output_shape(y.shape) == x.shape
    back.build(y.shape)
    back.set_weights(plain.get_weights())
    assert back(y).shape == x.shape
    np.testing.assert_allclose(np.sum(there * y), np.sum(x * np.asarray(back(y))), rtol=1e-4)


@pytest.mark.parametrize(
    "layer", [layers.DepthwiseConv2D(3), layers.SeparableConv2D(5, 2, activation="tanh")]
)
def test_strides_may_differ_which_tensorflow_refuses(layer):
    x = np.random.default_rng(0).normal(size=(2, 9, 8, 3)).astype("float32")
    every = np.asarray(layer(x))
    config = {**layer.get_config(), "strides": (2, 3)}
    strided = built(type(layer).from_config(config), x.shape)
    strided.set_weights(layer.get_weights())
    assert strided.compute_output_shape(x.shape) == strided(x).shape
    np.testing.assert_allclose(strided(x), every[:, ::2, ::3], rtol=1e-5, atol=1e-6)


def test_a_separable_convolution_is_a_depthwise_one_and_a_dense_layer_on_every_place():
    x = np.random.default_rng(0).normal(size=(2, 6, 6, 3)).astype("float32")
    layer = layers.SeparableConv2D(5, 3, depth_multiplier=2, padding="same")
    whole = layer(x)
    each = built(layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2), x.shape)
    each.set_weights([layer.get_weights()[0], np.zeros(6, "float32")])
    mixed = ops.matmul(each(x), layer.get_weights()[1][0, 0])
    np.testing.assert_allclose(whole, mixed, rtol=1e-4, atol=1e-5)


MISTAKES = [
    Mistake(
        lambda keras: keras.layers.Conv2DTranspose(0, 3),
        ValueError,
        "Conv2DTranspose: `filters` must be a positive integer. Received: filters=0",
    ),
    Mistake(
        lambda keras: keras.layers.Conv2DTranspose(4, 3, strides=2, dilation_rate=2),
        ValueError,
        (
            "Conv2DTranspose: `strides` must be 1 where `dilation_rate` is above 1. "
            "Received: strides=(2, 2), dilation_rate=(2, 2)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv2DTranspose(4, 3, strides=2, output_padding=(0, 2)),
        ValueError,
        (
            "Conv2DTranspose: `output_padding` must be less than `strides` along each axis. "
            "Received: output_padding=(0, 2), strides=(2, 2)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv1DTranspose(4, 3, output_padding=-1),
        ValueError,
        "Conv1DTranspose: `output_padding` must be one int at least 0. Received: output_padding=-1",
    ),
    Mistake(
        lambda keras: keras.layers.Conv1DTranspose(4, 3, padding="causal"),
        ValueError,
        'Conv1DTranspose: `padding` must be "valid" or "same". Received: padding=\'causal\'',
    ),
    Mistake(
        lambda keras: keras.layers.Conv2DTranspose(4, 3).build((None, 5, 5, None)),
        ValueError,
        (
            "Conv2DTranspose: `inputs` must have a known number of channels. Received: inputs of "
            "shape (None, 5, 5, None)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.DepthwiseConv2D(3, depth_multiplier=0),
        ValueError,
        "DepthwiseConv2D: `depth_multiplier` must be a positive integer. "
        "Received: depth_multiplier=0",
    ),
    Mistake(
        lambda keras: keras.layers.DepthwiseConv2D(9)(ones(1, 5, 5, 3)),
        ValueError,
        (
            "DepthwiseConv2D: `inputs` must be at least as large as the dilated window. Received: "
            "inputs.shape=(1, 5, 5, 3), kernel.shape=(9, 9, 1, 3), dilation_rate=(1, 1), "
            "padding='valid'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.SeparableConv2D(4, (3, 3, 3)),
        ValueError,
        (
            "SeparableConv2D: `kernel_size` must be one int or 2 ints, each at least 1. "
            "Received: kernel_size=(3, 3, 3)"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.SeparableConv2D(-1, 3),
        ValueError,
        "SeparableConv2D: `filters` must be a positive integer. Received: filters=-1",
    ),
    Mistake(
        lambda keras: keras.layers.Conv3D(4, 3)(ones(1, 5, 5, 3)),
        ValueError,
        (
            "Layer 'conv3d': `inputs` is incompatible with the layer: "
            "it must have 5 axes (expected ndim=5, found ndim=4). "
            "Received: an input of shape (1, 5, 5, 3) and dtype float32"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv3D(4, (2, 7, 2))(ones(1, 5, 5, 5, 3)),
        ValueError,
        (
            "Conv3D: `inputs` must be at least as large as the dilated window. Received: "
            "inputs.shape=(1, 5, 5, 5, 3), kernel_size=(2, 7, 2), dilation_rate=(1, 1, 1), "
            "padding='valid'"
        ),
    ),
    Mistake(
        lambda keras: keras.layers.Conv3D(4, 3, groups=2)(ones(1, 5, 5, 5, 3)),
        ValueError,
        (
            "Conv3D: `groups` must divide the number of input channels. Received: "
            "groups=2, inputs of shape (1, 5, 5, 5, 3) with 3 channels"
        ),
    ),
]


@pytest.mark.parametrize("mistake", MISTAKES, ids=place)
def test_a_mistake_raises_its_whole_message(mistake):
    assert raised_by(mistake) == (mistake.error, mistake.message)


@pytest.mark.keras
def test_real_keras_raises_the_same_types():
    assert other_types(MISTAKES, pytest.importorskip("keras")) == []
