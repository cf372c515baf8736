"""Max pooling that keeps one byte a maximum, the place where it stood, instead of its input.

The passes of the layers around it ride along: dropout and relu's mask in the forward pass; in the
backward pass both masks (in the same byte) and the sum for the bias in front.
x (N, H, W, C), window (R, S), z (N, P, Q, C). The place (r, s) of a window is the number
r S + s + 1, and NOWHERE where no gradient flows: relu or dropout made the value 0.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, int32

from . import memory, random, reduce_kernels
from .blocks import column_of, lane_of, plan, shared_like, step_of
from .indices import grid_index, mul32, quotient, remainder
from .kernel import inlined, kernel
from .launch import blocks_for, launch
from .philox import kept
from .pool import (
    SIZES,
    inside,
    is_plain,
    owned,
    pixel,
    reached,
    side_by_side,
    split,
    window_numbers,
)

__all__ = ["max_pool2d_places", "max_pool2d_places_grad_input"]

NOWHERE = 0


@inlined
def _next(best, place, v, number):
    """The larger of `best` and v, and its place."""
    larger = v > best or (v != v and best == best)
    return (v, number) if larger else (best, place)


@kernel("T* T* u1* u4*" + SIZES + " i4 i4 i8 T", T="f4 f8", registers=64, traffic="4r w w - 4f")
def _max_pool_places(
    x, z, places, key, count, height, width, channels, out_h, out_w, r, s, sh, sw, top, left,
    relu, drop, lowest, scale,
):  # fmt: skip
    i = grid_index()
    if i < count:
        rows, q, c = split(i, out_w, channels)
        n, p = quotient(rows, out_h), remainder(rows, out_h)
        h_start, first, last = inside(p, sh, top, r, height)
        w_start, start, stop = inside(q, sw, left, s, width)
        best = type(x[0])(-math.inf)
        zero = type(best)(0)
        place = NOWHERE
        if first < last and start < stop:
            place = (first - h_start) * s + start - w_start + 1
        at = pixel(n, first, start, height, width, channels) + c
        row = mul32(width, channels)
        if is_plain(h_start, first, last, r) and is_plain(w_start, start, stop, s):
            best, place = x[at], 1
            best, place = _next(best, place, x[at + channels], 2)
            at += row
            best, place = _next(best, place, x[at], 3)
            best, place = _next(best, place, x[at + channels], 4)
        else:
            for h in range(first, last):
                to = at
                number = (h - h_start) * s + start - w_start + 1
                for _ in range(start, stop):
                    best, place = _next(best, place, x[to], number)
                    to += channels
                    number += 1
                at += row
        alive = best > zero or relu == 0
        if drop:
            # Four threads make the same words: arithmetic is not what they wait for.
            stays = kept(best, i, key, lowest)
            best = best * scale if stays else zero
            alive = alive and stays
        z[i] = best
        places[i] = place if alive else NOWHERE


@kernel("T* u1* T*" + SIZES + " T", T="f4 f8", registers=64, traffic="1/4r9 1/4r9 w 2f")
def _max_pool_places_grad(
    dz, places, dx, count, height, width, channels, out_h, out_w, r, s, sh, sw, top, left, scale
):  # fmt: skip
    i = grid_index()
    if i < count:
        rows, w, c = split(i, width, channels)
        n, h = quotient(rows, height), remainder(rows, height)
        p, p_last = reached(h, sh, top, r, out_h)
        start, q_last = reached(w, sw, left, s, out_w)
        total = type(dz[0])(0)
        while p <= p_last:
            at = pixel(n, p, start, out_h, out_w, channels) + c
            number = (h - p * sh + top) * s + w - start * sw + left + 1
            for _ in range(start, q_last + 1):
                if places[at] == number:
                    total += dz[at] * scale
                at += channels
                number -= sw
            p += 1
        dx[i] = total


@kernel("T* u1* T*" + SIZES + " T", T="f4 f8", registers=80, traffic="r r 4w 1f")
def _max_pool_places_grad_apart(
    dz, places, dx, count, height, width, channels, out_h, out_w, r, s, sh, sw, top, left, scale
):  # fmt: skip
    """The same where windows stand side by side: one thread has a window."""
    i = grid_index()
    if i < count:
        rows, q, c = split(i, out_w, channels)
        n, p = quotient(rows, out_h), remainder(rows, out_h)
        first, last = owned(p, out_h, sh, top, height)
        start, stop = owned(q, out_w, sw, left, width)
        h_start, _, _ = inside(p, sh, top, r, height)
        w_start, _, right = inside(q, sw, left, s, width)
        place, value = int32(places[i]), dz[i] * scale
        zero = type(value)(0)
        at = pixel(n, first, start, height, width, channels) + c
        row = mul32(width, channels)
        if is_plain(h_start, first, last, r) and is_plain(w_start, start, stop, s):
            dx[at] = value if place == 1 else zero
            dx[at + channels] = value if place == 2 else zero
            at += row
            dx[at] = value if place == 3 else zero
            dx[at + channels] = value if place == 4 else zero
        else:
            for h in range(first, last):
                to = at
                number = (h - h_start) * s + start - w_start + 1
                for w in range(start, stop):
                    # Behind the window's end in a row, numbers are those of the next row.
                    dx[to] = value if number == place and w < right else zero
                    number += 1
                    to += channels
                at += row


@kernel("T* u1* T* i4 i4 i4 i4 i4 T", T="f4 f8", registers=64, traffic="r r - 2f")
def _sum_of_some(dz, places, y, columns, n, inner, shift, length, scale):
    """y[part, column] = the sum of scale * dz where its place is not NOWHERE."""
    total = type(dz[0])(0)
    shared = shared_like(total)
    column, lane = column_of(inner, shift), lane_of(inner, shift)
    lanes = 1 << shift
    if column < columns:
        first = cuda.blockIdx.y * length
        i, last = first + lane, min(first + length, n)
        while i < last:
            if places[column + i * columns] != NOWHERE:
                total += dz[column + i * columns]
            i += lanes
    t, step = cuda.threadIdx.x, step_of(inner, shift)
    shared[t] = total
    half = lanes >> 1
    while half > 0:
        cuda.syncthreads()
        if lane < half:
            total += shared[t + half * step]
            shared[t] = total
        half >>= 1
    if lane == 0 and column < columns:
        y[cuda.blockIdx.y * columns + column] = total * scale


def max_pool2d_places(x, geometry, relu=False, seed_pair=None, rate=0.0):
    """(dropout of the largest value in each window, the places of these values as uint8).

    Args: `relu` says that x comes from relu, whose gradient is 0 where x is; `rate` 0 drops none.
    The first of several largest values counts. Windows have at most 255 places,
    which a byte can tell apart beside NOWHERE.
    """
    shape = (x.shape[0], *geometry.out_size, x.shape[3])
    z, places = memory.empty(shape, x.dtype), memory.empty(shape, np.uint8)
    lowest, scale = 0, 1.0
    if rate > 0:
        key = random.key_of(seed_pair)
        lowest, scale = random.dropout_numbers(x.dtype, rate)
    else:
        key = memory.empty((4,), np.uint32)  # not read
    numbers = window_numbers(x.shape, geometry)
    flags = int(relu), int(rate > 0), lowest, scale
    launch(_max_pool_places, blocks_for(z.size), x, z, places, key, z.size, *numbers, *flags)
    return z, places


def max_pool2d_places_grad_input(dz, places, x_shape, geometry, rate=0.0):
    """(dx, its sum over all axes but the last): each dz, scaled as dropout does, at its place."""
    x_shape = tuple(x_shape)
    if not dz.size:
        return memory.zeros(x_shape, dz.dtype), memory.zeros(x_shape[3:], dz.dtype)
    dx = memory.empty(x_shape, dz.dtype)
    scale = 1.0 / (1.0 - rate)
    numbers = window_numbers(x_shape, geometry)
    if side_by_side(geometry):
        chosen, count = _max_pool_places_grad_apart, dz.size
    else:
        chosen, count = _max_pool_places_grad, dx.size
    launch(chosen, blocks_for(count), dz, places, dx, count, *numbers, scale)
    channels = x_shape[3]
    by = plan(1, dz.size // channels, channels)
    sums = memory.empty((by.parts, channels), dz.dtype)
    launch(_sum_of_some, by.grid, dz, places, sums, *by.numbers, scale)
    if by.parts > 1:
        by = plan(1, by.parts, channels, cut=False)
        parts, sums = sums, memory.empty((1, channels), dz.dtype)
        launch(reduce_kernels.SUM, by.grid, parts, sums, *by.numbers, 1)
    return dx, sums.reshape(channels)
