"""Normalization over all axes but the last: x (..., C) as rows by channels; moments of rows.

Sums depend on the shape alone, and come out the same every time: see blocks.py.
"""

from __future__ import annotations

import math

import numpy as np

from . import memory, movement, reduce_kernels
from . import norm_kernels as kernels
from .blocks import plan, sweep
from .casting import as_dtype
from .launch import blocks_for, launch
from .reduce import axes_of, count_of, result_shape, steps_of, widened

__all__ = [
    "batch_norm",
    "batch_norm_grad",
    "batch_norm_stats",
    "batch_norm_weights",
    "moments",
    "moving_average",
    "overwrite",
    "row_moments",
]


def batch_norm_stats(x):
    """Mean and variance of each channel; the variance is the mean of (x - mean)^2.

    Shapes: x (..., C); both results (C,). NaN for no rows.
    """
    return moments_of(x, 1, _rows(x), x.shape[-1])


def row_moments(x):
    """Mean and variance of each row of x (rows, n); NaN for n = 0."""
    return moments_of(x, *x.shape, 1)


def moments(x, axes=None, keepdims: bool = False):
    """Mean and variance (the mean of (x - mean)^2) of a float array over `axes`."""
    axes = axes_of(axes, x.ndim)
    wide = widened(x)
    steps = steps_of(x.shape, axes)
    if len(steps) > 1:  # one after the other, variances would not add up
        kept = tuple(axis for axis in range(x.ndim) if axis not in axes)
        wide = movement.transpose(wide, kept + axes)
        steps = [(count_of(x.shape, kept), count_of(x.shape, axes), 1)]
    shape = result_shape(x.shape, axes, keepdims)
    return tuple(as_dtype(part.reshape(shape), x.dtype) for part in moments_of(wide, *steps[0]))


def moments_of(x, outer, n, inner):
    """Mean and variance of the n values of each column of x (outer, n, inner), both flat."""
    columns = outer * inner
    if not x.size:
        nothing = np.full(columns, math.nan, x.dtype)
        return memory.to_device(nothing), memory.to_device(nothing)
    by = plan(outer, n, inner)
    means, spreads = (memory.empty((by.parts, columns), x.dtype) for _ in range(2))
    launch(kernels.moments, by.grid, x, means, spreads, *by.numbers, int(by.parts == 1))
    if by.parts > 1:
        mean, variance = (memory.empty((columns,), x.dtype) for _ in range(2))
        last = plan(1, by.parts, columns, cut=False)
        arrays = means, spreads, mean, variance
        launch(kernels.moments_of_parts, last.grid, *arrays, *last.numbers, by.length, n)
        return mean, variance
    return means.reshape(columns), spreads.reshape(columns)


def batch_norm(x, mean, var, gamma, beta, epsilon: float, relu: bool = False):
    """gamma * (x - mean) / sqrt(var + epsilon) + beta; with `relu`, 0 where that is below.

    Shapes: x (..., C); the others (C,), gamma and beta may be None.
    """
    # Not x * scale + shift, which loses digits where the mean is far larger than the deviation.
    return normalized(x, (1, _rows(x), x.shape[-1]), mean, var, gamma, beta, epsilon, relu=relu)


def normalized(x, sizes, mean, spread, gamma, beta, epsilon=0.0, inverted=False, relu=False):
    """`norm_kernels.normalize` of x, taken as an array of three sizes."""
    y = memory.empty(x.shape, x.dtype)
    by = sweep(*sizes)
    mean, spread, gamma, beta, flags = _vectors(x.dtype, mean, spread, gamma, beta)
    arrays = x, mean, spread, gamma, beta, y
    numbers = float(epsilon), int(inverted), flags, int(relu)
    launch(kernels.normalize, by.grid, *arrays, *by.numbers, *numbers)
    return y


def batch_norm_grad(dy, x, mean, var, gamma, epsilon: float, y=None):
    """(dx, dgamma, dbeta) of batch_norm when mean and var are those of x.

    y is what batch_norm with `relu` gave; None for one without.

    With z = (x - mean) / sqrt(var + epsilon): dbeta = sum dy, dgamma = sum dy z, and
    dx = gamma / sqrt(var + epsilon) * (dy - dbeta / rows - z * dgamma / rows).
    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, Section 3.
    """
    sizes = 1, _rows(x), x.shape[-1]
    sums = gradient_sums(dy, x, sizes, mean, var, epsilon, y=y)
    dx = gradient(dy, x, sizes, mean, var, gamma, sums, epsilon, y=y)
    dbeta, dgamma = halves(sums)
    return dx, dgamma, dbeta


def gradient_sums(dy, x, sizes, mean, spread, epsilon=0.0, inverted=False, y=None):
    """The sums of dy and of dy z of each column, one row after the other."""
    columns = sizes[0] * sizes[2]
    if not x.size:
        return memory.zeros((2 * columns,), x.dtype)
    by = plan(*sizes)
    mean, spread, _, _, _ = _vectors(x.dtype, mean, spread, None, None)
    sums = memory.empty((by.parts, 2 * columns), x.dtype)
    arrays = dy, x, dy if y is None else y, mean, spread, sums
    numbers = float(epsilon), int(inverted), int(y is not None)
    launch(kernels.gradient_sums, by.grid, *arrays, *by.numbers, *numbers)
    return summed(sums)


def summed(parts):
    """The sum of the rows of `parts`."""
    count, width = parts.shape
    if count == 0:
        return memory.zeros((width,), parts.dtype)
    if count == 1:
        return parts.reshape(width)
    by = plan(1, count, width, cut=False)
    sums = memory.empty((width,), parts.dtype)
    launch(reduce_kernels.SUM, by.grid, parts, sums, *by.numbers, 1)
    return sums


def halves(sums):
    """Both rows of what `gradient_sums` gives."""
    n = sums.size // 2
    return sums.view_at(0, (n,)), sums.view_at(n, (n,))


def gradient(dy, x, sizes, mean, spread, gamma, sums, epsilon=0.0, inverted=False, y=None):
    """`norm_kernels.gradient` of x, taken as an array of three sizes."""
    dx = memory.empty(x.shape, x.dtype)
    by = sweep(*sizes)
    mean, spread, gamma, _, flags = _vectors(x.dtype, mean, spread, gamma, None)
    arrays = dy, x, dy if y is None else y, mean, spread, gamma, sums, dx
    numbers = float(epsilon), int(inverted), flags, int(y is not None)
    launch(kernels.gradient, by.grid, *arrays, *by.numbers, *numbers)
    return dx


def batch_norm_weights(w, bias, mean, var, gamma, beta, epsilon: float):
    """(w, bias) of a product or convolution that are normalized by the way.

    gamma * (x w + bias - mean) / sqrt(var + epsilon) + beta is a product with the columns of w
    scaled, and another bias. Shapes: w (..., C), the others (C,); bias, gamma, beta may be None.
    """
    channels, rows = w.shape[-1], _rows(w)
    scaled = memory.empty((rows + 1, channels), w.dtype)
    by = sweep(1, rows, channels)
    mean, var, gamma, beta, flags = _vectors(w.dtype, mean, var, gamma, beta)
    arrays = w, mean if bias is None else as_dtype(bias, w.dtype), mean, var, gamma, beta, scaled
    numbers = float(epsilon), int(bias is not None), flags
    launch(kernels.fold, by.grid, *arrays, *by.numbers, *numbers)
    return scaled.view_at(0, w.shape), scaled.view_at(w.size, (channels,))


def moving_average(average, new, momentum: float):
    """average * momentum + new * (1 - momentum)."""
    y = memory.empty(average.shape, average.dtype)
    new = as_dtype(new, average.dtype)
    numbers = y.size, momentum, 1.0 - momentum
    launch(kernels.weighted, blocks_for(y.size), average, new, y, *numbers)
    return y


def overwrite(target, values) -> None:
    """target = values, in place."""
    values = as_dtype(values, target.dtype)
    if target.size:
        target.owner.device.copy(target.address, values.address, target.nbytes)


def _rows(x):
    return math.prod(x.shape[:-1])


def _vectors(dtype, mean, spread, gamma, beta):
    """Them in x's dtype, the mean for what is None, and the flags of what is not."""
    mean, spread = as_dtype(mean, dtype), as_dtype(spread, dtype)
    flags = (gamma is not None) * kernels.GAMMA + (beta is not None) * kernels.BETA
    gamma, beta = (mean if v is None else as_dtype(v, dtype) for v in (gamma, beta))
    return mean, spread, gamma, beta, flags
