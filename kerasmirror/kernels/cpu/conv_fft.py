"""Convolution by Fourier transforms: products of spectra, point by point.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). With X, W, Y the two-dimensional
transforms of padded images, of windows (their taps spread by the dilation) and of outputs (spread
by the stride), over at least the padded size, so that what wraps around is never read,

    Y[u, n, f] = sum over c of X[u, n, c] conj(W[u, c, f])       (correlation, all strides at once)
    X[u, n, c] = sum over f of Y[u, n, f] W[u, c, f]             (gradient in x)
    W[u, c, f] = sum over n of X[u, n, c] conj(Y[u, n, f])       (gradient in w)

for each point u: matrix products of complex numbers, done by our own gemm on their real and
imaginary parts. The cost does not depend on the window's size.

Source: Mathieu, Henaff and LeCun 2013, https://arxiv.org/abs/1312.5851, section 2.
"""

import numpy as np

from . import gemm, memory
from .conv_padding import cut, every, finished, padded, padded_size, shares, spread

_ROOM = 64 << 20  # bytes of the spectra of one share of images


def conv2d(x, w, bias, relu, geometry):
    """activation(x convolved with w, plus bias)."""
    y = memory.empty((x.shape[0], *geometry.out_size, w.shape[3]), x.dtype)
    if y.size == 0:
        return y
    size = _transform_size(x.shape, w.shape, geometry)
    windows = np.conj(_spectrum_of_windows(w, size, geometry))
    for images in _shares(x.shape, w.shape, size, x.itemsize):
        spectrum = _spectrum(padded(x[images], size, geometry), geometry.groups)
        whole = _images(_times(spectrum, windows), size, x.dtype)
        y[images] = every(whole, geometry.stride, geometry.out_size)
    return finished(y, bias, relu)


def grad_input(dy, w, x_shape, geometry):
    """The gradient of conv2d in x."""
    if dy.size == 0:
        return memory.zeros(x_shape, dy.dtype)
    dx = memory.empty(x_shape, dy.dtype)
    size = _transform_size(x_shape, w.shape, geometry)
    windows = _spectrum_of_windows(w, size, geometry).swapaxes(-1, -2)
    for images in _shares(x_shape, w.shape, size, dy.itemsize):
        spectrum = _spectrum(spread(dy[images], 1, geometry.stride, size), geometry.groups)
        whole = _images(_times(spectrum, windows), size, dy.dtype)
        dx[images] = cut(whole, x_shape[1:3], geometry)
    return dx


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient of conv2d in w."""
    dw = memory.zeros(w_shape, x.dtype)
    if dy.size == 0:
        return dw
    size = _transform_size(x.shape, w_shape, geometry)
    total = 0
    for images in _shares(x.shape, w_shape, size, x.itemsize):
        spectrum = _spectrum(padded(x[images], size, geometry), geometry.groups)
        others = _spectrum(spread(dy[images], 1, geometry.stride, size), geometry.groups)
        total = total + _times(np.ascontiguousarray(spectrum.swapaxes(-1, -2)), np.conj(others))
    # The points' axes in front, the groups behind the channels: (rows, columns, C, groups * F).
    ahead = total.transpose(0, 1, 3, 2, 4).reshape(*total.shape[:2], w_shape[2], w_shape[3])
    whole = np.fft.irfft2(ahead, size, axes=(0, 1))
    (apart, beside), (rows, columns) = geometry.dilation, w_shape[:2]
    dw[...] = whole[: (rows - 1) * apart + 1 : apart, : (columns - 1) * beside + 1 : beside]
    return dw


def _transform_size(x_shape, w_shape, geometry):
    size = padded_size(x_shape[1:3], w_shape[:2], geometry)
    return tuple(_smooth(n) for n in size)


def _smooth(n):
    """The smallest number from n on without prime factors above 5: its transform is fast."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1


def _shares(x_shape, w_shape, size, itemsize):
    each = size[0] * (size[1] // 2 + 1) * (x_shape[3] + w_shape[3]) * 2 * itemsize
    return shares(x_shape[0], each, _ROOM)


def _spectrum(images, groups):
    """(rows, columns, groups, N, channels of a group) of the transforms of (N, H, W, channels)."""
    kind = np.result_type(images.dtype, np.complex64)
    found = np.fft.rfft2(images, axes=(1, 2)).astype(kind, copy=False)
    split = found.reshape(*found.shape[:3], groups, -1)
    return np.ascontiguousarray(split.transpose(1, 2, 3, 0, 4))


def _spectrum_of_windows(w, size, geometry):
    """(rows, columns, groups, C / groups, F / groups) of the windows' transforms."""
    kind = np.result_type(w.dtype, np.complex64)
    taps = spread(w, 0, geometry.dilation, size)
    found = np.fft.rfft2(taps, axes=(0, 1)).astype(kind, copy=False)
    split = found.reshape(*found.shape[:3], geometry.groups, -1)
    return split.transpose(0, 1, 3, 2, 4)


def _images(spectrum, size, dtype):
    """The images (N, rows, columns, channels) of a spectrum (rows, columns, groups, N, ...)."""
    split = np.ascontiguousarray(spectrum.transpose(3, 0, 1, 2, 4))
    found = np.fft.irfft2(split.reshape(*split.shape[:3], -1), size, axes=(1, 2))
    return found.astype(dtype, copy=False)


def _times(a, b):
    """a @ b of complex matrices over the last two axes, as one product of real ones.

    A row of a is (re, im, re, im, ...) in memory; b's element z becomes [[re, im], [-im, re]].
    """
    real = b.real.dtype
    pairs = np.empty((*b.shape[:-1], 2, b.shape[-1], 2), real)
    pairs[..., 0, :, 0] = pairs[..., 1, :, 1] = b.real
    pairs[..., 0, :, 1] = b.imag
    np.negative(b.imag, out=pairs[..., 1, :, 0])
    doubled = pairs.reshape(*b.shape[:-2], 2 * b.shape[-2], 2 * b.shape[-1])
    return gemm.matmul(a.view(real), doubled).view(a.dtype)
