"""Normalization over all axes but the last: x (..., C) as rows by channels; moments of rows.

Sums go over slabs of rows whose number depends on the shape alone, each slab into a row of its own
in float64, and the slabs' rows are added in order: no result depends on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np

from . import between, memory, threads
from .launch import kernel, launch
from .vectormath import select

__all__ = [
    "batch_norm",
    "batch_norm_grad",
    "batch_norm_stats",
    "batch_norm_weights",
    "moving_average",
    "overwrite",
    "row_moments",
]

_SLABS = 16
# Rows are added up in the array's own dtype this many at a time, and these sums in float64.
_BLOCK = 8


def batch_norm_stats(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each channel; the variance is the mean of (x - mean)^2, in two passes.

    Shapes: x (..., C); both results (C,). NaN for no rows.
    """
    x = _rows(x)
    rows, channels = x.shape
    if not rows:
        return np.full(channels, np.nan, x.dtype), np.full(channels, np.nan, x.dtype)
    sums = _slab_sums(rows, channels, 1)
    chunk = _slab_chunk(x, sums)
    exact, mean = _vectors(channels, np.float64, x.dtype)
    (variance,) = _vectors(channels, x.dtype)
    launch(_sum_slab, sums.shape[0], chunk, x, sums)
    between.run(_settle_mean, exact, mean, sums, rows)
    launch(_square_slab, sums.shape[0], chunk, x, exact, sums)
    between.run(_settle_variance, variance, sums, rows)
    return mean, variance


def _settle_mean(exact, mean, sums, rows):
    np.divide(sums.sum(axis=0)[0], rows, out=exact)
    mean[...] = exact


def _settle_variance(variance, sums, rows):
    variance[...] = sums.sum(axis=0)[0] / rows


def batch_norm(x, mean, var, gamma, beta, epsilon: float, relu: bool = False) -> np.ndarray:
    """gamma * (x - mean) / sqrt(var + epsilon) + beta; with `relu`, 0 where that is below.

    Shapes: x (..., C); the others (C,), gamma and beta may be None.
    """
    shape, x = x.shape, _rows(x)
    y = memory.empty(x.shape, x.dtype)
    # Not x * scale + shift, which loses digits where the mean is far larger than the deviation.
    (scale,) = _vectors(x.shape[1], x.dtype)
    between.run(_settle_scale, scale, var, gamma, epsilon)
    mean = mean if mean.dtype == x.dtype else mean.astype(x.dtype)
    shift = memory.zeros(mean.shape, x.dtype) if beta is None else _like(beta, x)
    chunk = threads.chunk_of(x.shape[1])
    floor = 0.0 if relu else -np.inf
    launch(_transform, x.shape[0], chunk, x, mean, scale, shift, y, floor)
    return y.reshape(shape)


def _settle_scale(scale, var, gamma, epsilon):
    scale[...] = _scale(var, gamma, epsilon)


def _like(vector, x):
    return vector if vector.dtype == x.dtype else vector.astype(x.dtype)


def moving_average(average, new, momentum: float) -> np.ndarray:
    """average * momentum + new * (1 - momentum), each product rounded to the arrays' dtype."""
    y = memory.empty(average.shape, average.dtype)
    between.run(_settle_average, y, average, new, momentum)
    return y


def _settle_average(y, average, new, momentum):
    kind = y.dtype.type
    np.add(average * kind(momentum), new * kind(1.0 - momentum), out=y)


def overwrite(target, values) -> None:
    """target = values, in place."""
    between.run(between.copy, target, values)


def batch_norm_weights(w, bias, mean, var, gamma, beta, epsilon: float):
    """(w, bias) of a product or convolution that are normalized by the way.

    gamma * (x w + bias - mean) / sqrt(var + epsilon) + beta is a product with the columns of w
    scaled, and another bias. Shapes: w (..., C), the others (C,); bias, gamma, beta may be None.
    """
    rows = np.ascontiguousarray(w).reshape(-1, w.shape[-1])
    scaled, shift = memory.empty(rows.shape, w.dtype), memory.empty(rows.shape[1:], w.dtype)
    none = mean[:0]
    vectors = [none if v is None else v for v in (bias, gamma, beta)]
    chunk = threads.chunk_of(rows.shape[1])
    launch(_fold, rows.shape[0], chunk, rows, mean, var, *vectors, scaled, shift, float(epsilon))
    return scaled.reshape(w.shape), shift


def batch_norm_grad(dy, x, mean, var, gamma, epsilon: float, y=None):
    """(dx, dgamma, dbeta) of batch_norm when mean and var are those of x.

    y is what batch_norm with `relu` gave; None for one without.

    With z = (x - mean) / sqrt(var + epsilon): dbeta = sum dy, dgamma = sum dy z, and
    dx = gamma / sqrt(var + epsilon) * (dy - dbeta / rows - z * dgamma / rows).
    Source: Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167, Section 3.
    """
    shape, x, dy = x.shape, _rows(x), _rows(dy)
    rows, channels = x.shape
    sums = _slab_sums(rows, channels, 2)
    inverse, scale, slope, offset, dgamma, dbeta = _vectors(channels, *(x.dtype,) * 6)
    between.run(_settle_scale, inverse, var, None, epsilon)
    mean = _like(mean, x)
    relu, y = int(y is not None), dy if y is None else _rows(y)
    chunk = _slab_chunk(x, sums)
    launch(_grad_slab, sums.shape[0], chunk, dy, x, y, mean, inverse, sums, relu)
    settled = slope, offset, dgamma, dbeta
    between.run(_settle_gradient, scale, *settled, sums, var, gamma, epsilon, max(rows, 1))
    dx = memory.empty(x.shape, x.dtype)
    vectors = mean, scale, slope, offset
    launch(_grad_input, rows, threads.chunk_of(channels), dy, x, y, *vectors, dx, relu)
    return dx.reshape(shape), dgamma, dbeta


def _settle_gradient(scale, slope, offset, dgamma, dbeta, sums, var, gamma, epsilon, rows):
    # dx = scale * dy - (x - mean) * slope - offset
    plain, scaled = sums.sum(axis=0)
    factor = _scale(var, gamma, epsilon)
    scale[...] = factor
    slope[...] = factor * _scale(var, None, epsilon) * scaled / rows
    offset[...] = factor * plain / rows
    dgamma[...] = scaled
    dbeta[...] = plain


def row_moments(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of each row of x (rows, n), accumulated in float64; NaN for n = 0."""
    x = np.ascontiguousarray(x)
    mean, variance = memory.empty((x.shape[0],), x.dtype), memory.empty((x.shape[0],), x.dtype)
    launch(_row_moments, x.shape[0], threads.chunk_of(4 * x.shape[1]), x, mean, variance)
    return mean, variance


def _rows(x):
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1]) if x.size else x.reshape(0, x.shape[-1])


def _slab_sums(rows, channels, kinds):
    """Space for `kinds` sums of each slab; slabs of few rows would only cost."""
    slabs = max(1, min(_SLABS, rows // 64))
    return memory.empty((slabs, kinds, channels), np.float64)


def _vectors(channels, *dtypes):
    return [memory.empty((channels,), dtype) for dtype in dtypes]


def _slab_chunk(x, sums):
    """Slabs for one thread at a time: all of them when the whole work is small."""
    return threads.chunk_of(x.size // sums.shape[0] // 2)


def _scale(var, gamma, epsilon):
    inverse = 1.0 / np.sqrt(var.astype(np.float64) + epsilon)
    return inverse if gamma is None else inverse * gamma


@kernel
def _sum_slab(lo, hi, thread, x, sums):
    partial = np.empty(x.shape[1], x.dtype)
    for slab in range(lo, hi):  # one item owns one row of sums
        total = sums[slab, 0]
        total[:] = 0.0
        first = slab * x.shape[0] // sums.shape[0]
        last = (slab + 1) * x.shape[0] // sums.shape[0]
        for start in range(first, last, _BLOCK):
            partial[:] = 0
            for n in range(start, min(start + _BLOCK, last)):
                row = x[n]
                for c in range(row.size):
                    partial[c] += row[c]
            for c in range(partial.size):
                total[c] += partial[c]


@kernel
def _square_slab(lo, hi, thread, x, mean, sums):
    partial = np.empty(x.shape[1], x.dtype)
    centre = np.empty(x.shape[1], x.dtype)
    rest = np.empty(x.shape[1], x.dtype)
    for c in range(centre.size):
        # The mean in two parts, so that a mean far larger than the deviation costs no digits.
        centre[c] = mean[c]
        rest[c] = mean[c] - np.float64(centre[c])
    for slab in range(lo, hi):
        total = sums[slab, 0]
        total[:] = 0.0
        first = slab * x.shape[0] // sums.shape[0]
        last = (slab + 1) * x.shape[0] // sums.shape[0]
        for start in range(first, last, _BLOCK):
            partial[:] = 0
            for n in range(start, min(start + _BLOCK, last)):
                row = x[n]
                for c in range(row.size):
                    d = (row[c] - centre[c]) - rest[c]
                    partial[c] += d * d
            for c in range(partial.size):
                total[c] += partial[c]


@kernel
def _grad_slab(lo, hi, thread, dy, x, y, mean, inverse, sums, relu):
    zero, all_pass = x.dtype.type(0), relu == 0
    partial = np.empty((2, x.shape[1]), x.dtype)
    plain, scaled = partial[0], partial[1]
    for slab in range(lo, hi):
        total = sums[slab]
        total[:] = 0.0
        first = slab * x.shape[0] // sums.shape[0]
        last = (slab + 1) * x.shape[0] // sums.shape[0]
        for start in range(first, last, _BLOCK):
            partial[:] = 0
            for n in range(start, min(start + _BLOCK, last)):
                row, drow, out = x[n], dy[n], y[n]
                for c in range(row.size):
                    d = select(all_pass | (out[c] > zero), drow[c], zero)
                    plain[c] += d
                    scaled[c] += d * ((row[c] - mean[c]) * inverse[c])
            for c in range(plain.size):
                total[0, c] += plain[c]
                total[1, c] += scaled[c]


@kernel
def _transform(lo, hi, thread, x, mean, scale, beta, y, floor):
    floor = x.dtype.type(floor)
    for n in range(lo, hi):
        row, out = x[n], y[n]
        for c in range(row.size):
            value = (row[c] - mean[c]) * scale[c] + beta[c]
            out[c] = select(value < floor, floor, value)  # keeps what is not a number


@kernel
def _grad_input(lo, hi, thread, dy, x, y, mean, scale, slope, offset, dx, relu):
    zero, all_pass = x.dtype.type(0), relu == 0
    for n in range(lo, hi):
        row, drow, yrow, out = x[n], dy[n], y[n], dx[n]
        for c in range(row.size):
            d = select(all_pass | (yrow[c] > zero), drow[c], zero)
            out[c] = d * scale[c] - (row[c] - mean[c]) * slope[c] - offset[c]


@kernel
def _fold(lo, hi, thread, w, mean, var, bias, gamma, beta, scaled, shift, epsilon):
    scale = np.empty(w.shape[1], w.dtype)
    for c in range(scale.size):
        factor = 1.0 / math.sqrt(np.float64(var[c]) + epsilon)
        if gamma.size > 0:
            factor *= np.float64(gamma[c])
        scale[c] = factor
        if lo == 0:
            centre = np.float64(mean[c])
            if bias.size > 0:
                centre -= np.float64(bias[c])
            shift[c] = -centre * factor
            if beta.size > 0:
                shift[c] += beta[c]
    for n in range(lo, hi):
        row, out = w[n], scaled[n]
        for c in range(row.size):
            out[c] = row[c] * scale[c]


@kernel
def _row_moments(lo, hi, thread, x, mean, variance):
    lanes = np.empty(8, np.float64)
    for n in range(lo, hi):
        row = x[n]
        whole = row.size // 8 * 8
        lanes[:] = 0.0
        for start in range(0, whole, 8):
            for lane in range(8):
                lanes[lane] += row[start + lane]
        total = lanes.sum()
        for i in range(whole, row.size):
            total += row[i]
        centre = total / np.float64(row.size)
        lanes[:] = 0.0
        for start in range(0, whole, 8):
            for lane in range(8):
                d = row[start + lane] - centre
                lanes[lane] += d * d
        total = lanes.sum()
        for i in range(whole, row.size):
            total += (row[i] - centre) * (row[i] - centre)
        mean[n] = centre
        variance[n] = total / np.float64(row.size)
