"""Convolution by Fourier transforms: products of spectra, point by point.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). With X, W, Y the two-dimensional
transforms of padded images, of windows (their taps spread by the dilation) and of outputs (spread
by the stride), over at least the padded size, so that what wraps around is never read,

    Y[u, n, f] = sum over c of X[u, n, c] conj(W[u, c, f])       (correlation, all strides at once)
    X[u, n, c] = sum over f of Y[u, n, f] W[u, c, f]             (gradient in x)
    W[u, c, f] = sum over n of X[u, n, c] conj(Y[u, n, f])       (gradient in w)

for each point u: matrix products of complex numbers, done by gemm.py on their real and imaginary
parts. Sizes are powers of two; of the spectrum of real values half the columns are kept. Groups
go one after the other.

Source: Mathieu, Henaff and LeCun 2013, https://arxiv.org/abs/1312.5851, section 2.
"""

from __future__ import annotations

from typing import NamedTuple

from . import gemm, memory
from .conv_fft_kernels import LARGEST, doubled, transform_lines
from .conv_passes import added_parts

_ROOM = 1 << 24  # values of the spectra of one share of images: 64 MiB


class Places(NamedTuple):
    """Which places of a line are there: `count`, `step` apart from the one at `first` on."""

    first: int
    step: int
    count: int


class Layout(NamedTuple):
    """Where an array has image a, line b, place j, channel c: first + a * image + b * line + .."""

    first: int
    image: int
    line: int
    place: int
    channel: int


class Size(NamedTuple):
    """Rows and columns of a transform, and how many columns of a spectrum are kept."""

    rows: int
    columns: int
    kept: int

    @property
    def points(self):
        """How many values a spectrum has."""
        return self.rows * self.kept


def obstacle(x_shape, w_shape, geometry):
    """(what the transforms need, what they got), or None where they can do a convolution."""
    size = _size(x_shape, w_shape, geometry)
    if max(size[:2]) <= LARGEST:
        return None
    return f"images of at most {LARGEST} padded rows and columns", f"inputs={tuple(x_shape)}"


def _size(x_shape, w_shape, geometry):
    sides = []
    for axis in (0, 1):
        reach = (geometry.out_size[axis] - 1) * geometry.stride[axis]
        reach += (w_shape[axis] - 1) * geometry.dilation[axis] + 1
        sides.append(max(reach, x_shape[1 + axis] + geometry.pad[axis][0]))
    rows, columns = (1 << max(0, side - 1).bit_length() for side in sides)
    return Size(rows, columns, columns // 2 + 1)


def _padded(x_shape, geometry):
    """Places of x's rows and columns in a transform."""
    return [Places(geometry.pad[i][0], 1, x_shape[1 + i]) for i in (0, 1)]


def _spread(counts, steps):
    return [Places(0, step, count) for count, step in zip(counts, steps, strict=True)]


def conv2d(x, w, bias, relu, geometry):
    """max(x convolved with w, plus bias; 0), the last where `relu`; bias (F,) or None."""
    y = memory.empty((x.shape[0], *geometry.out_size, w.shape[3]), x.dtype)
    if not y.size:
        return y
    size, groups = _size(x.shape, w.shape, geometry), geometry.groups
    outputs = _spread(geometry.out_size, geometry.stride)
    windows = _spectrum_of_windows(w, size, geometry)
    for group in range(groups):
        factors = doubled(windows, group, groups, conjugate=True)
        for images in _shares(x.shape, w.shape, size):
            spectrum = _spectrum(x, images, group, groups, _padded(x.shape, geometry), size)
            products = gemm.matmul(spectrum, factors)
            _to_images(products, y, images, group, groups, outputs, size, bias, relu)
    return y


def grad_input(dy, w, x_shape, geometry):
    """The gradient in x, of shape `x_shape`."""
    if not dy.size:
        return memory.zeros(x_shape, dy.dtype)
    dx = memory.empty(x_shape, dy.dtype)
    size, groups = _size(x_shape, w.shape, geometry), geometry.groups
    outputs = _spread(geometry.out_size, geometry.stride)
    windows = _spectrum_of_windows(w, size, geometry)
    for group in range(groups):
        factors = doubled(windows, group, groups, turned=True)
        for images in _shares(x_shape, w.shape, size):
            spectrum = _spectrum(dy, images, group, groups, outputs, size)
            products = gemm.matmul(spectrum, factors)
            _to_images(products, dx, images, group, groups, _padded(x_shape, geometry), size)
    return dx


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w."""
    if not dy.size:
        return memory.zeros(w_shape, x.dtype)
    dw = memory.empty(w_shape, x.dtype)
    size, groups = _size(x.shape, w_shape, geometry), geometry.groups
    outputs = _spread(geometry.out_size, geometry.stride)
    taps = _spread(w_shape[:2], geometry.dilation)
    filters = w_shape[3] // groups
    shares = _shares(x.shape, w_shape, size)
    for group in range(groups):
        parts = memory.empty((len(shares), size.points, w_shape[2], 2 * filters), x.dtype)
        for i, images in enumerate(shares):
            places = _padded(x.shape, geometry)
            spectrum = _spectrum(x, images, group, groups, places, size, turned=True)
            changes = _spectrum(dy, images, group, groups, outputs, size)
            factors = doubled(changes, 0, 1, conjugate=True)
            part = parts.view_at(i * size.points * w_shape[2] * 2 * filters, parts.shape[1:])
            gemm._into(
                part, spectrum, factors, w_shape[2], 2 * filters, spectrum.shape[2], "nn",
                size.points, a_step=1, b_step=1,
            )  # fmt: skip
        total = added_parts(parts, parts.shape[1:])
        _to_windows(total, dw, group, groups, taps, size)
    return dw


def _shares(x_shape, w_shape, size):
    """(first image, images) of shares whose spectra have room."""
    each = 2 * size.points * (x_shape[3] + w_shape[3])
    step = max(1, _ROOM // each)
    return [(n, min(step, x_shape[0] - n)) for n in range(0, x_shape[0], step)]


def _of(array, first, group, groups):
    """The Layout of a group of images (N, H, W, channels), from the first on."""
    _, height, width, channels = array.shape
    place = group * (channels // groups)
    line = width * channels
    return Layout(first * height * line + place, height * line, line, channels, 1)


def _spectrum(x, images, group, groups, places, size, turned=False):
    """The transforms (points, N, 2 C) of some images, or (points, C, 2 N) if turned."""
    first, count = images
    height, channels = x.shape[1], x.shape[3] // groups
    lines = memory.empty((count, height, size.kept, 2 * channels), x.dtype)
    kept, whole = Places(0, 1, size.kept), Places(0, 1, size.rows)
    by_rows, by_columns = _lines_of(height, channels, size)
    layouts = (_of(x, first, group, groups), by_rows)
    transform_lines(
        x, lines, size.columns, (count, height), channels, (places[1], kept), layouts, "real"
    )
    sides = (channels, 2 * count) if turned else (count, 2 * channels)
    out = memory.empty((size.points, *sides), x.dtype)
    apart = (1, count) if turned else (channels, 1)
    layouts = (by_columns, _of_points(count * channels, *apart, size))
    transform_lines(
        lines, out, size.rows, (count, size.kept), channels, (places[0], whole), layouts, "complex"
    )
    return out


def _lines_of(height, channels, size):
    """The Layouts of (N, H, kept columns, channels) as lines along columns, and along rows."""
    line = size.kept * channels
    return (
        Layout(0, height * line, line, channels, 1),
        Layout(0, height * line, channels, line, 1),
    )


def _of_points(matrix, image, channel, size):
    """The Layout of (points, matrix), whose lines are columns of points."""
    return Layout(0, image, matrix, size.kept * matrix, channel)


def _back(products, target, layout, height, places, size, finish=None):
    """Transform (points, N, 2 channels) back, into some places of a real array."""
    count, channels = products.shape[1], products.shape[2] // 2
    lines = memory.empty((count, height, size.kept, 2 * channels), products.dtype)
    kept, whole = Places(0, 1, size.kept), Places(0, 1, size.rows)
    by_rows, by_columns = _lines_of(height, channels, size)
    layouts = (_of_points(count * channels, channels, 1, size), by_columns)
    each = (count, size.kept)
    transform_lines(
        products, lines, size.rows, each, channels, (whole, places[0]), layouts, "inverse"
    )
    each, layouts, kind = (count, height), (by_rows, layout), "inverse to real"
    transform_lines(
        lines, target, size.columns, each, channels, (kept, places[1]), layouts, kind, finish
    )


def _to_images(products, y, images, group, groups, places, size, bias=None, relu=False):
    """Images from the first on get the transforms of (points, N, 2 channels)."""
    channels = y.shape[3] // groups
    bias = None if bias is None else bias.view_at(group * channels, (channels,))
    layout = _of(y, images[0], group, groups)
    _back(products, y, layout, y.shape[1], places, size, (bias, relu))


def _to_windows(products, dw, group, groups, places, size):
    """A group's windows in dw get the transforms of (points, C / groups, 2 F / groups)."""
    rows, columns, channels, filters = dw.shape
    tap = channels * filters
    layout = Layout(group * (filters // groups), filters, columns * tap, tap, 1)
    _back(products, dw, layout, rows, places, size)


def _spectrum_of_windows(w, size, geometry):
    """The windows' transforms: (points, C / groups, 2 F)."""
    rows, columns, channels, filters = w.shape
    image = w.reshape(1, rows, columns, channels * filters)
    places = _spread((rows, columns), geometry.dilation)
    return _spectrum(image, (0, 1), 0, 1, places, size).reshape(size.points, channels, 2 * filters)
