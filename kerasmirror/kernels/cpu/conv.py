"""2D convolution and its two gradients: host functions and the choice of the algorithm.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). A window of 1 x 1 without stride or padding
is a matrix product; one of 3 x 3 with many channels goes by Winograd's algorithm in float32; the
rest is direct.
"""

import numpy as np

from . import conv_direct, conv_winograd, gemm

__all__ = ["conv2d", "conv2d_grad_input", "conv2d_grad_kernel"]


def conv2d(x, w, bias, geometry, activation="linear"):
    """activation(x convolved with w, plus bias): bias (F,) or None, "linear" or "relu"."""
    x, w = np.ascontiguousarray(x), np.ascontiguousarray(w)
    relu = activation == "relu"
    if _is_product(x.shape, w.shape, geometry):
        rows = x.reshape(-1, x.shape[3])
        y = gemm.dense(rows, w.reshape(w.shape[2:]), bias, activation)
        return y.reshape(*x.shape[:3], w.shape[3])
    m = conv_winograd.tile_size(x.shape, w.shape, geometry, x.dtype)
    if m:
        pad = (geometry.pad[0][0], geometry.pad[1][0])
        return conv_winograd.convolve(x, w, bias, relu, pad, geometry.out_size, m)
    return conv_direct.conv2d(x, w, bias, relu, geometry)


def conv2d_grad_input(dy, w, x_shape, geometry):
    """The gradient of conv2d in x, of shape `x_shape`."""
    dy, w = np.ascontiguousarray(dy), np.ascontiguousarray(w)
    x_shape = tuple(x_shape)
    if _is_product(x_shape, w.shape, geometry):
        rows = dy.reshape(-1, dy.shape[3])
        return gemm.dense_grad_input(rows, w.reshape(w.shape[2:])).reshape(x_shape)
    m = conv_winograd.tile_size(x_shape, w.shape, geometry, dy.dtype)
    if m:
        # What the padding of the forward pass leaves of a full one.
        pad = (2 - geometry.pad[0][0], 2 - geometry.pad[1][0])
        turned = conv_winograd.turned_windows(w)
        return conv_winograd.convolve(dy, turned, None, False, pad, x_shape[1:3], m)
    return conv_direct.grad_input(dy, w, x_shape, geometry)


def conv2d_grad_kernel(dy, x, w_shape, geometry):
    """The gradient of conv2d in w, of shape `w_shape`."""
    dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
    w_shape = tuple(w_shape)
    if _is_product(x.shape, w_shape, geometry):
        rows = x.reshape(-1, x.shape[3])
        return gemm.dense_grad_kernel(rows, dy.reshape(-1, dy.shape[3])).reshape(w_shape)
    m = conv_winograd.tile_size(x.shape, w_shape, geometry, x.dtype)
    if m:
        pad = (geometry.pad[0][0], geometry.pad[1][0])
        return conv_winograd.grad_kernel(dy, x, pad, m)
    return conv_direct.grad_kernel(dy, x, w_shape, geometry)


def _is_product(x_shape, w_shape, geometry):
    return (
        tuple(w_shape[:2]) == (1, 1)
        and geometry.groups == 1
        and tuple(geometry.stride) == (1, 1)
        and tuple(geometry.out_size) == tuple(x_shape[1:3])
        and not any(geometry.pad[0] + geometry.pad[1])
    )
