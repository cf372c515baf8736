"""Convolution as image-to-matrix and a matrix product.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). A row of the matrix is what one output
reads: (r, s, c) in w's order, so that w is the other matrix as it is. A band of the matrix at a
time is written and multiplied while it is still in the cache. The gradient in x goes back: dy
times w's transpose, its rows added to the places they stand for; that in w is the matrix's
transpose times dy.
"""

import numpy as np

from . import gemm, memory, threads
from .conv_padding import shares
from .launch import kernel, launch
from .simd import clear, copy

_BAND = 4 << 20  # bytes of the matrix at a time


def is_product(x_shape, w_shape, geometry):
    """Whether x itself is the matrix: a window of 1 x 1 without strides, padding or groups."""
    return (
        tuple(w_shape[:2]) == (1, 1)
        and geometry.groups == 1
        and tuple(geometry.stride) == (1, 1)
        and tuple(geometry.out_size) == tuple(x_shape[1:3])
        and not any(geometry.pad[0] + geometry.pad[1])
    )


def conv2d(x, w, bias, relu, geometry):
    """activation(x convolved with w, plus bias)."""
    activation = "relu" if relu else "linear"
    shape = (x.shape[0], *geometry.out_size, w.shape[3])
    if is_product(x.shape, w.shape, geometry):
        rows = x.reshape(-1, x.shape[3])
        return gemm.dense(rows, w.reshape(w.shape[2:]), bias, activation).reshape(shape)
    y = memory.empty(shape, x.dtype)
    matrix = w.reshape(-1, w.shape[3])
    filters = w.shape[3] // geometry.groups
    bands = _bands(x.shape, w.shape, geometry, x.itemsize)
    for lines in bands:
        for group in range(geometry.groups):
            block = slice(group * filters, (group + 1) * filters)
            rows = _columns(x, lines, group, w.shape, geometry)
            part = None if bias is None else np.ascontiguousarray(bias[block])
            found = gemm.dense(rows, matrix[:, block], part, activation)
            if len(bands) == geometry.groups == 1:
                return found.reshape(shape)
            _lines(y, lines)[:, block] = found
    return y


def grad_input(dy, w, x_shape, geometry):
    """The gradient of conv2d in x."""
    if is_product(x_shape, w.shape, geometry):
        rows = dy.reshape(-1, dy.shape[3])
        return gemm.dense_grad_input(rows, w.reshape(w.shape[2:])).reshape(x_shape)
    if dy.size == 0:
        return memory.zeros(x_shape, dy.dtype)
    dx = memory.empty(x_shape, dy.dtype)
    matrix = w.reshape(-1, w.shape[3])
    filters = w.shape[3] // geometry.groups
    for lines in _bands(x_shape, w.shape, geometry, dy.itemsize):
        for group in range(geometry.groups):
            block = slice(group * filters, (group + 1) * filters)
            rows = gemm.dense_grad_input(_lines(dy, lines)[:, block], matrix[:, block])
            _add_columns(rows, dx, lines, group, w.shape, geometry)
    return dx


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient of conv2d in w."""
    if is_product(x.shape, w_shape, geometry):
        rows = x.reshape(-1, x.shape[3])
        return gemm.dense_grad_kernel(rows, dy.reshape(-1, dy.shape[3])).reshape(w_shape)
    dw = memory.zeros(w_shape, x.dtype)
    matrix = dw.reshape(-1, w_shape[3])
    filters = w_shape[3] // geometry.groups
    for lines in _bands(x.shape, w_shape, geometry, x.itemsize):
        for group in range(geometry.groups):
            block = slice(group * filters, (group + 1) * filters)
            rows = _columns(x, lines, group, w_shape, geometry)
            matrix[:, block] += gemm.dense_grad_kernel(rows, _lines(dy, lines)[:, block])
    return dw


def _bands(x_shape, w_shape, geometry, itemsize):
    """The output lines (n, p), in slices whose rows of the matrix take _BAND bytes."""
    each = geometry.out_size[1] * w_shape[0] * w_shape[1] * w_shape[2] * itemsize
    return shares(x_shape[0] * geometry.out_size[0] if each else 0, each, _BAND)


def _lines(y, lines):
    """The outputs of some output lines as the rows of a matrix."""
    columns = y.shape[2]
    return y.reshape(-1, y.shape[3])[lines.start * columns : lines.stop * columns]


def _plan(w_shape, geometry):
    (top, _), (left, _) = geometry.pad
    return (*w_shape[:2], w_shape[2], top, left, *geometry.stride, *geometry.dilation)


def _columns(x, lines, group, w_shape, geometry):
    """The matrix of some output lines and one group."""
    rows, columns = geometry.out_size
    depth = w_shape[0] * w_shape[1] * w_shape[2]
    out = memory.empty(((lines.stop - lines.start) * columns, depth), x.dtype)
    place = (lines.start, rows, columns, group)
    chunk = threads.chunk_of(columns * depth // 4)
    launch(_to_columns, lines.stop - lines.start, chunk, x, out, place, _plan(w_shape, geometry))
    return out


def _add_columns(matrix, dx, lines, group, w_shape, geometry):
    """Add each row of the matrix to the places of its window in dx."""
    rows, columns = geometry.out_size
    first = lines.start // rows * dx.shape[1]
    last = ((lines.stop - 1) // rows + 1) * dx.shape[1]
    place = (lines.start, lines.stop, rows, columns, group, first)
    chunk = threads.chunk_of(matrix.size // (4 * (last - first)))
    launch(_from_columns, last - first, chunk, matrix, dx, place, _plan(w_shape, geometry))


@kernel
def _to_columns(lo, hi, thread, x, out, place, plan):
    # One item is one output line: its rows of the matrix.
    start, rows, columns, group = place
    window_rows, window_columns, channels, top, left, step, across, apart, beside = plan
    height, width, depth = x.shape[1], x.shape[2], x.shape[3]
    line = window_columns * channels
    joined = beside == 1 and channels == depth  # a window's row is one piece of x
    for item in range(lo, hi):
        image, p = (start + item) // rows, (start + item) % rows
        for r in range(window_rows):
            h = p * step - top + r * apart
            source = ((image * height + h) * width) * depth + group * channels
            for q in range(columns):
                at = (item * columns + q) * out.shape[1] + r * line
                v = q * across - left
                if h < 0 or h >= height:
                    clear(out, at, line)
                elif joined:
                    first = min(window_columns, max(0, -v))
                    last = max(first, min(window_columns, width - v))
                    clear(out, at, first * channels)
                    count = (last - first) * channels
                    copy(out, at + first * channels, x, source + (v + first) * depth, count)
                    clear(out, at + last * channels, (window_columns - last) * channels)
                else:
                    for s in range(window_columns):
                        here = v + s * beside
                        if here < 0 or here >= width:
                            clear(out, at + s * channels, channels)
                        else:
                            copy(out, at + s * channels, x, source + here * depth, channels)


@kernel
def _from_columns(lo, hi, thread, matrix, dx, place, plan):
    # One item is one line (n, h) of dx: it is cleared by the band in which its image begins, and
    # what the bands' windows have for it is added in order.
    start, stop, rows, columns, group, first = place
    window_rows, window_columns, channels, top, left, step, across, apart, beside = plan
    height, width, depth = dx.shape[1], dx.shape[2], dx.shape[3]
    joined = beside == 1 and channels == depth  # a window's row is one piece of dx
    taps, size = (1, window_columns) if joined else (window_columns, 1)
    out, flat = dx.reshape(dx.size), matrix.reshape(matrix.size)
    for item in range(first + lo, first + hi):
        image, h = item // height, item % height
        target = item * width * depth
        if image * rows >= start and group == 0:
            clear(dx, target, width * depth)
        target += group * channels
        for r in range(window_rows):
            reached = h + top - r * apart
            line = image * rows + reached // step
            inside = reached >= 0 and reached % step == 0 and reached // step < rows
            if not (inside and start <= line < stop):
                continue
            for q in range(columns):
                at = ((line - start) * columns + q) * matrix.shape[1]
                at += r * window_columns * channels
                for s in range(taps):
                    v = q * across - left + s * beside
                    # Of `size` places from v on, those inside the line.
                    low, high = max(0, -v), min(size, width - v)
                    if low < high:
                        part = flat[at + (s + low) * channels : at + (s + high) * channels]
                        total = out[target + (v + low) * depth :]
                        for i in range(part.size):
                            total[np.uint64(i)] += part[np.uint64(i)]
