"""Activations with kernels of their own: relu and its gradient."""

from . import memory
from .indices import grid_index
from .kernel import kernel
from .launch import blocks_for, launch

__all__ = ["relu", "relu_grad"]


@kernel("T* T* i4", T="f4 f8")
def _relu(x, y, n):
    i = grid_index()
    if i < n:
        v = x[i]
        zero = type(v)(0)
        y[i] = zero if v < zero else v


def relu(x):
    """max(x, 0), of x's shape; what is not a number stays so."""
    y = memory.empty(x.shape, x.dtype)
    launch(_relu, blocks_for(x.size), x, y, x.size)
    return y


@kernel("T* T* T* i4", T="f4 f8")
def _relu_grad(dy, y, dx, n):
    i = grid_index()
    if i < n:
        zero = type(y[i])(0)
        dx[i] = dy[i] if y[i] > zero else zero


def relu_grad(dy, y):
    """dy where y > 0, else 0; y is the result of relu (or its argument)."""
    dx = memory.empty(y.shape, y.dtype)
    launch(_relu_grad, blocks_for(y.size), dy, y, dx, y.size)
    return dx
