"""Convolution by OpenCV's `filter2D`, one call for each pair of channel and filter.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). filter2D correlates an image of several
channels with one window, the same for all of them: the images of the batch are those channels. It
knows no stride and no dilation, so outputs are computed at every place and sliced, and windows get
zeros between their taps; the gradients are correlations, too:

    dx of a channel = sum over f of (dy spread by the stride, with a border) with the turned window
    dw of a filter  = sum over n of x with the spread dy of image n as the window, at R x S places

OpenCV is the optional extra `kerasmirror[opencv]`. Windows of more than about 11 x 11 taps it
correlates by Fourier transforms.
"""

import importlib
import itertools

import numpy as np

from . import memory
from .conv_padding import channels_of, cut, every, finished, padded, padded_size, spread

_MOST = 128  # channels of an OpenCV image: CV_CN_MAX of OpenCV 5 (512 before)


def conv2d(x, w, bias, relu, geometry):
    """activation(x convolved with w, plus bias)."""
    y = memory.zeros((x.shape[0], *geometry.out_size, w.shape[3]), x.dtype)
    if y.size == 0:
        return y
    whole = padded(x, padded_size(x.shape[1:3], w.shape[:2], geometry), geometry)
    taps = _spread_taps(w, geometry)
    for images in _batches(x.shape[0]):
        planes = _planes(whole[images])
        for channels, filters in channels_of(w.shape, geometry.groups):
            for c, f in itertools.product(_range(channels), _range(filters)):
                found = _correlate(planes[c], taps[:, :, c - channels.start, f])
                found = every(found[None], geometry.stride, geometry.out_size)[0]
                y[images, ..., f] += found.transpose(2, 0, 1)
    return finished(y, bias, relu)


def grad_input(dy, w, x_shape, geometry):
    """The gradient of conv2d in x."""
    dx = memory.zeros(x_shape, dy.dtype)
    if dy.size == 0 or dx.size == 0:
        return dx
    size = padded_size(x_shape[1:3], w.shape[:2], geometry)
    taps = _spread_taps(w, geometry)[::-1, ::-1]
    border = (taps.shape[0] - 1, taps.shape[1] - 1)
    span = (size[0] + border[0], size[1] + border[1])
    outputs = np.zeros((dy.shape[0], *span, dy.shape[3]), dy.dtype)
    outputs[:, border[0] :, border[1] :] = spread(dy, 1, geometry.stride, size)
    for images in _batches(x_shape[0]):
        planes = _planes(outputs[images])
        for channels, filters in channels_of(w.shape, geometry.groups):
            for c in _range(channels):
                total = np.zeros((1, *size, planes.shape[3]), dy.dtype)
                for f in _range(filters):
                    found = _correlate(planes[f], taps[:, :, c - channels.start, f])
                    total[0] += found[: size[0], : size[1]]
                dx[images, ..., c] = cut(total, x_shape[1:3], geometry)[0].transpose(2, 0, 1)
    return dx


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient of conv2d in w."""
    dw = memory.zeros(w_shape, x.dtype)
    if dy.size == 0:
        return dw
    whole = padded(x, padded_size(x.shape[1:3], w_shape[:2], geometry), geometry)
    rows, columns = ((n - 1) * step + 1 for n, step in _pairs(geometry.out_size, geometry.stride))
    outputs = spread(dy, 1, geometry.stride, (rows, columns))
    for image, (channels, filters) in itertools.product(
        range(x.shape[0]), channels_of(w_shape, geometry.groups)
    ):
        for some in _batches(w_shape[2]):
            first = channels.start + some.start
            last = min(channels.stop, channels.start + some.stop)
            source = np.ascontiguousarray(whole[image, ..., first:last])
            for f in _range(filters):
                found = _correlate(source, outputs[image, ..., f])
                dw[:, :, some, f] += every(found[None], geometry.dilation, w_shape[:2])[0]
    return dw


def _correlate(image, window):
    """out[i, j, :] = sum over r, s of image[i + r, j + s, :] * window[r, s], zeros outside."""
    found = _opencv().filter2D(
        image,
        -1,
        np.ascontiguousarray(window),
        anchor=(0, 0),
        borderType=_opencv().BORDER_CONSTANT,
    )
    return found.reshape(image.shape)  # OpenCV drops an only channel


def _opencv():
    return importlib.import_module("cv2")


def _planes(images):
    """(channels, rows, columns, N): for each channel one image of N channels."""
    return np.ascontiguousarray(images.transpose(3, 1, 2, 0))


def _spread_taps(w, geometry):
    size = tuple((n - 1) * apart + 1 for n, apart in _pairs(w.shape[:2], geometry.dilation))
    return spread(w, 0, geometry.dilation, size)


def _pairs(some, others):
    return zip(some, others, strict=True)


def _batches(total):
    return [slice(first, min(total, first + _MOST)) for first in range(0, total, _MOST)]


def _range(part):
    return range(part.start, part.stop)
