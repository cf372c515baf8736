"""Max and average pooling of images and their gradients, one pass each.

x (N, H, W, C), window (R, S), y (N, P, Q, C). Places outside x take no part in a window: they are
never the largest and are not counted. A NaN in a window makes its maximum NaN.
"""

from __future__ import annotations

import numpy as np

from ..geometry import PoolGeometry
from . import memory, threads
from .launch import inlined, kernel, launch
from .vectormath import select

__all__ = [
    "average_pool2d",
    "average_pool2d_grad_input",
    "max_pool2d",
    "max_pool2d_grad_input",
]


def max_pool2d(x: np.ndarray, geometry: PoolGeometry) -> np.ndarray:
    """The largest value in each window, of each channel."""
    return _pool(_max_pool, x, geometry)


def max_pool2d_grad_input(dy, x, y, geometry: PoolGeometry) -> np.ndarray:
    """Each dy added to the first place (row by row) of its window where x is the maximum y."""
    arrays = [np.ascontiguousarray(a) for a in (dy, x, y)]
    return _scatter(_max_pool_grad, arrays, x.shape, geometry)


def average_pool2d(x: np.ndarray, geometry: PoolGeometry) -> np.ndarray:
    """The mean of each window's places inside x, of each channel."""
    return _pool(_average_pool, x, geometry)


def average_pool2d_grad_input(dy, x_shape, geometry: PoolGeometry) -> np.ndarray:
    """Each dy shared out evenly among its window's places inside x."""
    return _scatter(_average_pool_grad, [np.ascontiguousarray(dy)], x_shape, geometry)


def _pool(body, x, geometry):
    x = np.ascontiguousarray(x)
    y = memory.empty((x.shape[0], *geometry.out_size, x.shape[3]), x.dtype)
    rows = y.shape[0] * y.shape[1]
    work = y[0, 0].size * geometry.window[0] * geometry.window[1] if y.size else 1
    launch(body, rows, threads.chunk_of(work), x, y, *_window_numbers(geometry))
    return y


def _scatter(body, arrays, x_shape, geometry):
    dy = arrays[0]
    if not dy.size:
        return memory.zeros(tuple(x_shape), dy.dtype)
    dx = memory.empty(tuple(x_shape), dy.dtype)
    # Windows of different output rows that share input rows belong to one item: the whole image.
    shared = geometry.stride[0] < geometry.window[0] and dy.shape[1] > 1
    bands = 1 if shared else dy.shape[1]
    work = dy[0].size // bands * geometry.window[0] * geometry.window[1]
    chunk = threads.chunk_of(work)
    launch(body, dy.shape[0] * bands, chunk, *arrays, dx, *_window_numbers(geometry), bands)
    return dx


def _window_numbers(geometry):
    return geometry.window, geometry.stride, (geometry.pad[0][0], geometry.pad[1][0])


@inlined
def _inside(place, stride, pad, window, size):
    """The part of a window within x on one axis: [first, last)."""
    start = place * stride - pad
    return max(start, 0), min(start + window, size)


@inlined
def _larger(value, best):
    """The larger one; NaN if either is."""
    return select(value > best, value, select(value == value, best, value))


@inlined
def _is_maximum(value, best):
    return value == best or value != value


@kernel
def _max_pool(lo, hi, thread, x, y, window, stride, pad):
    for item in range(lo, hi):  # one item owns one row of outputs
        n, p = divmod(item, y.shape[1])
        top, bottom = _inside(p, stride[0], pad[0], window[0], x.shape[1])
        for q in range(y.shape[2]):
            left, right = _inside(q, stride[1], pad[1], window[1], x.shape[2])
            out = y[n, p, q]
            if bottom - top == 2 and right - left == 2:
                # The usual window, in one loop: 2.2 times as fast as four passes over `out`.
                a, b = x[n, top, left], x[n, top, left + 1]
                c, d = x[n, top + 1, left], x[n, top + 1, left + 1]
                for i in range(out.size):
                    out[i] = _larger(_larger(d[i], c[i]), _larger(b[i], a[i]))
            elif bottom > top and right > left:
                value = x[n, top, left]
                for i in range(out.size):
                    out[i] = value[i]
                for h in range(top, bottom):
                    for w in range(left, right):
                        value = x[n, h, w]
                        for i in range(out.size):
                            out[i] = _larger(value[i], out[i])
            else:
                for i in range(out.size):
                    out[i] = -np.inf


@inlined
def _band(item, bands, p_rows, stride, pad, rows):
    """(image, first and last output row, first and last input row) of one item of a gradient."""
    n, band = divmod(item, bands)
    if bands == 1:
        return n, 0, p_rows, 0, rows
    first = 0 if band == 0 else min(band * stride - pad, rows)
    last = rows if band == bands - 1 else min((band + 1) * stride - pad, rows)
    return n, band, band + 1, first, last


@inlined
def _max_pool_grad_2x2(x, dx, h, w, best, gradient):
    # As the loop over any window below, in one pass: 1.4 to 2 times as fast.
    x0, x1, x2 = x[h, w], x[h, w + 1], x[h + 1, w]
    d0, d1, d2, d3 = dx[h, w], dx[h, w + 1], dx[h + 1, w], dx[h + 1, w + 1]
    zero = dx.dtype.type(0)
    for i in range(best.size):
        rest = gradient[i]
        hit = _is_maximum(x0[i], best[i])
        d0[i] += select(hit, rest, zero)
        rest = select(hit, zero, rest)
        hit = _is_maximum(x1[i], best[i])
        d1[i] += select(hit, rest, zero)
        rest = select(hit, zero, rest)
        hit = _is_maximum(x2[i], best[i])
        d2[i] += select(hit, rest, zero)
        d3[i] += select(hit, zero, rest)


@kernel
def _max_pool_grad(lo, hi, thread, dy, x, y, dx, window, stride, pad, bands):
    rest = np.empty(x.shape[3], x.dtype)
    zero = x.dtype.type(0)
    for item in range(lo, hi):  # one item owns a band of input rows
        n, p_first, p_last, first, last = _band(
            item, bands, y.shape[1], stride[0], pad[0], x.shape[1]
        )
        dx[n, first:last] = zero
        for p in range(p_first, p_last):
            top, bottom = _inside(p, stride[0], pad[0], window[0], x.shape[1])
            for q in range(y.shape[2]):
                left, right = _inside(q, stride[1], pad[1], window[1], x.shape[2])
                best, gradient = y[n, p, q], dy[n, p, q]
                if bottom - top == 2 and right - left == 2:
                    _max_pool_grad_2x2(x[n], dx[n], top, left, best, gradient)
                    continue
                for i in range(rest.size):
                    rest[i] = gradient[i]
                for h in range(top, bottom):
                    for w in range(left, right):
                        value, out = x[n, h, w], dx[n, h, w]
                        for i in range(rest.size):
                            # The first maximum takes the gradient and leaves 0 to the others.
                            hit = _is_maximum(value[i], best[i])
                            out[i] += select(hit, rest[i], zero)
                            rest[i] = select(hit, zero, rest[i])


@kernel
def _average_pool(lo, hi, thread, x, y, window, stride, pad):
    for item in range(lo, hi):
        n, p = divmod(item, y.shape[1])
        top, bottom = _inside(p, stride[0], pad[0], window[0], x.shape[1])
        for q in range(y.shape[2]):
            left, right = _inside(q, stride[1], pad[1], window[1], x.shape[2])
            out = y[n, p, q]
            count = x.dtype.type(max(bottom - top, 0) * max(right - left, 0))
            if bottom - top == 2 and right - left == 2:
                a, b = x[n, top, left], x[n, top, left + 1]
                c, d = x[n, top + 1, left], x[n, top + 1, left + 1]
                for i in range(out.size):
                    out[i] = ((a[i] + b[i]) + (c[i] + d[i])) / count
            else:
                out[:] = 0
                for h in range(top, bottom):
                    for w in range(left, right):
                        value = x[n, h, w]
                        for i in range(out.size):
                            out[i] += value[i]
                for i in range(out.size):
                    out[i] /= count


@kernel
def _average_pool_grad(lo, hi, thread, dy, dx, window, stride, pad, bands):
    for item in range(lo, hi):
        n, p_first, p_last, first, last = _band(
            item, bands, dy.shape[1], stride[0], pad[0], dx.shape[1]
        )
        dx[n, first:last] = 0
        for p in range(p_first, p_last):
            top, bottom = _inside(p, stride[0], pad[0], window[0], dx.shape[1])
            for q in range(dy.shape[2]):
                left, right = _inside(q, stride[1], pad[1], window[1], dx.shape[2])
                gradient = dy[n, p, q]
                share = dx.dtype.type(1) / dx.dtype.type(
                    max(bottom - top, 1) * max(right - left, 1)
                )
                for h in range(top, bottom):
                    for w in range(left, right):
                        out = dx[n, h, w]
                        for i in range(out.size):
                            out[i] += gradient[i] * share
