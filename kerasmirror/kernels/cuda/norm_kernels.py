"""Kernels of normalization by columns of an array (outer, n, inner): a column has a mean, a spread.

The spread is the variance, or with `inverted` already 1 / sqrt(variance + epsilon). gamma and beta
are (inner,), 1 and 0 where `flags` does not say that there are some: 1 for gamma, 2 for beta.
Moments are merged from those of four values, of lanes and of parts, so x is read once and no digits
are lost where the mean is far larger than the deviation. Source of the merging: Chan, Golub and
LeVeque 1983, https://doi.org/10.1080/00031305.1983.10483115, Equation 2.1.
"""

from __future__ import annotations

import math

from numba import cuda

from .blocks import column_of, lane_of, shared_like, step_of
from .indices import grid_index, quotient, remainder
from .kernel import inlined, kernel

GAMMA, BETA = 1, 2
_PLAN = " i4 i4 i4 i4 i4"  # Plan.numbers


@inlined
def _merged(count, mean, square, others, centre, more):
    """Moments (count, mean, sum of squared deviations) of two sets of values together."""
    total = count + others
    share = others / total if total > type(total)(0) else others
    d = centre - mean
    return total, mean + d * share, square + more + d * d * (count * share)


@inlined
def _of_lanes(count, mean, square, inner, shift):
    """The moments of all lanes of a column, in its first lane."""
    counts, means, squares = shared_like(count), shared_like(mean), shared_like(square)
    t, lane, step = cuda.threadIdx.x, lane_of(inner, shift), step_of(inner, shift)
    counts[t], means[t], squares[t] = count, mean, square
    half = (1 << shift) >> 1
    while half > 0:
        cuda.syncthreads()
        if lane < half:
            from_ = t + half * step
            count, mean, square = _merged(
                count, mean, square, counts[from_], means[from_], squares[from_]
            )
            counts[t], means[t], squares[t] = count, mean, square
        half >>= 1
    return count, mean, square


@kernel("T* T* T*" + _PLAN + " i4", T="f4 f8", registers=64, traffic="r - - 4f")
def moments(x, means, spreads, columns, n, inner, shift, length, last_step):
    """A part's mean and sum of squared deviations; with `last_step` the variance."""
    column, lane = column_of(inner, shift), lane_of(inner, shift)
    lanes = 1 << shift
    zero, one = type(x[0])(0), type(x[0])(1)
    four, quarter = type(x[0])(4), type(x[0])(0.25)
    count, mean, square = zero, zero, zero
    if column < columns:
        place = quotient(column, inner) * n * inner + remainder(column, inner)
        first = cuda.blockIdx.y * length
        last = min(first + length, n)
        i, by = first + lane, lanes * inner
        while i + 3 * lanes < last:
            at = place + i * inner
            a, b, c, d = x[at], x[at + by], x[at + 2 * by], x[at + 3 * by]
            centre = ((a + b) + (c + d)) * quarter
            a, b, c, d = a - centre, b - centre, c - centre, d - centre
            more = (a * a + b * b) + (c * c + d * d)
            count, mean, square = _merged(count, mean, square, four, centre, more)
            i += 4 * lanes
        while i < last:
            count, mean, square = _merged(count, mean, square, one, x[place + i * inner], zero)
            i += lanes
    count, mean, square = _of_lanes(count, mean, square, inner, shift)
    if lane == 0 and column < columns:
        out = cuda.blockIdx.y * columns + column
        means[out] = mean
        spreads[out] = square / count if last_step else square


@kernel("T* T* T* T*" + _PLAN + " i4 i4", T="f4 f8", registers=64, traffic="r r - - 9f")
def moments_of_parts(
    means, squares, mean_, variance, columns, parts, inner, shift, length, of_part, n
):  # fmt: skip
    """The mean and variance of columns of n values from those of parts of `of_part` values."""
    column, lane = column_of(inner, shift), lane_of(inner, shift)
    zero = type(means[0])(0)
    count, mean, square = zero, zero, zero
    if column < columns:
        part = lane
        while part < parts:
            at = part * columns + column
            values = type(zero)(min(of_part, n - part * of_part))
            count, mean, square = _merged(count, mean, square, values, means[at], squares[at])
            part += 1 << shift
    count, mean, square = _of_lanes(count, mean, square, inner, shift)
    if lane == 0 and column < columns:
        mean_[column], variance[column] = mean, square / count


@inlined
def _inverse(spread, epsilon, inverted):
    return spread if inverted else type(spread)(1) / math.sqrt(spread + epsilon)


@kernel(
    "T* T* T* T* T* T*" + _PLAN + " T i4 i4 i4", T="f4 f8", registers=64, traffic="r - - - - w 4f"
)
def normalize(
    x, mean, spread, gamma, beta, y, columns, n, inner, shift, length, epsilon, inverted, flags,
    relu,
):  # fmt: skip
    """y = gamma (x - mean) inverse + beta; with `relu`, 0 where that is below."""
    column = column_of(inner, shift)
    if column < columns:
        channel = remainder(column, inner)
        middle, scale = mean[column], _inverse(spread[column], epsilon, inverted)
        offset = type(middle)(0)
        floor = offset if relu else type(middle)(-math.inf)
        if flags & GAMMA:
            scale *= gamma[channel]
        if flags & BETA:
            offset = beta[channel]
        place = quotient(column, inner) * n * inner + channel
        first = cuda.blockIdx.y * length
        i, last = first + lane_of(inner, shift), min(first + length, n)
        while i < last:
            at = place + i * inner
            value = (x[at] - middle) * scale + offset
            y[at] = floor if value < floor else value  # keeps what is not a number
            i += 1 << shift


@kernel("T* T* T* T* T* T*" + _PLAN + " T i4 i4", T="f4 f8", registers=64, traffic="r r r - - - 6f")
def gradient_sums(
    dy, x, y, mean, spread, sums, columns, n, inner, shift, length, epsilon, inverted, relu
):  # fmt: skip
    """sums[part] = each column's sums of dy and of dy z; with `relu`, dy counts where y > 0."""
    column, lane = column_of(inner, shift), lane_of(inner, shift)
    lanes = 1 << shift
    zero = type(x[0])(0)
    plain, scaled = zero, zero
    if column < columns:
        middle, inverse = mean[column], _inverse(spread[column], epsilon, inverted)
        place = quotient(column, inner) * n * inner + remainder(column, inner)
        first = cuda.blockIdx.y * length
        i, last = first + lane, min(first + length, n)
        while i < last:
            at = place + i * inner
            d = dy[at]
            if relu:
                d = d if y[at] > zero else zero
            plain += d
            scaled += d * ((x[at] - middle) * inverse)
            i += lanes
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


@kernel(
    "T* T* T* T* T* T* T* T*" + _PLAN + " T i4 i4 i4",
    T="f4 f8",
    registers=64,
    traffic="r r r - - - - w 8f",
)
def gradient(
    dy, x, y, mean, spread, gamma, sums, dx, columns, n, inner, shift, length, epsilon, inverted,
    flags, relu,
):  # fmt: skip
    """dx = inverse (gamma dy - a - z b): a and b are `sums` where inverted, else gamma sums / n."""
    column = column_of(inner, shift)
    if column < columns:
        channel = remainder(column, inner)
        middle, inverse = mean[column], _inverse(spread[column], epsilon, inverted)
        zero, factor = type(middle)(0), type(middle)(1)
        if flags & GAMMA:
            factor = gamma[channel]
        a, b = sums[column], sums[column + columns]
        if inverted == 0:
            share = factor / type(middle)(n)
            a, b = a * share, b * share
        place = quotient(column, inner) * n * inner + channel
        first = cuda.blockIdx.y * length
        i, last = first + lane_of(inner, shift), min(first + length, n)
        while i < last:
            at = place + i * inner
            d = dy[at]
            if relu:
                d = d if y[at] > zero else zero
            dx[at] = inverse * (factor * d - a - (x[at] - middle) * inverse * b)
            i += 1 << shift


@kernel(
    "T* T* T* T* T* T* T*" + _PLAN + " T i4 i4", T="f4 f8", registers=64, traffic="r - - - - - w 1f"
)
def fold(
    w, bias, mean, var, gamma, beta, scaled, columns, n, inner, shift, length, epsilon,
    with_bias, flags,
):  # fmt: skip
    """scaled = w inverse gamma, and behind its n rows one with the bias that goes with them."""
    column = column_of(inner, shift)
    if column < columns:
        factor = _inverse(var[column], epsilon, 0)
        if flags & GAMMA:
            factor *= gamma[column]
        first = cuda.blockIdx.y * length
        i, last = first + lane_of(inner, shift), min(first + length, n)
        if i == 0:
            centre = mean[column]
            if with_bias:
                centre -= bias[column]
            shifted = -centre * factor
            if flags & BETA:
                shifted += beta[column]
            scaled[n * columns + column] = shifted
        while i < last:
            scaled[i * columns + column] = w[i * columns + column] * factor
            i += 1 << shift


@kernel("T* T* T* i4 T T", T="f4 f8", traffic="r r w 3f")
def weighted(a, b, y, n, of_a, of_b):
    """y = a of_a + b of_b."""
    i = grid_index()
    if i < n:
        y[i] = a[i] * of_a + b[i] * of_b


@kernel("T* T* T* T* i4 i4 i4 T", T="f4 f8", traffic="- - w w 5f")
def group_moments(means, variances, mean, inverse, count, channels, size, epsilon):
    """The mean and 1 / sqrt(variance + epsilon) of each channel's group of `size` channels."""
    i = grid_index()
    if i < count:
        channel = remainder(i, channels)
        first = i - remainder(channel, size)
        total = type(epsilon)(0)
        for j in range(first, first + size):
            total += means[j]
        number = type(epsilon)(size)
        centre = total / number
        square = type(epsilon)(0)
        for j in range(first, first + size):
            d = means[j] - centre
            square += variances[j] + d * d
        mean[i] = centre
        inverse[i] = type(epsilon)(1) / math.sqrt(square / number + epsilon)


@kernel("T* T* T* i4 i4 i4 i4 i4", T="f4 f8", traffic="- - 2w 4f")
def group_means(sums, gamma, means, count, channels, size, places, flags):
    """The means over a channel's group of gamma times each of two sums."""
    i = grid_index()
    if i < count:
        channel = remainder(i, channels)
        start = remainder(channel, size)
        a, b = type(sums[0])(0), type(sums[0])(0)
        for j in range(size):
            factor = type(a)(1)
            if flags & GAMMA:
                factor = gamma[channel - start + j]
            a += sums[i - start + j] * factor
            b += sums[count + i - start + j] * factor
        number = type(a)(places) * type(a)(size)
        means[i], means[count + i] = a / number, b / number
