"""Activations with kernels of their own: relu and its gradient."""

from . import gemm, memory
from .indices import grid_index
from .kernel import kernel
from .launch import blocks_for, launch

__all__ = ["relu", "relu_grad", "relu_grad_sums"]


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


@kernel("T* T* T* i4 T", T="f4 f8")
def _relu_grad_scaled(dy, y, dx, n, scale):
    i = grid_index()
    if i < n:
        zero = type(y[i])(0)
        dx[i] = dy[i] * scale if y[i] > zero else zero


def relu_grad_sums(dy, y, scale=1.0):
    """(scale * dy where y > 0, else 0, and its sum over all axes but the last).

    y is the result of relu, or of dropout of it, whose factor for what is kept is `scale`.
    """
    dx = memory.empty(y.shape, y.dtype)
    if not y.size:
        return dx, memory.zeros((y.shape[-1],), y.dtype)
    launch(_relu_grad_scaled, blocks_for(y.size), dy, y, dx, y.size, scale)
    return dx, gemm.bias_grad(dx)
