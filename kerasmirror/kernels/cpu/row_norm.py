"""Normalization of rows: x (rows, n), each row by its own mean and deviation, or by its root mean
square. z = (x - mean) / sqrt(var + epsilon) is the normalized x; gamma and beta are (n,).

Sums over a row go in lanes of x's dtype, which are added up in float64; sums over rows as in
norm.py: blocks of rows in x's dtype, slabs of blocks in float64, in an order that is fixed.
"""

from __future__ import annotations

import math

import numpy as np

from . import memory, threads
from .launch import kernel, launch

__all__ = ["row_norm", "row_norm_grad"]

_LANES = 16
_SLABS = 16
_BLOCK = 8


def row_norm(x: np.ndarray, gamma, beta, epsilon: float, centred: bool):
    """(y, mean, inverse): y = gamma * (x - mean) * inverse + beta, inverse = 1 / sqrt(var + eps).

    Without `centred` the mean is 0 and var the mean square. gamma and beta may be None.
    Shapes: x and y (rows, n), mean and inverse (rows,).
    """
    x = np.ascontiguousarray(x)
    rows, n = x.shape
    y = memory.empty(x.shape, x.dtype)
    mean, inverse = memory.empty((rows,), x.dtype), memory.empty((rows,), x.dtype)
    gamma, beta = _vector(gamma, 1, n, x.dtype), _vector(beta, 0, n, x.dtype)
    chunk = threads.chunk_of(4 * n)
    launch(_normalize, rows, chunk, x, gamma, beta, y, mean, inverse, float(epsilon), int(centred))
    return y, mean, inverse


def row_norm_grad(dy: np.ndarray, x: np.ndarray, mean, inverse, gamma, centred: bool):
    """(dx, dgamma, dbeta) of row_norm.

    With dz = gamma dy: dx = inverse * (dz - mean(dz) - z mean(dz z)), the first mean only where
    centred; dgamma = sum of dy z, dbeta = sum of dy over the rows.
    """
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    rows, n = x.shape
    gamma = _vector(gamma, 1, n, x.dtype)
    dx = memory.empty(x.shape, x.dtype)
    slabs = max(1, min(_SLABS, rows // 64))
    sums = np.zeros((slabs, 2, n), np.float64)
    chunk = threads.chunk_of(8 * x.size // slabs)
    launch(_grad_slab, slabs, chunk, dy, x, mean, inverse, gamma, dx, sums, int(centred))
    dgamma, dbeta = sums.sum(axis=0)
    return dx, dgamma.astype(x.dtype), dbeta.astype(x.dtype)


def _vector(v, value, n, dtype):
    return np.full(n, value, dtype) if v is None else np.ascontiguousarray(v, dtype).reshape(n)


@kernel
def _normalize(lo, hi, thread, x, gamma, beta, y, mean, inverse, epsilon, centred):
    lanes = np.empty(_LANES, x.dtype)
    for i in range(lo, hi):
        row, out = x[i], y[i]
        n = row.size
        whole = n // _LANES * _LANES
        centre = 0.0
        if centred:
            lanes[:] = 0
            for start in range(0, whole, _LANES):
                for lane in range(_LANES):
                    lanes[lane] += row[start + lane]
            for lane in range(_LANES):
                centre += np.float64(lanes[lane])
            for j in range(whole, n):
                centre += np.float64(row[j])
            centre /= np.float64(n)
        middle = x.dtype.type(centre)
        lanes[:] = 0
        for start in range(0, whole, _LANES):
            for lane in range(_LANES):
                d = row[start + lane] - middle
                lanes[lane] += d * d
        total = 0.0
        for lane in range(_LANES):
            total += np.float64(lanes[lane])
        for j in range(whole, n):
            d = row[j] - middle
            total += np.float64(d * d)
        # The mean was rounded to x's dtype; what that adds to the squares is known.
        rest = centre - np.float64(middle)
        factor = x.dtype.type(1.0 / math.sqrt(total / np.float64(n) - rest * rest + epsilon))
        mean[i], inverse[i] = middle, factor
        for j in range(n):
            out[j] = (row[j] - middle) * factor * gamma[j] + beta[j]


@kernel
def _grad_slab(lo, hi, thread, dy, x, mean, inverse, gamma, dx, sums, centred):
    rows, n = x.shape
    lanes = np.empty((2, _LANES), x.dtype)
    plain, scaled = lanes[0], lanes[1]
    partial = np.empty((2, n), x.dtype)
    dgamma, dbeta = partial[0], partial[1]
    whole = n // _LANES * _LANES
    for slab in range(lo, hi):  # one item owns one row of sums, and its rows of dx
        total = sums[slab]
        first = slab * rows // sums.shape[0]
        last = (slab + 1) * rows // sums.shape[0]
        for start in range(first, last, _BLOCK):
            partial[:] = 0
            for i in range(start, min(start + _BLOCK, last)):
                row, drow, out = x[i], dy[i], dx[i]
                centre, factor = mean[i], inverse[i]
                lanes[:] = 0
                for base in range(0, whole, _LANES):
                    for lane in range(_LANES):
                        dz = drow[base + lane] * gamma[base + lane]
                        plain[lane] += dz
                        scaled[lane] += dz * ((row[base + lane] - centre) * factor)
                first_mean = second_mean = 0.0
                for lane in range(_LANES):
                    first_mean += np.float64(plain[lane])
                    second_mean += np.float64(scaled[lane])
                for j in range(whole, n):
                    dz = drow[j] * gamma[j]
                    first_mean += np.float64(dz)
                    second_mean += np.float64(dz * ((row[j] - centre) * factor))
                if centred == 0:
                    first_mean = 0.0
                shift = x.dtype.type(first_mean / np.float64(n))
                slope = x.dtype.type(second_mean / np.float64(n))
                for j in range(n):
                    z = (row[j] - centre) * factor
                    d = drow[j]
                    dbeta[j] += d
                    dgamma[j] += d * z
                    out[j] = (d * gamma[j] - shift - z * slope) * factor
            for j in range(n):
                total[0, j] += dgamma[j]
                total[1, j] += dbeta[j]
