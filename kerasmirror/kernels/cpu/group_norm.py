"""Normalization of groups of channels: x (N, P, C), each sample's channels in `groups` groups, by
the mean and deviation of a group over its places and channels.

A launch sums each channel of each sample; groups of channels are put together in float64.
"""

from __future__ import annotations

import numpy as np

from . import memory, threads
from .launch import kernel, launch

__all__ = ["group_norm", "group_norm_grad"]

_BLOCK = 8


def group_norm(x: np.ndarray, gamma, beta, groups: int, epsilon: float):
    """(y, mean, inverse): y = gamma * (x - mean) * inverse + beta, by groups of channels.

    Shapes: x and y (N, P, C), gamma and beta (C,) or None, mean and inverse (N, C) in float64.
    """
    x = np.ascontiguousarray(x)
    n, places, channels = x.shape
    sums = np.zeros((n, 2, channels), np.float64)
    chunk = threads.chunk_of(2 * places * channels)
    none = np.zeros((n, channels), x.dtype)
    launch(_channel_sums, n, chunk, x, x, none, sums, 0)
    mean = _over_groups(sums[:, 0], groups, places)
    centre = mean.astype(x.dtype)
    launch(_channel_sums, n, chunk, x, x, centre, sums, 1)
    variance = _over_groups(sums[:, 1], groups, places) - (mean - centre) ** 2
    inverse = 1.0 / np.sqrt(variance + epsilon)
    scale = inverse if gamma is None else inverse * gamma
    shift = np.zeros_like(scale) if beta is None else np.broadcast_to(beta, scale.shape)
    y = memory.empty(x.shape, x.dtype)
    factors = [np.ascontiguousarray(v, x.dtype) for v in (scale, shift)]
    launch(_transform, n, threads.chunk_of(places * channels), x, centre, *factors, y)
    return y, mean, inverse


def group_norm_grad(dy: np.ndarray, x: np.ndarray, mean, inverse, gamma, groups: int):
    """(dx, dgamma, dbeta) of group_norm.

    With z = (x - mean) inverse and dz = gamma dy: dx = inverse * (dz - mean(dz) - z mean(dz z)),
    the means over the group.
    """
    x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
    n, places, channels = x.shape
    centre = mean.astype(x.dtype)
    sums = np.zeros((n, 2, channels), np.float64)
    launch(_channel_sums, n, threads.chunk_of(2 * places * channels), dy, x, centre, sums, 2)
    dbeta = sums[:, 0]
    dgamma = (sums[:, 1] - dbeta * (mean - centre)) * inverse
    scale = 1.0 if gamma is None else gamma.astype(np.float64)
    first = _over_groups(dbeta * scale, groups, places)
    second = _over_groups(dgamma * scale, groups, places)
    # dx = dy * slope - (x - centre) * pull - offset
    slope = np.broadcast_to(inverse * scale, mean.shape)
    pull = inverse * inverse * second
    offset = inverse * first - (mean - centre) * pull
    dx = memory.empty(x.shape, x.dtype)
    factors = [np.ascontiguousarray(v, x.dtype) for v in (slope, pull, offset)]
    chunk = threads.chunk_of(places * channels)
    launch(_grad_input, n, chunk, dy, x, centre, *factors, dx)
    return dx, dgamma.sum(0).astype(x.dtype), dbeta.sum(0).astype(x.dtype)


def _over_groups(sums, groups, places):
    """The mean over each group of channels and all places, for each of its channels."""
    n, channels = sums.shape
    size = channels // groups
    means = sums.reshape(n, groups, size).sum(-1) / max(1, places * size)
    return np.repeat(means, size, axis=1)


@kernel
def _channel_sums(lo, hi, thread, dy, x, centre, sums, kind):
    channels = x.shape[2]
    partial = np.empty((2, channels), x.dtype)
    plain, scaled = partial[0], partial[1]
    for n in range(lo, hi):  # one item owns one sample's sums
        total = sums[n]
        total[:] = 0.0
        middle = centre[n]
        for start in range(0, x.shape[1], _BLOCK):
            partial[:] = 0
            for p in range(start, min(start + _BLOCK, x.shape[1])):
                row, drow = x[n, p], dy[n, p]
                if kind == 0:
                    for c in range(channels):
                        plain[c] += row[c]
                elif kind == 1:
                    for c in range(channels):
                        d = row[c] - middle[c]
                        scaled[c] += d * d
                else:
                    for c in range(channels):
                        plain[c] += drow[c]
                        scaled[c] += drow[c] * (row[c] - middle[c])
            for c in range(channels):
                total[0, c] += plain[c]
                total[1, c] += scaled[c]


@kernel
def _transform(lo, hi, thread, x, centre, scale, shift, y):
    for n in range(lo, hi):
        middle, factor, offset = centre[n], scale[n], shift[n]
        for p in range(x.shape[1]):
            row, out = x[n, p], y[n, p]
            for c in range(row.size):
                out[c] = (row[c] - middle[c]) * factor[c] + offset[c]


@kernel
def _grad_input(lo, hi, thread, dy, x, centre, slope, pull, offset, dx):
    for n in range(lo, hi):
        middle, factor, weight, shift = centre[n], slope[n], pull[n], offset[n]
        for p in range(x.shape[1]):
            row, drow, out = x[n, p], dy[n, p], dx[n, p]
            for c in range(row.size):
                out[c] = drow[c] * factor[c] - (row[c] - middle[c]) * weight[c] - shift[c]
