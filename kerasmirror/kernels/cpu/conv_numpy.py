"""Convolution as the textbook writes it in NumPy: a view of all windows, times w.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). The windows overlap in a view without
copies; NumPy's `tensordot` copies them into the rows of a matrix and calls BLAS, so images go in
shares that keep that matrix small.
"""

import numpy as np

from . import memory
from .conv_padding import channels_of, cut, finished, padded, padded_size, shares

_ROOM = 64 << 20  # bytes of copied windows


def conv2d(x, w, bias, relu, geometry):
    """y[n, p, q, f] = sum over r, s, c of x[n, p * stride + r * dilation - pad, ..., c] * w."""
    y = memory.empty((x.shape[0], *geometry.out_size, w.shape[3]), x.dtype)
    if y.size == 0:
        return y
    for images in _shares(x.shape[0], w.shape, geometry, x.itemsize):
        windows = _windows(x[images], w.shape, geometry)
        for channels, filters in channels_of(w.shape, geometry.groups):
            # [n p q (c r s)] [(c r s) f] -> [n p q f]
            y[images, ..., filters] = np.tensordot(
                windows[:, :, :, channels], w[..., filters], axes=((3, 4, 5), (2, 0, 1))
            )
    return finished(y, bias, relu)


def grad_input(dy, w, x_shape, geometry):
    """Each output's dy times w, added back to the places of its window."""
    if dy.size == 0:
        return memory.zeros(x_shape, dy.dtype)
    size = padded_size(x_shape[1:3], w.shape[:2], geometry)
    dx = memory.empty(x_shape, dy.dtype)
    (rows, columns), (step, across) = geometry.out_size, geometry.stride
    for images in _shares(x_shape[0], w.shape, geometry, dy.itemsize):
        whole = memory.zeros((dy[images].shape[0], *size, x_shape[3]), dy.dtype)
        for channels, filters in channels_of(w.shape, geometry.groups):
            # [n p q f] [r s c f] -> [n p q r s c]
            windows = np.tensordot(dy[images, ..., filters], w[..., filters], axes=(3, 3))
            for r, s in np.ndindex(*w.shape[:2]):
                top, left = r * geometry.dilation[0], s * geometry.dilation[1]
                whole[
                    :,
                    top : top + (rows - 1) * step + 1 : step,
                    left : left + (columns - 1) * across + 1 : across,
                    channels,
                ] += windows[:, :, :, r, s]
        dx[images] = cut(whole, x_shape[1:3], geometry)
    return dx


def grad_kernel(dy, x, w_shape, geometry):
    """dw[r, s, c, f] = sum over n, p, q of what tap (r, s) of channel c read times dy."""
    dw = memory.zeros(w_shape, x.dtype)
    if dy.size == 0:
        return dw
    for images in _shares(x.shape[0], w_shape, geometry, x.itemsize):
        windows = _windows(x[images], w_shape, geometry)
        for channels, filters in channels_of(w_shape, geometry.groups):
            # [(n p q) c r s] [(n p q) f] -> [c r s f]
            part = np.tensordot(
                windows[:, :, :, channels], dy[images, ..., filters], axes=((0, 1, 2), (0, 1, 2))
            )
            dw[..., filters] += part.transpose(1, 2, 0, 3)
    return dw


def _windows(x, w_shape, geometry):
    """A view (N, P, Q, C, R, S) of the padded x: what each output reads."""
    window, (rows, columns) = w_shape[:2], geometry.out_size
    (step, across), (apart, beside) = geometry.stride, geometry.dilation
    whole = padded(x, padded_size(x.shape[1:3], window, geometry), geometry)
    reach = ((window[0] - 1) * apart + 1, (window[1] - 1) * beside + 1)
    windows = np.lib.stride_tricks.sliding_window_view(whole, reach, axis=(1, 2))
    outputs = windows[:, : (rows - 1) * step + 1 : step, : (columns - 1) * across + 1 : across]
    return outputs[..., ::apart, ::beside]


def _shares(images, w_shape, geometry, itemsize):
    outputs, taps = geometry.out_size[0] * geometry.out_size[1], w_shape[0] * w_shape[1]
    each = outputs * taps * w_shape[2] * geometry.groups * itemsize
    return shares(images, each, _ROOM)
