"""Moments and normalizations: batch, layer, root mean square, and by a norm.

Letters: x in, y out, gamma the scale, beta the shift, z = (x - mean) / sqrt(var + epsilon).
"""

from __future__ import annotations

import warnings

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.broadcasting import sum_to_shape
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import config
from kerasmirror.core.device import contiguous
from kerasmirror.ops import shapes
from kerasmirror.ops.nn.precision import narrowed, same_float_dtype, widened
from kerasmirror.ops.tensor import float_tensor

_HALF_MAX = np.float32(65504)  # Keras clips the moments of both half types to float16's range


@export("ops.moments", "ops.nn.moments")
def moments(x, axes, keepdims=False, synchronized=False):
    """`(mean, variance)` of x over `axes`; the variance is the mean of `(x - mean)^2`.

    Half precision is computed in float32. `synchronized` means over all replicas; there is one.
    Source: Keras 3.15 `keras.ops.moments`.
    """
    x = float_tensor(x)
    axes = shapes.canonical_axes(axes, len(x.shape), "ops.moments", "axes")
    return _moments(x, axes=axes, keepdims=bool(keepdims))


def _moments_spec(x, *, axes, keepdims):
    return [(shapes.reduced(x.shape, axes, keepdims), x.dtype)] * 2


@primitive("moments", spec=_moments_spec)
def _moments(k, x, *, axes, keepdims):
    dtype = x.dtype
    (x,) = widened(x)
    kept = shapes.reduced(x.shape, axes, True)
    mean, var = (part.reshape(kept) for part in k.moments(x, axes, True))
    count = max(1, x.size // max(1, mean.size))

    def backward(dy, needs):
        # d mean / d x = 1 / n, d var / d x = 2 (x - mean) / n.
        dmean, dvar = (part if part is None else widened(part)[0].reshape(kept) for part in dy)
        dx = k.zeros(x.shape, x.dtype)
        if dmean is not None:
            dx += dmean / x.dtype.type(count)
        if dvar is not None:
            dx += (x - mean) * (dvar * x.dtype.type(2 / count))
        return (narrowed(dx, dtype),)

    shape = shapes.reduced(x.shape, axes, keepdims)
    if x.dtype != dtype:
        mean, var = (np.clip(part, -_HALF_MAX, _HALF_MAX) for part in (mean, var))
    return tuple(narrowed(part, dtype).reshape(shape) for part in (mean, var)), backward


@_moments.forward
def _moments_tangent(k, inputs, changes, y, *, axes, keepdims):
    # d mean = mean(dx), d var = 2 mean((x - mean) dx)
    (x,), (dx,) = widened(*inputs), widened(*changes)
    centred = x - k.mean(x, axes, True)
    dmean, dvar = k.mean(dx, axes, keepdims), k.mean(centred * dx, axes, keepdims)
    return dmean, dvar * x.dtype.type(2)


# --- batch ----------------------------------------------------------------------------------


@export("ops.batch_normalization", "ops.nn.batch_normalization")
def batch_normalization(x, mean, variance, axis, offset=None, scale=None, epsilon=1e-3):
    """`scale * (x - mean) / sqrt(variance + epsilon) + offset`, the statistics given.

    Shapes: x any, with C values along `axis`; the others (C,). offset and scale may be None.
    Raises: ValueError when a statistic is no vector of C values.
    Source: Keras 3.15 `keras.ops.batch_normalization`.
    """
    x, mean, variance, offset, scale = same_float_dtype(x, mean, variance, offset, scale)
    axis = shapes.canonical_axis(axis, len(x.shape), "ops.batch_normalization")
    expected = (x.shape[axis],)
    named = {"mean": mean, "variance": variance, "offset": offset, "scale": scale}
    for name, vector in named.items():
        if vector is not None and None not in expected and tuple(vector.shape) != expected:
            raise ValueError(
                f"ops.batch_normalization: `{name}` must be a vector of length x.shape[axis], "
                f"shape {expected}. Received: {name}.shape={tuple(vector.shape)}"
            )
    return _batch_norm(x, mean, variance, scale, offset, axis=axis, epsilon=float(epsilon))


def _channels_last(x, axis):
    return x if axis == x.ndim - 1 else contiguous(np.moveaxis(x, axis, -1))


def _channels_at(y, axis):
    return y if axis == y.ndim - 1 else contiguous(np.moveaxis(y, -1, axis))


@primitive("batch_norm", spec=shapes.same)
def _batch_norm(k, x, mean, var, gamma, beta, *, axis, epsilon):
    dtype = x.dtype
    x, mean, var, gamma, beta = widened(x, mean, var, gamma, beta)
    x = _channels_last(x, axis)
    y = k.batch_norm(x, mean, var, gamma, beta, epsilon)

    def backward(dy, needs):
        dy = _channels_last(*widened(dy), axis)
        inverse = 1 / np.sqrt(var + var.dtype.type(epsilon))
        scale = inverse if gamma is None else gamma * inverse
        dx = dmean = dvar = dgamma = dbeta = None
        if needs[0]:
            dx = narrowed(_channels_at(dy * scale, axis), dtype)
        if needs[1] or needs[4]:
            dbeta = k.bias_grad(dy)
            dmean = narrowed(-dbeta * scale, dtype)
            dbeta = narrowed(dbeta, dtype)
        if needs[2] or needs[3]:
            # sum of dy z, from which both follow: y depends on var by (var + epsilon)^(-1/2).
            dgamma = k.bias_grad(dy * (x - mean)) * inverse
            dvar = narrowed(dgamma * scale * inverse / -2, dtype)
            dgamma = narrowed(dgamma, dtype)
        return dx, dmean, dvar, dgamma, dbeta

    return narrowed(_channels_at(y, axis), dtype), backward


@_batch_norm.forward
def _batch_norm_tangent(k, inputs, changes, y, *, axis, epsilon):
    x, mean, var, gamma, beta = widened(*inputs)
    dx, dmean, dvar, dgamma, dbeta = widened(*changes)
    form = [-1 if i == axis else 1 for i in range(x.ndim)]
    shaped = [None if v is None else v.reshape(form) for v in (mean, var, gamma)]
    moved = [None if v is None else v.reshape(form) for v in (dmean, dvar, dgamma, dbeta)]
    return _standardized_tangent(x, *shaped, dx, *moved, epsilon)


def _standardized_tangent(x, mean, var, gamma, dx, dmean, dvar, dgamma, dbeta, epsilon):
    """The change of gamma z + beta with z = (x - mean) (var + epsilon)^(-1/2)."""
    inverse = 1 / np.sqrt(var + var.dtype.type(epsilon))
    z = (x - mean) * inverse
    dz = np.zeros_like(x)
    if dx is not None:
        dz += dx * inverse
    if dmean is not None:
        dz -= dmean * inverse
    if dvar is not None:
        dz -= z * (dvar * inverse * inverse / 2)
    dy = dz if gamma is None else dz * gamma
    if dgamma is not None:
        dy = dy + z * dgamma
    return dy if dbeta is None else dy + dbeta


def _batch_norm_train_spec(x, gamma, beta, *, epsilon, relu=False):
    return [(x.shape, x.dtype), (x.shape[-1:], x.dtype), (x.shape[-1:], x.dtype)]


@primitive("batch_norm_train", spec=_batch_norm_train_spec)
def batch_norm_train(k, x, gamma, beta, *, epsilon, relu=False):
    """`(y, mean, var)`: y = gamma * z + beta with the statistics of x over all axes but the last.

    With `relu`, y is 0 where that is below. gamma and beta may be None. The gradient flows through
    the statistics.
    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, Algorithm 1.
    """
    dtype = x.dtype
    x, gamma, beta = widened(x, gamma, beta)
    mean, var = k.batch_norm_stats(x)
    y = k.batch_norm(x, mean, var, gamma, beta, epsilon, relu)
    rectified = y if relu else None
    rows = x.dtype.type(max(1, x.size // max(1, x.shape[-1])))

    def backward(grads, needs):
        dy, dmean, dvar = (part if part is None else widened(part)[0] for part in grads)
        dx = dgamma = dbeta = None
        if dy is not None:
            dx, dgamma, dbeta = k.batch_norm_grad(dy, x, mean, var, gamma, epsilon, rectified)
        if dmean is not None:
            dx = _plus(dx, np.broadcast_to(dmean / rows, x.shape))
        if dvar is not None:
            dx = _plus(dx, (x - mean) * (dvar * 2 / rows))
        return narrowed(dx, dtype), narrowed(dgamma, dtype), narrowed(dbeta, dtype)

    return tuple(narrowed(part, dtype) for part in (y, mean, var)), backward


@batch_norm_train.forward
def _batch_norm_train_tangent(k, inputs, changes, y, *, epsilon, relu=False):
    x, gamma, _ = widened(*inputs)
    dx, dgamma, dbeta = widened(*changes)
    axes = tuple(range(x.ndim - 1))
    mean, var = k.moments(x, axes, False)
    dmean = dvar = None
    if dx is not None:
        dmean, dvar = k.mean(dx, axes, False), k.mean((x - mean) * dx, axes, False) * 2
    dy = _standardized_tangent(x, mean, var, gamma, dx, dmean, dvar, dgamma, dbeta, epsilon)
    return np.where(y[0] > 0, dy, 0) if relu else dy, dmean, dvar


def _plus(total, more):
    return more if total is None else total + more


# --- layer and root mean square -------------------------------------------------------------


@export("ops.layer_normalization", "ops.nn.layer_normalization")
def layer_normalization(x, gamma=None, beta=None, axis=-1, epsilon=None, **kwargs):
    """`gamma * (x - mean) / sqrt(var + epsilon) + beta`, mean and var over `axis` of each sample.

    Shapes: gamma and beta as x's sizes along `axis`, or as x. Epsilon is `keras.config.epsilon()`
    unless given. With the deprecated `rms_scaling=True`, mean and beta are left out.
    Source: Ba et al. 2016, https://arxiv.org/abs/1607.06450; Keras 3.15 `keras.ops`.
    """
    rms_scaling = kwargs.pop("rms_scaling", False)
    if kwargs:
        raise TypeError(f"ops.layer_normalization: unknown arguments {sorted(kwargs)}")
    if rms_scaling:
        warnings.warn(
            "You passed `rms_scaling=True`, which is deprecated: it leaves out the mean but "
            "divides by the deviation from it. `keras.ops.rms_normalization` divides by the root "
            "of the mean square.",
            stacklevel=2,
        )
    x, gamma, beta = float_tensor(x), _optional(gamma), _optional(beta)
    axes = _sorted_axes(axis, len(x.shape), "ops.layer_normalization")
    epsilon = config.epsilon() if epsilon is None else float(epsilon)
    kind = "scaled" if rms_scaling else "centred"
    return _norm(x, gamma, None if rms_scaling else beta, axes=axes, epsilon=epsilon, kind=kind)


@export("ops.rms_normalization", "ops.nn.rms_normalization")
def rms_normalization(x, scale=None, axis=-1, epsilon=None):
    """`scale * x / sqrt(mean(x^2) + epsilon)`, the mean over `axis`.

    Source: Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467, Equation 4; Keras 3.15.
    """
    x, scale = float_tensor(x), _optional(scale)
    axes = _sorted_axes(axis, len(x.shape), "ops.rms_normalization")
    epsilon = config.epsilon() if epsilon is None else float(epsilon)
    return _norm(x, scale, None, axes=axes, epsilon=epsilon, kind="rms")


def _optional(value):
    return None if value is None else float_tensor(value)


def _sorted_axes(axis, rank, owner):
    return tuple(sorted(shapes.canonical_axes(axis, rank, owner)))


def _norm_spec(x, gamma, beta, *, axes, epsilon, kind):
    return x.shape, x.dtype


@primitive("norm", spec=_norm_spec)
def _norm(k, x, gamma, beta, *, axes, epsilon, kind):
    # z = (x - shift) * inverse; "centred" shifts by the mean, "scaled" (Keras's old rms_scaling)
    # divides by the deviation without the shift, "rms" by the root of the mean square.
    dtypes = [getattr(part, "dtype", None) for part in (x, gamma, beta)]
    dtype, gamma_dtype, beta_dtype = dtypes
    x, gamma, beta = widened(x, gamma, beta)
    if kind != "scaled" and _are_rows(x, gamma, beta, axes):
        return _row_norm(k, x, gamma, beta, len(axes), epsilon, kind == "centred", dtypes)
    gamma_wide, beta_wide = (_stretched(v, x.shape, axes) for v in (gamma, beta))
    mean, var = k.moments(x, axes, True) if kind != "rms" else (None, None)
    if kind == "rms":
        var = k.mean(x * x, axes, True)
    inverse = 1 / np.sqrt(var + var.dtype.type(epsilon))
    centred = x if kind == "rms" else x - mean
    shifted = centred if kind == "centred" else x
    z = shifted * inverse
    y = z if gamma_wide is None else z * gamma_wide
    if beta_wide is not None:
        y = y + beta_wide

    def backward(dy, needs):
        (dy,) = widened(dy)
        dz = dy if gamma_wide is None else dy * gamma_wide
        dx = dgamma = dbeta = None
        if needs[0]:
            # inverse depends on x by d inverse = -inverse^3 mean(centred dx).
            weight = k.mean(dz * shifted, axes, True) * (inverse * inverse * inverse)
            dx = dz * inverse - centred * weight
            if kind == "centred":
                dx -= k.mean(dz, axes, True) * inverse
            dx = narrowed(dx, dtype)
        if needs[1]:
            dgamma = sum_to_shape(k, dy * z, gamma_wide.shape).reshape(gamma.shape)
            dgamma = narrowed(dgamma, gamma_dtype)
        if needs[2]:
            dbeta = narrowed(sum_to_shape(k, dy, beta_wide.shape).reshape(beta.shape), beta_dtype)
        return dx, dgamma, dbeta

    return narrowed(y, dtype), backward


def _are_rows(x, gamma, beta, axes):
    """Whether the values of each mean lie side by side, with a gamma and beta for each place."""
    shape = x.shape[x.ndim - len(axes) :]
    vectors = [v for v in (gamma, beta) if v is not None]
    return (
        axes == tuple(range(x.ndim - len(axes), x.ndim))
        and x.size > 0
        and all([v.shape == shape and v.dtype == x.dtype for v in vectors])
    )


def _row_norm(k, x, gamma, beta, n_axes, epsilon, centred, dtypes):
    shape = x.shape
    n = int(np.prod(shape[x.ndim - n_axes :]))
    rows = x.reshape(-1, n)
    y, mean, inverse = k.row_norm(rows, gamma, beta, epsilon, centred)

    def backward(dy, needs):
        (dy,) = widened(dy)
        dx, dgamma, dbeta = k.row_norm_grad(
            dy.reshape(rows.shape), rows, mean, inverse, gamma, centred
        )
        dgamma = None if gamma is None else narrowed(dgamma.reshape(gamma.shape), dtypes[1])
        dbeta = None if beta is None else narrowed(dbeta.reshape(beta.shape), dtypes[2])
        return narrowed(dx.reshape(shape), dtypes[0]), dgamma, dbeta

    return narrowed(y.reshape(shape), dtypes[0]), backward


@primitive("group_norm", spec=lambda x, gamma, beta, *, groups, epsilon: (x.shape, x.dtype))
def group_norm(k, x, gamma, beta, *, groups, epsilon):
    """`gamma * (x - mean) / sqrt(var + epsilon) + beta`, mean and var of each group of channels.

    Shapes: x (N, ..., C), the C channels in `groups` groups; gamma and beta (C,) or None.
    Source: Wu and He 2018, https://arxiv.org/abs/1803.08494, Equation 1.
    """
    dtypes = [getattr(part, "dtype", None) for part in (x, gamma, beta)]
    x, gamma, beta = widened(x, gamma, beta)
    shape = x.shape
    samples = x.reshape(shape[0], -1, shape[-1])
    y, mean, inverse = k.group_norm(samples, gamma, beta, groups, epsilon)

    def backward(dy, needs):
        (dy,) = widened(dy)
        dy = dy.reshape(samples.shape)
        grads = k.group_norm_grad(dy, samples, mean, inverse, gamma, groups)
        dx, dgamma, dbeta = (
            None if dtype is None else narrowed(d, dtype)
            for d, dtype in zip(grads, dtypes, strict=True)
        )
        return dx.reshape(shape), dgamma, dbeta

    return narrowed(y.reshape(shape), dtypes[0]), backward


def _stretched(vector, shape, axes):
    """`vector` with axes of size 1 where x has other axes than `axes`, for broadcasting."""
    if vector is None or vector.ndim == len(shape) or axes == (len(shape) - 1,):
        return vector
    if vector.ndim == len(axes):
        return vector.reshape([n if i in axes else 1 for i, n in enumerate(shape)])
    return vector


@_norm.forward
def _norm_tangent(k, inputs, changes, y, *, axes, epsilon, kind):
    x, gamma, beta = widened(*inputs)
    dx, dgamma, dbeta = widened(*changes)
    gamma, dgamma, dbeta = (_stretched(v, x.shape, axes) for v in (gamma, dgamma, dbeta))
    mean = x.dtype.type(0) if kind == "rms" else k.mean(x, axes, True)
    centred = x - mean
    inverse = 1 / np.sqrt(k.mean(centred * centred, axes, True) + x.dtype.type(epsilon))
    shifted = centred if kind == "centred" else x
    dy = np.zeros_like(x)
    if dx is not None:
        # As in backward: d inverse = -inverse^3 mean(centred dx).
        dshifted = dx - k.mean(dx, axes, True) if kind == "centred" else dx
        weight = k.mean(centred * dx, axes, True) * (inverse * inverse * inverse)
        dy = dshifted * inverse - shifted * weight
    if gamma is not None:
        dy = dy * gamma
    if dgamma is not None:
        dy = dy + shifted * inverse * dgamma
    return dy if dbeta is None else dy + dbeta


@group_norm.forward
def _group_norm_tangent(k, inputs, changes, y, *, groups, epsilon):
    x, gamma, _ = widened(*inputs)
    channels = x.shape[-1]
    size = channels // groups

    def grouped(part):
        if part is None:
            return None
        lead = (part.shape[0], -1) if part.ndim > 1 else ()
        return part.reshape(*lead, groups, size)

    x, gamma = grouped(x), grouped(gamma)
    dx, dgamma, dbeta = (grouped(part) for part in widened(*changes))
    axes = (1, 3)
    mean, var = k.mean(x, axes, True), np.var(x, axes, keepdims=True)
    dmean = dvar = None
    if dx is not None:
        dmean, dvar = k.mean(dx, axes, True), 2 * k.mean((x - mean) * dx, axes, True)
    dy = _standardized_tangent(x, mean, var, gamma, dx, dmean, dvar, dgamma, dbeta, epsilon)
    return dy.reshape(y.shape)


# --- by a norm ------------------------------------------------------------------------------


@export("ops.normalize", "ops.nn.normalize")
def normalize(x, axis=-1, order=2, epsilon=None):
    """x divided by its `order`-norm along `axis`; norms below `epsilon` count as epsilon.

    Raises: ValueError unless `order` is an int of at least 1, and 2 for several axes.
    Source: Keras 3.15 `keras.ops.normalize`.
    """
    if not isinstance(order, int) or isinstance(order, bool) or order < 1:
        raise ValueError(
            f"ops.normalize: Argument `order` must be an int >= 1. Received: order={order!r}"
        )
    x = float_tensor(x)
    if not len(x.shape):
        x = _expand(x)
    axes = shapes.canonical_axes(axis, len(x.shape), "ops.normalize")
    if order != 2 and len(axes) > 1:
        raise ValueError(
            "ops.normalize: `axis` must be one int unless `order` is 2; matrix norms are not "
            f"supported. Received: axis={axis}, order={order}"
        )
    epsilon = config.epsilon() if epsilon is None else float(epsilon)
    return _normalize(x, axes=axes, order=order, epsilon=epsilon)


def _expand_spec(x):
    return (1,), x.dtype


@primitive("expand", spec=_expand_spec, tangent=tangents.linear)
def _expand(k, x):
    return x.reshape(1), lambda dy, needs: (dy.reshape(()),)


@primitive("normalize", spec=shapes.same)
def _normalize(k, x, *, axes, order, epsilon):
    dtype = x.dtype
    (x,) = widened(x)
    size = np.abs(x)
    with np.errstate(divide="ignore"):
        norm = np.sum(size**order, axis=axes, keepdims=True) ** x.dtype.type(1 / order)
        inverse = np.minimum(1 / norm, x.dtype.type(1 / epsilon))
    y = x * inverse

    def backward(dy, needs):
        (dy,) = widened(dy)
        # Above epsilon, d norm / d x = sign(x) |x|^(p - 1) / norm^(p - 1); below it is constant.
        varies = norm > epsilon
        slope = np.sign(x) * (size * inverse) ** (order - 1)
        pull = np.where(varies, np.sum(dy * y, axis=axes, keepdims=True) * inverse, 0)
        return (narrowed((dy * inverse - slope * pull).astype(x.dtype), dtype),)

    return narrowed(y, dtype), backward


@_normalize.forward
def _normalize_tangent(k, inputs, changes, y, *, axes, order, epsilon):
    (x,), (dx,) = widened(*inputs), widened(*changes)
    size = np.abs(x)
    norm = np.sum(size**order, axis=axes, keepdims=True) ** x.dtype.type(1 / order)
    inverse = np.minimum(1 / norm, x.dtype.type(1 / epsilon))
    # y = x / norm: dy = (dx - y d norm) / norm, where the norm is not held at epsilon
    slope = np.sign(x) * (size * inverse) ** (order - 1)
    dnorm = np.where(norm > epsilon, np.sum(slope * dx, axis=axes, keepdims=True), 0)
    return ((dx - x * inverse * dnorm) * inverse).astype(x.dtype)
