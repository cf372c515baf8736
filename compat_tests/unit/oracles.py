"""Slow, plainly right answers of kernels, in float64."""

import numpy as np


def pad_images(x, pad):
    """x (N, H, W, C) in float64 with zeros around its rows and columns."""
    return np.pad(np.asarray(x, np.float64), ((0, 0), *pad, (0, 0)))


def conv2d(x, w, bias, geometry, activation="linear"):
    """y[n, p, q, f] = sum over r, s, c of x[n, p * stride + r * dilation - pad, ..., c] * w."""
    padded = pad_images(x, geometry.pad)
    y = np.zeros((x.shape[0], *geometry.out_size, w.shape[3]))
    for p, q, r, s in _places(geometry, w.shape):
        h, v = _source(geometry, p, q, r, s)
        for channels, filters in _groups(w.shape, geometry.groups):
            y[:, p, q, filters] += padded[:, h, v, channels] @ w[r, s, :, filters].astype(float)
    if bias is not None:
        y += bias
    return np.maximum(y, 0) if activation == "relu" else y


def conv2d_grad_input(dy, w, x_shape, geometry):
    """Each output gives its gradient back to every place that it read."""
    dx = pad_images(np.zeros(x_shape), geometry.pad)
    for p, q, r, s in _places(geometry, w.shape):
        h, v = _source(geometry, p, q, r, s)
        for channels, filters in _groups(w.shape, geometry.groups):
            taps = w[r, s, :, filters].astype(float)
            dx[:, h, v, channels] += dy[:, p, q, filters].astype(float) @ taps.T
    (top, _), (left, _) = geometry.pad
    return dx[:, top : top + x_shape[1], left : left + x_shape[2]]


def conv2d_grad_kernel(dy, x, w_shape, geometry):
    """dw[r, s, c, f] = sum over n, p, q of what tap (r, s) of channel c read times dy."""
    padded = pad_images(x, geometry.pad)
    dw = np.zeros(w_shape)
    for p, q, r, s in _places(geometry, w_shape):
        h, v = _source(geometry, p, q, r, s)
        for channels, filters in _groups(w_shape, geometry.groups):
            dw[r, s, :, filters] += padded[:, h, v, channels].T @ dy[:, p, q, filters]
    return dw


def _places(geometry, w_shape):
    return np.ndindex(*geometry.out_size, *w_shape[:2])


def _source(geometry, p, q, r, s):
    stride, dilation = geometry.stride, geometry.dilation
    return p * stride[0] + r * dilation[0], q * stride[1] + s * dilation[1]


def _groups(w_shape, groups):
    channels, filters = w_shape[2], w_shape[3] // groups
    for group in range(groups):
        yield (
            slice(group * channels, (group + 1) * channels),
            slice(group * filters, (group + 1) * filters),
        )
