"""`K.mean` and its like: functions of Keras 2's backend that `tensorflow.keras.backend` still has.

Their names and arguments are Keras 2's; they are in `keras.backend` where this package stands in
for TensorFlow's Keras. What is not here has no counterpart without a graph (`K.function`).
"""

from __future__ import annotations

import numpy as np

from kerasmirror import activations, losses, ops
from kerasmirror import random as _random
from kerasmirror.core.config import epsilon, floatx
from kerasmirror.core.variable import Variable

# Those whose first argument is x and whose others, if any, are called the same.
_SAME = (
    *("abs cos sin exp log sqrt square sign round tanh sigmoid relu softplus softsign".split()),
    *("elu hard_sigmoid stop_gradient transpose expand_dims squeeze reshape stack one_hot".split()),
    *("equal not_equal less less_equal greater greater_equal maximum minimum cast arange".split()),
    *("in_top_k shape".split()),
)
_REDUCTIONS = ("sum", "mean", "max", "min", "prod", "std", "var", "any", "all")


def _reduction(op):
    def function(x, axis=None, keepdims=False):
        return op(x, axis=axis, keepdims=keepdims)

    return function


globals().update({name: getattr(ops, name) for name in _SAME})
globals().update({name: _reduction(getattr(ops, name)) for name in _REDUCTIONS})


def argmax(x, axis=-1):
    return ops.argmax(x, axis)


def argmin(x, axis=-1):
    return ops.argmin(x, axis)


def cumsum(x, axis=0):
    return ops.cumsum(x, axis)


def cumprod(x, axis=0):
    return ops.cumprod(x, axis)


def clip(x, min_value, max_value):
    low = -float("inf") if min_value is None else min_value
    return ops.clip(x, low, float("inf") if max_value is None else max_value)


def concatenate(tensors, axis=-1):
    return ops.concatenate(tensors, axis)


def constant(value, dtype=None, shape=None, name=None):
    tensor = ops.convert_to_tensor(value, dtype or floatx())
    return tensor if shape is None else ops.broadcast_to(tensor, shape)


def dot(x, y):
    """x's last axis with y's last but one: ops.dot, which is a product of matrices for two axes."""
    return ops.dot(x, y)


def batch_flatten(x):
    return ops.reshape(x, (-1, int(np.prod(x.shape[1:]))))


def flatten(x):
    return ops.reshape(x, (-1,))


def gather(reference, indices):
    return ops.take(reference, indices, axis=0)


def permute_dimensions(x, pattern):
    return ops.transpose(x, pattern)


def pow(x, a):
    return ops.power(x, a)


def repeat(x, n):
    """A matrix (N, C) n times along a new axis: (N, n, C)."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def repeat_elements(x, rep, axis):
    return ops.repeat(x, rep, axis=axis)


def reverse(x, axes):
    return ops.flip(x, axes)


def tile(x, n):
    return ops.tile(x, n if isinstance(n, (list, tuple)) else [n])


def softmax(x, axis=-1):
    return ops.softmax(x, axis)


def l2_normalize(x, axis=None):
    """x / sqrt(max(sum(x^2), 1e-12))"""
    squares = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return ops.multiply(x, ops.rsqrt(ops.maximum(squares, 1e-12)))


def switch(condition, then_expression, else_expression):
    then, otherwise = (v() if callable(v) else v for v in (then_expression, else_expression))
    return ops.where(condition, then, otherwise)


def dropout(x, level, noise_shape=None, seed=None):
    return _random.dropout(x, level, noise_shape, seed)


def random_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    return _random.normal(shape, mean, stddev, dtype, seed)


def random_uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
    return _random.uniform(shape, minval, maxval, dtype, seed)


def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
    return _random.truncated_normal(shape, mean, stddev, dtype, seed)


def categorical_crossentropy(target, output, from_logits=False, axis=-1):
    return losses.categorical_crossentropy(target, output, from_logits, axis=axis)


def sparse_categorical_crossentropy(target, output, from_logits=False, axis=-1, ignore_class=None):
    return losses.sparse_categorical_crossentropy(
        target, output, from_logits, ignore_class=ignore_class, axis=axis
    )


def binary_crossentropy(target, output, from_logits=False):
    """One loss for each element; of probabilities, log(p + epsilon) as in Keras 2."""
    if from_logits:
        return ops.binary_crossentropy(target, output, from_logits=True)
    output = ops.clip(output, epsilon(), 1.0 - epsilon())
    there = ops.multiply(target, ops.log(ops.add(output, epsilon())))
    rest = ops.subtract(1 + epsilon(), output)
    return ops.negative(ops.add(there, ops.multiply(ops.subtract(1, target), ops.log(rest))))


def linear(x):
    return activations.linear(x)


# Variables and what they hold


def variable(value, dtype=None, name=None, constraint=None):
    made = Variable(np.asarray(value, dtype or floatx()), dtype=dtype or floatx(), name=name)
    made.constraint = constraint
    return made


def zeros(shape, dtype=None, name=None):
    return variable(np.zeros(shape), dtype, name)


def ones(shape, dtype=None, name=None):
    return variable(np.ones(shape), dtype, name)


def eye(size, dtype=None, name=None):
    return variable(np.eye(size), dtype, name)


def zeros_like(x, dtype=None, name=None):
    return ops.zeros_like(x, dtype)


def ones_like(x, dtype=None, name=None):
    return ops.ones_like(x, dtype)


def get_value(x):
    return ops.convert_to_numpy(x)


eval = get_value


def set_value(x, value):
    x.assign(np.asarray(value, x.dtype))


def batch_get_value(tensors):
    return [get_value(tensor) for tensor in tensors]


def batch_set_value(tuples):
    for one, value in tuples:
        set_value(one, value)


def update(x, new_x):
    return x.assign(new_x)


def update_add(x, increment):
    return x.assign_add(increment)


def update_sub(x, decrement):
    return x.assign_sub(decrement)


def int_shape(x):
    return tuple(x.shape)


def ndim(x):
    return len(x.shape)


def dtype(x):
    return ops.dtype(x)


def count_params(x):
    return int(np.prod(x.shape))


def install(backend):
    """Put these functions into the module `keras.backend`, where it has none of the name."""
    for name, value in globals().items():
        if callable(value) and name[0] != "_" and name not in _NOT_OURS:
            vars(backend).setdefault(name, value)


_NOT_OURS = ("install", "Variable", "epsilon", "floatx")
