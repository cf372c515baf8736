"""Max and average pooling of images and their gradients, one pass each.

x (N, H, W, C), window (R, S), y (N, P, Q, C). Places outside x take no part in a window: they are
never the largest and are not counted. A NaN in a window makes its maximum NaN. One thread makes one
value of the result: a gradient's looks which windows it lies in, so no value is added to by two.
"""

from __future__ import annotations

import math

from . import memory
from .indices import add32, grid_index, mul32, quotient, remainder
from .kernel import inlined, kernel
from .launch import blocks_for, launch

__all__ = [
    "average_pool2d",
    "average_pool2d_grad_input",
    "max_pool2d",
    "max_pool2d_grad_input",
]

# count, H, W, C, P, Q, R, S, strides and padding along H and W: see window_numbers
SIZES = " i4" * 12


@inlined
def inside(place, stride, pad, window, size):
    """(the start of a window on one axis, and its part within x: [first, last))."""
    start = mul32(place, stride) - pad
    return start, max(start, 0), min(start + window, size)


@inlined
def reached(place, stride, pad, window, out):
    """The windows on one axis that a place of x lies in: [first, last]."""
    first = place + pad - window + stride
    return quotient(first, stride) if first > 0 else 0, min(quotient(place + pad, stride), out - 1)


@inlined
def split(i, width, channels):
    """(row, column, channel) of the place i in an array (..., width, channels)."""
    rest = quotient(i, channels)
    return quotient(rest, width), remainder(rest, width), remainder(i, channels)


@inlined
def pixel(n, h, w, height, width, channels):
    """Where the channels of a pixel begin."""
    return mul32(add32(mul32(add32(mul32(n, height), h), width), w), channels)


@inlined
def owned(place, out, stride, pad, size):
    """The part of an axis that a window has where windows stand side by side: [first, last).

    Each place belongs to one window, also those behind the last one's end.
    """
    first = 0 if place == 0 else min(mul32(place, stride) - pad, size)
    last = size if place == out - 1 else min(mul32(place, stride) + stride - pad, size)
    return first, last


def side_by_side(geometry):
    """Whether a place lies in one window at most, and each window begins where one ended."""
    pads = geometry.pad[0][0], geometry.pad[1][0]
    inner = all(pad < size for pad, size in zip(pads, geometry.window, strict=True))
    return geometry.window == geometry.stride and inner


@inlined
def is_plain(start, first, last, window):
    """Whether a window is two places long and all of it inside: then loops cost more than it."""
    return window == 2 and start == first and last - first == 2


@inlined
def _taken(v, best, gradient):
    """(what v takes of a window's gradient, what is left of it for those behind)."""
    zero = type(v)(0)
    return (gradient, zero) if v == best or v != v else (zero, gradient)


@inlined
def _larger(best, v):
    """The larger one; NaN if either is."""
    return v if v > best or v != v else best


@kernel("T* T*" + SIZES, T="f4 f8", registers=64, traffic="4r w 4f")
def _max_pool(
    x, y, count, height, width, channels, out_h, out_w, r, s, sh, sw, top, left
):  # fmt: skip
    i = grid_index()
    if i < count:
        rows, q, c = split(i, out_w, channels)
        n, p = quotient(rows, out_h), remainder(rows, out_h)
        h_start, first, last = inside(p, sh, top, r, height)
        w_start, start, stop = inside(q, sw, left, s, width)
        best = type(x[0])(-math.inf)
        at = pixel(n, first, start, height, width, channels) + c
        row = mul32(width, channels)
        if is_plain(h_start, first, last, r) and is_plain(w_start, start, stop, s):
            best = _larger(_larger(x[at], best), x[at + channels])
            at += row
            y[i] = _larger(_larger(best, x[at]), x[at + channels])
        else:
            for _ in range(first, last):
                to = at
                for _ in range(start, stop):
                    best = _larger(best, x[to])
                    to += channels
                at += row
            y[i] = best


@inlined
def _is_first(x, best, at, h, first, start, w, row, columns, channels):
    """Whether no place of the window before the one `at` is the maximum."""
    for back in range(h - first + 1):
        from_ = at - back * row - (w - start) * channels
        length = w - start if back == 0 else columns
        for i in range(length):
            v = x[from_ + i * channels]
            if v == best or v != v:
                return False
    return True


@kernel("T* T* T* T*" + SIZES, T="f4 f8", registers=64, traffic="1/4r9 r 1/4r9 w 3f")
def _max_pool_grad(
    dy, x, y, dx, count, height, width, channels, out_h, out_w, r, s, sh, sw, top, left
):  # fmt: skip
    i = grid_index()
    if i < count:
        rows, w, c = split(i, width, channels)
        n, h = quotient(rows, height), remainder(rows, height)
        p, p_last = reached(h, sh, top, r, out_h)
        start, q_last = reached(w, sw, left, s, out_w)
        value = x[i]
        total = type(value)(0)
        while p <= p_last:
            _, first, _ = inside(p, sh, top, r, height)
            at = pixel(n, p, start, out_h, out_w, channels) + c
            q = start
            while q <= q_last:
                best = y[at]
                if value == best or value != value:
                    _, left_most, right = inside(q, sw, left, s, width)
                    if _is_first(
                        x, best, i, h, first, left_most, w, width * channels,
                        right - left_most, channels,
                    ):  # fmt: skip
                        total += dy[at]
                at += channels
                q += 1
            p += 1
        dx[i] = total


@kernel("T* T* T* T*" + SIZES, T="f4 f8", registers=80, traffic="r 4r r 4w 4f")
def _max_pool_grad_apart(
    dy, x, y, dx, count, height, width, channels, out_h, out_w, r, s, sh, sw, top, left
):  # fmt: skip
    """The same where windows stand side by side: one thread has a window, and reads x once."""
    i = grid_index()
    if i < count:
        rows, q, c = split(i, out_w, channels)
        n, p = quotient(rows, out_h), remainder(rows, out_h)
        first, last = owned(p, out_h, sh, top, height)
        start, stop = owned(q, out_w, sw, left, width)
        h_start, _, bottom = inside(p, sh, top, r, height)
        w_start, _, right = inside(q, sw, left, s, width)
        best, left_over = y[i], dy[i]
        zero = type(best)(0)
        at = pixel(n, first, start, height, width, channels) + c
        row = mul32(width, channels)
        if is_plain(h_start, first, last, r) and is_plain(w_start, start, stop, s):
            dx[at], left_over = _taken(x[at], best, left_over)
            dx[at + channels], left_over = _taken(x[at + channels], best, left_over)
            at += row
            dx[at], left_over = _taken(x[at], best, left_over)
            dx[at + channels], left_over = _taken(x[at + channels], best, left_over)
        else:
            for h in range(first, last):
                to = at
                for w in range(start, stop):
                    value, rest = _taken(x[to], best, left_over)
                    is_in = h < bottom and w < right
                    dx[to] = value if is_in else zero
                    left_over = rest if is_in else left_over
                    to += channels
                at += row


@kernel("T* T*" + SIZES, T="f4 f8", registers=64, traffic="4r w 5f")
def _average_pool(
    x, y, count, height, width, channels, out_h, out_w, r, s, sh, sw, top, left
):  # fmt: skip
    i = grid_index()
    if i < count:
        rows, q, c = split(i, out_w, channels)
        n, p = quotient(rows, out_h), remainder(rows, out_h)
        _, first, last = inside(p, sh, top, r, height)
        _, start, stop = inside(q, sw, left, s, width)
        total = type(x[0])(0)
        h = first
        while h < last:
            at = pixel(n, h, start, height, width, channels) + c
            for _ in range(start, stop):
                total += x[at]
                at += channels
            h += 1
        y[i] = total / type(total)(max(last - first, 0) * max(stop - start, 0))


@kernel("T* T*" + SIZES, T="f4 f8", registers=80, traffic="1/4r9 w 5f")
def _average_pool_grad(
    dy, dx, count, height, width, channels, out_h, out_w, r, s, sh, sw, top, left
):  # fmt: skip
    i = grid_index()
    if i < count:
        rows, w, c = split(i, width, channels)
        n, h = quotient(rows, height), remainder(rows, height)
        p, p_last = reached(h, sh, top, r, out_h)
        start, q_last = reached(w, sw, left, s, out_w)
        total = type(dy[0])(0)
        while p <= p_last:
            _, first, last = inside(p, sh, top, r, height)
            at = pixel(n, p, start, out_h, out_w, channels) + c
            q = start
            while q <= q_last:
                _, left_most, right = inside(q, sw, left, s, width)
                total += dy[at] / type(total)((last - first) * (right - left_most))
                at += channels
                q += 1
            p += 1
        dx[i] = total


def max_pool2d(x, geometry):
    """The largest value in each window, of each channel."""
    return _pool(_max_pool, x, geometry)


def max_pool2d_grad_input(dy, x, y, geometry):
    """Each dy added to the first place (row by row) of its window where x is the maximum y."""
    if side_by_side(geometry) and dy.size:
        dx = memory.empty(x.shape, x.dtype)
        numbers = window_numbers(x.shape, geometry)
        launch(_max_pool_grad_apart, blocks_for(y.size), dy, x, y, dx, y.size, *numbers)
        return dx
    return _gather(_max_pool_grad, (dy, x, y), x.shape, geometry)


def average_pool2d(x, geometry):
    """The mean of each window's places inside x, of each channel."""
    return _pool(_average_pool, x, geometry)


def average_pool2d_grad_input(dy, x_shape, geometry):
    """Each dy shared out evenly among its window's places inside x."""
    return _gather(_average_pool_grad, (dy,), tuple(x_shape), geometry)


def window_numbers(x_shape, geometry):
    """What kernels take of the shapes, behind the number of their results."""
    (top, _), (left, _) = geometry.pad
    return *x_shape[1:], *geometry.out_size, *geometry.window, *geometry.stride, top, left


def _pool(body, x, geometry):
    y = memory.empty((x.shape[0], *geometry.out_size, x.shape[3]), x.dtype)
    launch(body, blocks_for(y.size), x, y, y.size, *window_numbers(x.shape, geometry))
    return y


def _gather(body, arrays, x_shape, geometry):
    if not arrays[0].size:
        return memory.zeros(x_shape, arrays[0].dtype)
    dx = memory.empty(x_shape, arrays[0].dtype)
    launch(body, blocks_for(dx.size), *arrays, dx, dx.size, *window_numbers(x_shape, geometry))
    return dx
