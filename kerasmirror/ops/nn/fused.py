"""Several layers in one operation: one pass over memory for each pass of the layers.

The numbers are those of the operations one by one, to the bit in the forward pass, with the same
random numbers for dropout; sums in gradients are taken in another order. models/fusion.py finds the
layers. Letters as in ops/nn/conv.py; pool is a PoolGeometry, pair the two words of dropout's seed.
"""

from __future__ import annotations

import math

from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.device import contiguous
from kerasmirror.ops.nn.dense import affine, windowed_tangent
from kerasmirror.ops.nn.pool import max_pool_tangent

LARGEST_WINDOW = 255  # places of a pooling that a byte can tell apart


def _pooled_shape(shape, pool, flat):
    if pool is not None:
        shape = (shape[0], *pool.out_size[-(len(shape) - 2) :], shape[-1])
    if flat:
        return (shape[0], None if None in shape[1:] else math.prod(shape[1:]))
    return shape


def _pooled(k, x, pool, relu, pair, rate, keep):
    """(the largest values of x's windows after dropout, the places that their gradient takes)."""
    if keep or rate:
        return k.max_pool2d_places(x, pool, relu, pair, rate)
    return k.max_pool2d(x, pool), None


def _pool_spec(x, *, pool, pair=None, rate=0.0, keep=True, flat=False):
    return _pooled_shape(x.shape, pool, flat), x.dtype


@primitive("max_pool_dropout", spec=_pool_spec)
def max_pool_dropout(k, x, *, pool, pair=None, rate=0.0, keep=True, flat=False):
    """`dropout(max_pool(x))`, flattened where `flat`; `keep` what gradients need.

    Shapes: x (N, H, W, C) or (N, W, C), result (N, P, Q, C) or (N, Q, C).
    """
    shape = x.shape
    x_shape = shape if x.ndim == 4 else (shape[0], 1, *shape[1:])
    z, places = _pooled(k, x.reshape(x_shape), pool, False, pair, rate, keep)

    def backward(dz, needs):
        dz = dz.reshape(places.shape)
        dx, _ = k.max_pool2d_places_grad_input(dz, places, x_shape, pool, rate)
        return (dx.reshape(shape),)

    return z.reshape(_pooled_shape(shape, pool, flat)), backward if keep else None


def _dropped(k, dy, pair, rate):
    """The change behind dropout, whose mask the same seed gives again."""
    return k.dropout(contiguous(dy), pair, rate, None) if rate else dy


@max_pool_dropout.forward
def _max_pool_dropout_tangent(
    k, inputs, changes, y, *, pool, pair=None, rate=0.0, keep=True, flat=False
):
    largest = k.max_pool2d(_four_axes(inputs[0]), pool)
    dy = max_pool_tangent(_four_axes(inputs[0]), _four_axes(changes[0]), largest, pool)
    return _dropped(k, dy, pair, rate).reshape(y.shape)


def _four_axes(x):
    return x if x.ndim == 4 else x[:, None]


def _conv_spec(x, w, bias, *, geometry, activation, pool=None, pair=None, rate=0.0,
               keep=True, flat=False):  # fmt: skip
    size = geometry.out_size[-(len(x.shape) - 2) :]
    return _pooled_shape((x.shape[0], *size, w.shape[-1]), pool, flat), x.dtype


@primitive("conv2d_pool_dropout", spec=_conv_spec)
def conv2d_pool_dropout(
    k, x, w, bias, *, geometry, activation, pool=None, pair=None, rate=0.0, keep=True, flat=False
):
    """`dropout(max_pool(activation(conv(x, w) + bias)))`, activation "linear" or "relu".

    Without `pool`, gradients need the activation to be "relu": they go by its zeros. With it, the
    convolution's result is let go right after the pooling; one byte for each maximum stays.
    Shapes: x (N, H, W, C) or (N, W, C), w (R, S, C / groups, F) or (S, C / groups, F), bias (F,) or
    None, result (N, P, Q, F) or (N, Q, F), flattened where `flat`.
    """
    shape, w_shape = x.shape, w.shape
    if x.ndim == 3:
        x, w = x[:, None], w[None]
    relu = activation == "relu"
    y = k.conv2d(x, w, bias, geometry, activation)
    conv_shape, places = y.shape, None
    if pool is not None:
        y, places = _pooled(k, y, pool, relu, pair, rate, keep)
    elif rate:
        y = k.dropout_in_place(y, pair, rate)
    # Behind a pooling the places alone are kept; the result belongs to who asked for it.
    z = y if pool is None else None

    def backward(dz, needs):
        if pool is not None:
            dz = dz.reshape(places.shape)
            dy, sums = k.max_pool2d_places_grad_input(dz, places, conv_shape, pool, rate)
        else:
            dy, sums = k.relu_grad_sums(dz.reshape(conv_shape), z, 1.0 / (1.0 - rate))
        dx = dw = None
        if needs[0]:
            dx = k.conv2d_grad_input(dy, w, x.shape, geometry).reshape(shape)
        if needs[1]:
            dw = k.conv2d_grad_kernel(dy, x, w.shape, geometry).reshape(w_shape)
        return dx, dw, sums

    size = geometry.out_size[-(len(shape) - 2) :]
    result = _pooled_shape((shape[0], *size, w_shape[-1]), pool, flat)
    return y.reshape(result), backward if keep else None


@conv2d_pool_dropout.forward
def _conv_pool_dropout_tangent(
    k, inputs, changes, y, *, geometry, activation, pool=None, pair=None, rate=0.0, keep=True,
    flat=False
):  # fmt: skip
    def conv(k, x, w, bias, activation):
        x, w = (x[:, None], w[None]) if x.ndim == 3 else (x, w)
        return (k.conv2d(x, w, bias, geometry, activation),)

    z = conv(k, *inputs, activation)[0]
    dz = windowed_tangent(conv, k, inputs, changes, z, activation)
    if pool is not None:
        dz = max_pool_tangent(z, dz, k.max_pool2d(z, pool), pool)
    return _dropped(k, dz, pair, rate).reshape(y.shape)


def _affine_spec(x, w, bias, *, pair=None, rate=0.0, keep=True):
    return (*x.shape[:-1], w.shape[1]), x.dtype


@primitive("affine_relu_dropout", spec=_affine_spec)
def affine_relu_dropout(k, x, w, bias, *, pair=None, rate=0.0, keep=True):
    """`dropout(relu(x @ w + bias))`; shapes as `affine`."""
    rows = x if x.ndim == 2 else x.reshape(-1, w.shape[0])
    z = k.dense(rows, w, bias, "relu")
    if rate:
        z = k.dropout_in_place(z, pair, rate)

    def backward(dz, needs):
        dy, sums = k.relu_grad_sums(dz.reshape(z.shape), z, 1.0 / (1.0 - rate))
        # As behind `affine`: dx = dy w^T, dw = x^T dy, db = sum of dy's rows.
        dx = k.dense_grad_input(dy, w).reshape(x.shape) if needs[0] else None
        dw = k.dense_grad_kernel(rows, dy) if needs[1] else None
        return dx, dw, sums

    return z.reshape(*x.shape[:-1], w.shape[1]), backward if keep else None


@affine_relu_dropout.forward
def _affine_relu_dropout_tangent(k, inputs, changes, y, *, pair=None, rate=0.0, keep=True):
    z = affine.rule(k, *inputs, activation="relu")[0]
    dz = windowed_tangent(affine.rule, k, inputs, changes, z, "relu")
    rows = dz.reshape(-1, dz.shape[-1])
    return _dropped(k, rows, pair, rate).reshape(y.shape)


def _folded_spec(w, bias, mean, var, gamma, beta, *, epsilon):
    return [(w.shape, w.dtype), (mean.shape, w.dtype)]


@primitive(
    "batch_norm_weights",
    spec=_folded_spec,
    tangent=tangents.without_gradient("it is for prediction"),
)
def batch_norm_weights(k, w, bias, mean, var, gamma, beta, *, epsilon):
    """The weights and the bias of a layer with a batch normalization behind it, both in one.

    For prediction: without gradients. bias, gamma and beta may be None.
    """
    return k.batch_norm_weights(w, bias, mean, var, gamma, beta, epsilon), None
