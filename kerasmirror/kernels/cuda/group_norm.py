"""Normalization of groups of channels: x (N, P, C), each sample's channels in `groups` groups, by
the mean and deviation of a group over its places and channels.

A launch has the moments or sums of each channel of each sample; a small one those of groups.
"""

from __future__ import annotations

from . import memory
from . import norm_kernels as kernels
from .casting import as_dtype
from .launch import blocks_for, launch
from .norm import gradient, gradient_sums, halves, moments_of, normalized, summed

__all__ = ["group_norm", "group_norm_grad"]


def group_norm(x, gamma, beta, groups: int, epsilon: float):
    """(y, mean, inverse): y = gamma * (x - mean) * inverse + beta, by groups of channels.

    Shapes: x and y (N, P, C), gamma and beta (C,) or None, mean and inverse (N, C) in x's dtype.
    """
    n, _, channels = x.shape
    means, variances = moments_of(x, *x.shape)
    mean, inverse = (memory.empty((n, channels), x.dtype) for _ in range(2))
    numbers = mean.size, channels, channels // groups, float(epsilon)
    arrays = means, variances, mean, inverse
    launch(kernels.group_moments, blocks_for(mean.size), *arrays, *numbers)
    y = normalized(x, x.shape, mean, inverse, gamma, beta, inverted=True)
    return y, mean, inverse


def group_norm_grad(dy, x, mean, inverse, gamma, groups: int):
    """(dx, dgamma, dbeta) of group_norm.

    With z = (x - mean) inverse and dz = gamma dy: dx = inverse * (dz - mean(dz) - z mean(dz z)),
    the means over the group.
    """
    n, places, channels = x.shape
    sums = gradient_sums(dy, x, x.shape, mean, inverse, inverted=True)
    means = memory.empty(sums.shape, x.dtype)
    weights = mean if gamma is None else as_dtype(gamma, x.dtype)
    flags = 0 if gamma is None else kernels.GAMMA
    numbers = mean.size, channels, channels // groups, places, flags
    launch(kernels.group_means, blocks_for(mean.size), sums, weights, means, *numbers)
    dx = gradient(dy, x, x.shape, mean, inverse, gamma, means, inverted=True)
    dbeta, dgamma = (summed(part.reshape(n, channels)) for part in halves(sums))
    return dx, dgamma, dbeta
