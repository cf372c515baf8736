"""Primitives as operations that have second derivatives: what runs in their place in two tapes.

Each function takes the inputs and options of the primitive of that name and gives what it gives.
"""

from __future__ import annotations

import math

import numpy as np

from kerasmirror.autodiff.nested import expands
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops import linalg
from kerasmirror.ops.math import rsqrt
from kerasmirror.ops.nn import activation, attention, encoding
from kerasmirror.ops.numpy import (
    contraction,
    elementwise,
    indexing,
    joining,
    reduction,
    repetition,
    shape,
)


def _centred(x, axes):
    mean = reduction.mean(x, axes, keepdims=True)
    return mean, elementwise.subtract(x, mean)


def _mean_square(x, axes, keepdims=True):
    return reduction.mean(elementwise.square(x), axes, keepdims=keepdims)


def _scaled(z, gamma, beta):
    z = z if gamma is None else elementwise.multiply(z, gamma)
    return z if beta is None else elementwise.add(z, beta)


def _inverse_root(variance, epsilon):
    return rsqrt(elementwise.add(variance, epsilon))


@expands("moments")
def _moments(x, *, axes, keepdims):
    _, centred = _centred(x, axes)
    return reduction.mean(x, axes, keepdims), _mean_square(centred, axes, keepdims)


@expands("variance")
def _variance(x, *, axes, keepdims):
    return _moments(x, axes=axes, keepdims=keepdims)[1]


@expands("batch_norm_train")
def _batch_norm_train(x, gamma, beta, *, epsilon, relu=False):
    axes = tuple(range(len(x.shape) - 1))
    mean, centred = _centred(x, axes)
    variance = _mean_square(centred, axes)
    y = _scaled(elementwise.multiply(centred, _inverse_root(variance, epsilon)), gamma, beta)
    statistics = [shape.reshape(part, x.shape[-1:]) for part in (mean, variance)]
    return activation.relu(y) if relu else y, *statistics


@expands("batch_norm")
def _batch_norm(x, mean, var, gamma, beta, *, axis, epsilon):
    wide = [1] * len(x.shape)
    wide[axis] = x.shape[axis]
    mean, var, gamma, beta = [
        None if part is None else shape.reshape(part, wide) for part in (mean, var, gamma, beta)
    ]
    z = elementwise.multiply(elementwise.subtract(x, mean), _inverse_root(var, epsilon))
    return _scaled(z, gamma, beta)


@expands("norm")
def _norm(x, gamma, beta, *, axes, epsilon, kind):
    gamma, beta = [_stretched(part, x.shape, axes) for part in (gamma, beta)]
    if kind == "rms":
        return _scaled(
            elementwise.multiply(x, _inverse_root(_mean_square(x, axes), epsilon)), gamma, beta
        )
    _, centred = _centred(x, axes)
    inverse = _inverse_root(_mean_square(centred, axes), epsilon)
    shifted = centred if kind == "centred" else x
    return _scaled(elementwise.multiply(shifted, inverse), gamma, beta)


def _stretched(vector, whole, axes):
    """A scale or shift, which has the sizes of `axes`, as it broadcasts with the inputs."""
    if vector is None or len(vector.shape) == len(whole):
        return vector
    return shape.reshape(vector, [n if i in axes else 1 for i, n in enumerate(whole)])


@expands("group_norm")
def _group_norm(x, gamma, beta, *, groups, epsilon):
    whole = x.shape
    split = shape.reshape(x, (whole[0], -1, groups, whole[-1] // groups))
    _, centred = _centred(split, (1, 3))
    inverse = _inverse_root(_mean_square(centred, (1, 3)), epsilon)
    return _scaled(shape.reshape(elementwise.multiply(centred, inverse), whole), gamma, beta)


@expands("softmax")
def _softmax(x, *, axes):
    return elementwise.exp(_log_softmax(x, axes=axes))


@expands("log_softmax")
def _log_softmax(x, *, axes):
    return elementwise.subtract(x, _logsumexp(x, axes=axes, keepdims=True))


@expands("logsumexp")
def _logsumexp(x, *, axes, keepdims):
    # The shift is a constant: it takes no part in the derivatives.
    largest = np.max(x.data, axis=axes, keepdims=True)
    largest = Tensor(np.where(np.isfinite(largest), largest, x.data.dtype.type(0)))
    total = reduction.sum(elementwise.exp(elementwise.subtract(x, largest)), axes, keepdims=True)
    y = elementwise.add(elementwise.log(total), largest)
    return y if keepdims else shape.squeeze(y, axes)


@expands("cross_entropy_from_logits")
def _cross_entropy_from_logits(target, logits, *, axis):
    products = elementwise.multiply(target, _log_softmax(logits, axes=(axis,)))
    return elementwise.negative(reduction.sum(products, axis))


@expands("cross_entropy")
def _cross_entropy(target, output, *, axis, epsilon):
    p = elementwise.divide(output, reduction.sum(output, axis, keepdims=True))
    logs = elementwise.log(elementwise.clip(p, epsilon, 1 - epsilon))
    return elementwise.negative(reduction.sum(elementwise.multiply(target, logs), axis))


@expands("sparse_cross_entropy_from_logits")
def _sparse_cross_entropy_from_logits(logits, *, labels):
    hot = encoding.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    hot = shape.reshape(hot, logits.shape)
    return _cross_entropy_from_logits(hot, logits, axis=len(logits.shape) - 1)


@expands("sparse_cross_entropy")
def _sparse_cross_entropy(output, *, labels, epsilon):
    logs = elementwise.log(elementwise.clip(output, epsilon, 1 - epsilon))
    return _sparse_cross_entropy_from_logits(logs, labels=labels)


@expands("binary_cross_entropy")
def _binary_cross_entropy(target, output, *, epsilon):
    p = elementwise.clip(output, epsilon, 1 - epsilon)
    other = elementwise.subtract(1, p)
    hit = elementwise.multiply(target, elementwise.log(p))
    miss = elementwise.multiply(elementwise.subtract(1, target), elementwise.log(other))
    return elementwise.negative(elementwise.add(hit, miss))


@expands("normalize")
def _normalize(x, *, axes, order, epsilon):
    if order == 2:
        total = reduction.sum(elementwise.square(x), axes, keepdims=True)
    else:
        powers = elementwise.power(elementwise.absolute(x), order)
        total = reduction.sum(powers, axes, keepdims=True)
    # Where the norm is held at epsilon the root's slope, infinite at 0, must not come in.
    held = Tensor(total.data <= epsilon**order)
    root = elementwise.power(indexing.where(held, 1.0, total), 1 / order)
    return elementwise.divide(x, indexing.where(held, float(epsilon), root))


@expands("prod")
def _prod(x, *, axes, keepdims):
    y = x
    for axis in sorted(axes, reverse=True):
        index = (slice(None),) * axis
        parts = [y[(*index, i)] for i in range(y.shape[axis])]
        y = parts[0]
        for part in parts[1:]:
            y = elementwise.multiply(y, part)
    return (
        shape.reshape(y, [1 if i in axes else n for i, n in enumerate(x.shape)]) if keepdims else y
    )


@expands("glu")
def _glu(x, *, axis):
    half = x.shape[axis] // 2
    index = (slice(None),) * axis
    first, second = x[(*index, slice(None, half))], x[(*index, slice(half, None))]
    return elementwise.multiply(first, activation.sigmoid(second))


@expands("gelu_approximate")
def _gelu_approximate(x):
    cubes = elementwise.multiply(elementwise.power(x, 3), 0.044715)
    inner = elementwise.multiply(elementwise.add(x, cubes), math.sqrt(2 / math.pi))
    half = elementwise.multiply(x, 0.5)
    return elementwise.multiply(half, elementwise.add(elementwise.tanh(inner), 1))


@expands("mish")
def _mish(x):
    return elementwise.multiply(x, elementwise.tanh(activation.softplus(x)))


@expands("selu")
def _selu(x):
    # The constants of Klambauer et al. 2017.
    return elementwise.multiply(activation.elu(x, 1.6732632423543772), 1.0507009873554805)


@expands("cumprod")
def _cumprod(x, *, axis):
    if axis is None:
        x, axis = shape.reshape(x, (-1,)), 0
    index = (slice(None),) * axis
    products = [x[(*index, slice(0, 1))]]
    for i in range(1, x.shape[axis]):
        products.append(elementwise.multiply(products[-1], x[(*index, slice(i, i + 1))]))
    return joining.concatenate(products, axis)


@expands("inv")
def _inv(x):
    identity = np.broadcast_to(np.eye(x.shape[-1], dtype=x.data.dtype), x.shape)
    return linalg.solve(x, Tensor(np.ascontiguousarray(identity)))


@expands("det")
def _det(x):
    sign, log = linalg.slogdet(x)
    return elementwise.multiply(sign, elementwise.exp(log))


@expands("dot_product_attention")
def _attention(q, key, v, bias, *, mask, scale, causal):
    heads = q.shape[2]
    q, key, v = [_heads_first(part, heads) for part in (q, key, v)]
    turned = shape.transpose(key, (0, 1, 3, 2))
    logits = elementwise.multiply(contraction.matmul(q, turned), scale)
    if bias is not None:
        logits = elementwise.add(logits, bias)
    allowed = attention._allowed(mask, logits.shape, causal)
    if allowed is not None:
        logits = indexing.where(allowed, logits, attention._MASKED)
    p = _softmax(logits, axes=(3,))
    return shape.transpose(contraction.matmul(p, v), (0, 2, 1, 3))


def _heads_first(x, heads):
    x = shape.transpose(x, (0, 2, 1, 3))
    return x if x.shape[1] == heads else repetition.repeat(x, heads // x.shape[1], 1)


@expands("penalty")
def _penalty(x, *, l1, l2):
    squares = elementwise.multiply(reduction.sum(elementwise.square(x)), l2)
    return elementwise.add(
        squares, elementwise.multiply(reduction.sum(elementwise.absolute(x)), l1)
    )
