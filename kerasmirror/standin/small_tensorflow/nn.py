"""`tf.nn`: activations, losses and moments."""

from __future__ import annotations

from kerasmirror import ops, random
from kerasmirror.standin.small_tensorflow.math import (  # noqa: F401 - in tf.nn too
    in_top_k,
    l2_normalize,
    sigmoid,
    softplus,
    tanh,
    top_k,
)
from kerasmirror.standin.small_tensorflow.random import generator_for


def relu(features, name=None):
    return ops.relu(features)


def relu6(features, name=None):
    return ops.relu6(features)


def leaky_relu(features, alpha=0.2, name=None):
    return ops.leaky_relu(features, alpha)


def elu(features, name=None):
    return ops.elu(features)


def selu(features, name=None):
    return ops.selu(features)


def gelu(features, approximate=False, name=None):
    return ops.gelu(features, approximate)


def silu(features, beta=1.0):
    return ops.multiply(features, ops.sigmoid(ops.multiply(beta, features)))


swish = silu


def softsign(features, name=None):
    return ops.softsign(features)


def softmax(logits, axis=-1, name=None):
    return ops.softmax(logits, axis)


def log_softmax(logits, axis=-1, name=None):
    return ops.log_softmax(logits, axis)


def softmax_cross_entropy_with_logits(labels, logits, axis=-1, name=None):
    return ops.categorical_crossentropy(labels, logits, from_logits=True, axis=axis)


def sparse_softmax_cross_entropy_with_logits(labels, logits, name=None):
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def sigmoid_cross_entropy_with_logits(labels=None, logits=None, name=None):
    return ops.binary_crossentropy(labels, logits, from_logits=True)


def l2_loss(t, name=None):
    """sum(t^2) / 2"""
    return ops.divide(ops.sum(ops.square(t)), 2)


def dropout(x, rate, noise_shape=None, seed=None, name=None):
    return random.dropout(x, rate, noise_shape, generator_for(seed))


def moments(x, axes, shift=None, keepdims=False, name=None):
    return ops.moments(x, axes, keepdims)


def bias_add(value, bias, data_format=None, name=None):
    if data_format in ("NCHW", "NCW", "NCDHW"):
        bias = ops.reshape(bias, (-1, *(1,) * (len(value.shape) - 2)))
    return ops.add(value, bias)


def conv2d(input, filters, strides, padding, data_format="NHWC", dilations=None, name=None):
    """Of images and windows as Keras lays them out; `padding` is "SAME" or "VALID"."""
    form = "channels_last" if data_format == "NHWC" else "channels_first"
    return ops.conv(
        input, filters, _pair(strides, form), _padding(padding), form, _pair(dilations or 1, form)
    )


def max_pool2d(input, ksize, strides, padding, data_format="NHWC", name=None):
    form = "channels_last" if data_format == "NHWC" else "channels_first"
    return ops.max_pool(input, _pair(ksize, form), _pair(strides, form), _padding(padding), form)


def avg_pool2d(input, ksize, strides, padding, data_format="NHWC", name=None):
    form = "channels_last" if data_format == "NHWC" else "channels_first"
    pooled = ops.average_pool
    return pooled(input, _pair(ksize, form), _pair(strides, form), _padding(padding), form)


def _pair(value, form):
    """What is given for one, two or all four axes, as that of the two spatial axes."""
    if isinstance(value, int):
        return (value, value)
    value = tuple(int(n) for n in value)
    if len(value) == 4:
        return value[1:3] if form == "channels_last" else value[2:]
    return value * 2 if len(value) == 1 else value


def _padding(padding):
    if not isinstance(padding, str) or padding.upper() not in ("SAME", "VALID"):
        raise NotImplementedError(
            f'tf.nn: `padding` must be "SAME" or "VALID" here. Received: padding={padding!r}'
        )
    return padding.lower()
