"""Activations with kernels of their own: relu and its gradient."""

import numpy as np

from . import memory, threads
from .launch import kernel, launch

__all__ = ["relu", "relu_grad"]


def relu(x):
    """max(x, 0), of x's shape; what is not a number stays so."""
    x = np.ascontiguousarray(x)
    y = memory.empty(x.shape, x.dtype)
    launch(_relu, x.size, threads.GRAIN, x.reshape(-1), y.reshape(-1))
    return y


@kernel
def _relu(lo, hi, thread, x, y):
    x, y = x[lo:hi], y[lo:hi]  # from 0 on: an index known to be no negative number vectorizes
    zero = x.dtype.type(0)
    for i in range(x.size):
        y[i] = zero if x[i] < zero else x[i]


def relu_grad(dy, y):
    """dy where y > 0, else 0; y is the result of relu (or its argument)."""
    dy, y = np.ascontiguousarray(dy), np.ascontiguousarray(y)
    dx = memory.empty(y.shape, y.dtype)
    launch(_relu_grad, y.size, threads.GRAIN, dy.reshape(-1), y.reshape(-1), dx.reshape(-1))
    return dx


@kernel
def _relu_grad(lo, hi, thread, dy, y, dx):
    dy, y, dx = dy[lo:hi], y[lo:hi], dx[lo:hi]
    zero = y.dtype.type(0)
    for i in range(y.size):
        dx[i] = dy[i] if y[i] > zero else zero
