"""Normalization of rows: x (rows, n), each row by its own mean and deviation, or by its root mean
square. z = (x - mean) / sqrt(var + epsilon) is the normalized x; gamma and beta are (n,).

A row belongs to a power of two of neighbouring threads, which read it from the cache again; sums
over rows go as those over any columns do, see blocks.py.
"""

from __future__ import annotations

import math

from numba import cuda

from . import memory
from .blocks import (
    THREADS,
    column_of,
    lane_of,
    plan,
    row_lanes,
    row_of,
    shared_like,
    step_of,
    sum_of_lanes,
)
from .casting import as_dtype
from .kernel import kernel
from .launch import launch
from .norm import halves, summed
from .norm_kernels import BETA, GAMMA

__all__ = ["row_norm", "row_norm_grad"]


@kernel("T* T* T* T* T* T* i4 i4 i4 T i4 i4", T="f4 f8", registers=64, traffic="r3 - - w - - 8f")
def _normalize(
    x, gamma, beta, y, mean, inverse, rows, n, lanes, epsilon, flags, centred
):  # fmt: skip
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    place = row * n
    zero, number = type(epsilon)(0), type(epsilon)(n)
    shared = shared_like(epsilon)
    centre = zero
    if centred:  # the same for the whole block
        total = zero
        if row < rows:
            i = mine
            while i < n:
                total += x[place + i]
                i += lanes
        centre = sum_of_lanes(shared, total, lanes) / number
    total = zero
    if row < rows:
        i = mine
        while i < n:
            d = x[place + i] - centre
            total += d * d
            i += lanes
    total = sum_of_lanes(shared, total, lanes)
    if row < rows:
        factor = type(epsilon)(1) / math.sqrt(total / number + epsilon)
        if mine == 0:
            mean[row], inverse[row] = centre, factor
        i = mine
        while i < n:
            value = (x[place + i] - centre) * factor
            if flags & GAMMA:
                value *= gamma[i]
            if flags & BETA:
                value += beta[i]
            y[place + i] = value
            i += lanes


@kernel("T* T* T* T* T* T* i4 i4 i4 i4 i4", T="f4 f8", registers=64, traffic="r2 r2 - - - w 13f")
def _grad_input(dy, x, mean, inverse, gamma, dx, rows, n, lanes, flags, centred):
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    place = row * n
    zero = type(x[0])(0)
    shared = shared_like(zero)
    plain, scaled, centre, factor = zero, zero, zero, zero
    if row < rows:
        centre, factor = mean[row], inverse[row]
        i = mine
        while i < n:
            d = dy[place + i]
            if flags & GAMMA:
                d *= gamma[i]
            plain += d
            scaled += d * ((x[place + i] - centre) * factor)
            i += lanes
    scaled = sum_of_lanes(shared, scaled, lanes) / type(zero)(n)
    if centred:
        plain = sum_of_lanes(shared, plain, lanes) / type(zero)(n)
    else:
        plain = zero
    if row < rows:
        i = mine
        while i < n:
            d = dy[place + i]
            if flags & GAMMA:
                d *= gamma[i]
            dx[place + i] = (d - plain - (x[place + i] - centre) * factor * scaled) * factor
            i += lanes


@kernel("T* T* T* T* T* i4 i4 i4 i4 i4", T="f4 f8", registers=64, traffic="r r - - - 5f")
def _column_sums(dy, x, mean, inverse, sums, columns, n, inner, shift, length):
    """sums[part] = the sums over rows of dy, and of dy z."""
    column, lane = column_of(inner, shift), lane_of(inner, shift)
    lanes = 1 << shift
    zero = type(x[0])(0)
    plain, scaled = zero, zero
    if column < columns:
        first = cuda.blockIdx.y * length
        row, last = first + lane, min(first + length, n)
        while row < last:
            at = row * columns + column
            d = dy[at]
            plain += d
            scaled += d * ((x[at] - mean[row]) * inverse[row])
            row += lanes
    plains, scaleds = shared_like(plain), shared_like(scaled)
    t, step = cuda.threadIdx.x, step_of(inner, shift)
    plains[t], scaleds[t] = plain, scaled
    half = lanes >> 1
    while half > 0:
        cuda.syncthreads()
        if lane < half:
            plain += plains[t + half * step]
            scaled += scaleds[t + half * step]
            plains[t], scaleds[t] = plain, scaled
        half >>= 1
    if lane == 0 and column < columns:
        out = 2 * columns * cuda.blockIdx.y + column
        sums[out], sums[out + columns] = plain, scaled


def row_norm(x, gamma, beta, epsilon: float, centred: bool):
    """(y, mean, inverse): y = gamma * (x - mean) * inverse + beta, inverse = 1 / sqrt(var + eps).

    Without `centred` the mean is 0 and var the mean square. gamma and beta may be None.
    Shapes: x and y (rows, n), mean and inverse (rows,).
    """
    rows, n = x.shape
    y = memory.empty(x.shape, x.dtype)
    mean, inverse = (memory.empty((rows,), x.dtype) for _ in range(2))
    lanes = row_lanes(rows, n)
    flags = (gamma is not None) * GAMMA + (beta is not None) * BETA
    gamma, beta = (x if v is None else as_dtype(v, x.dtype) for v in (gamma, beta))
    numbers = rows, n, lanes, float(epsilon), flags, int(centred)
    launch(_normalize, -(-rows // (THREADS // lanes)), x, gamma, beta, y, mean, inverse, *numbers)
    return y, mean, inverse


def row_norm_grad(dy, x, mean, inverse, gamma, centred: bool):
    """(dx, dgamma, dbeta) of row_norm.

    With dz = gamma dy: dx = inverse * (dz - mean(dz) - z mean(dz z)), the first mean only where
    centred; dgamma = sum of dy z, dbeta = sum of dy over the rows.
    """
    rows, n = x.shape
    dx = memory.empty(x.shape, x.dtype)
    if not x.size:
        return dx, *(memory.zeros((n,), x.dtype) for _ in range(2))
    lanes = row_lanes(rows, n)
    flags = 0 if gamma is None else GAMMA
    weights = x if gamma is None else as_dtype(gamma, x.dtype)
    arrays = dy, x, mean, inverse, weights, dx
    blocks = -(-rows // (THREADS // lanes))
    launch(_grad_input, blocks, *arrays, rows, n, lanes, flags, int(centred))
    by = plan(1, rows, n)
    sums = memory.empty((by.parts, 2 * n), x.dtype)
    launch(_column_sums, by.grid, dy, x, mean, inverse, sums, *by.numbers)
    dbeta, dgamma = halves(summed(sums))
    return dx, dgamma, dbeta
