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
from .indices import add32, grid_index
from .kernel import inlined, kernel
from .lanes import add_at_place4, at_place4, four, larger4, place4, place_if4, times4, times_if4
from .launch import launch
from .philox import kept
from .pool_windows import (
    forms,
    next_reached,
    number_in,
    owned_at,
    place_of,
    reached_at,
    run,
    side_by_side,
    window_at,
)

__all__ = ["max_pool2d_places", "max_pool2d_places_grad_input"]

NOWHERE = 0
MOST = 255  # places that a byte tells apart beside it


def largest_of(lanes):
    """The function that gives (the largest values in a Window, their places' numbers)."""
    load = lanes.load

    @inlined
    def step(best, place, x, at, number, p, v):
        value = load(x, at, v.parts, p.left)
        return larger4(value, best), place4(value, best, place, number)

    @inlined
    def largest(x, w, p, v):
        best = four(type(x[0])(-math.inf))
        place = four(w.number if w.first < w.last and w.start < w.stop else int32(NOWHERE))
        if w.plain:
            below = add32(w.at, w.line)
            best, place = step(best, place, x, w.at, 1, p, v)
            best, place = step(best, place, x, add32(w.at, v.step), 2, p, v)
            best, place = step(best, place, x, below, 3, p, v)
            best, place = step(best, place, x, add32(below, v.step), 4, p, v)
        else:
            at, number = w.at, w.number
            for _ in range(w.first, w.last):
                to, own = at, number
                for _ in range(w.start, w.stop):
                    best, place = step(best, place, x, to, own, p, v)
                    to, own = add32(to, v.step), add32(own, 1)
                at, number = add32(at, w.line), add32(number, v.columns)
        return best, place

    return largest


def put_of(lanes, chosen):
    """The function that writes chosen(values, places, number) at each place of a Window.

    Behind the window's end, in what it owns of x, the number is -1.
    """
    store = lanes.store

    @inlined
    def put(dx, w, values, places, p, v):
        if w.plain:
            below = add32(w.at, w.line)
            store(dx, w.at, v.parts, p.left, chosen(values, places, 1))
            store(dx, add32(w.at, v.step), v.parts, p.left, chosen(values, places, 2))
            store(dx, below, v.parts, p.left, chosen(values, places, 3))
            store(dx, add32(below, v.step), v.parts, p.left, chosen(values, places, 4))
        else:
            at, number = w.at, w.number
            for h in range(w.first, w.last):
                to, own = at, number
                for c in range(w.start, w.stop):
                    inside = h < w.bottom and c < w.right
                    values_here = chosen(values, places, own if inside else -1)
                    store(dx, to, v.parts, p.left, values_here)
                    to, own = add32(to, v.step), add32(own, 1)
                at, number = add32(at, w.line), add32(number, v.columns)

    return put


@forms("T* P* W", T="f4 f8", P="u1 i4", registers=64, traffic="4r w 4f")
def _largest_places(lanes):
    """The places of the largest values, int32 where a window has more than a byte tells apart."""
    largest, store = largest_of(lanes), lanes.store

    def places_alone(x, places, v):
        i = grid_index()
        if i < v.threads:
            p = place_of(i, v)
            _, place = largest(x, window_at(p, v), p, v)
            store(places, p.to, v.parts, p.left, place)

    return places_alone


@forms("T* T* u1* u4* W i4 i4 i8 T", T="f4 f8", registers=80, traffic="4r w w - 4f")
def _max_pool_places(lanes):
    largest, store, index = largest_of(lanes), lanes.store, lanes.index

    @inlined
    def kept4(best, at, key, v, lowest):
        a = kept(best[0], index(at, 0, v.parts), key, lowest)
        b = kept(best[1], index(at, 1, v.parts), key, lowest)
        c = kept(best[2], index(at, 2, v.parts), key, lowest)
        return a, b, c, kept(best[3], index(at, 3, v.parts), key, lowest)

    def max_pool_places(x, z, places, key, v, relu, drop, lowest, scale):
        i = grid_index()
        if i < v.threads:
            p = place_of(i, v)
            best, place = largest(x, window_at(p, v), p, v)
            stays = four(True)
            if drop != 0:
                stays = kept4(best, p.to, key, v, lowest)
            place = place_if4(place, best, stays, relu)
            if drop != 0:
                best = times_if4(best, stays, scale)
            store(z, p.to, v.parts, p.left, best)
            store(places, p.to, v.parts, p.left, place)

    return max_pool_places


@forms("T* P* T* W T", T="f4 f8", P="u1 i4", registers=80, traffic="1/4r9 1/4r9 w 2f")
def _max_pool_places_grad(lanes):
    load, store = lanes.load, lanes.store

    def max_pool_places_grad(dz, places, dx, v, scale):
        i = grid_index()
        if i < v.threads:
            p = place_of(i, v)
            over = reached_at(p, v)
            total = four(type(dz[0])(0))
            h, w, at = over.first, over.start, over.at
            while h <= over.last:
                place, value = load(places, at, v.parts, p.left), load(dz, at, v.parts, p.left)
                total = add_at_place4(total, value, place, number_in(h, w, p, v), scale)
                h, w, at = next_reached(h, w, at, over, v)
            store(dx, p.to, v.parts, p.left, total)

    return max_pool_places_grad


@forms("T* u1* T* W T", T="f4 f8", registers=80, traffic="r r 4w 1f")
def _max_pool_places_grad_apart(lanes):
    load, put = lanes.load, put_of(lanes, at_place4)

    def max_pool_places_grad_apart(dz, places, dx, v, scale):
        """The same where windows stand side by side: one thread has a window."""
        i = grid_index()
        if i < v.threads:
            p = place_of(i, v)
            values = times4(load(dz, p.to, v.parts, p.left), scale)
            place = load(places, p.to, v.parts, p.left)
            put(dx, owned_at(p, v), values, place, p, v)

    return max_pool_places_grad_apart


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
    flags = int(relu), int(rate > 0), lowest, scale
    run(_max_pool_places, x.shape, geometry, True, (x, z, places), (key,), flags)
    return z, places


def max_pool2d_places_grad_input(dz, places, x_shape, geometry, rate=0.0):
    """(dx, its sum over all axes but the last): each dz, scaled as dropout does, at its place."""
    x_shape = tuple(x_shape)
    if not dz.size:
        return memory.zeros(x_shape, dz.dtype), memory.zeros(x_shape[3:], dz.dtype)
    scale = 1.0 / (1.0 - rate)
    dx = put_at_places(dz, places, x_shape, geometry, scale)
    channels = x_shape[3]
    by = plan(1, dz.size // channels, channels)
    sums = memory.empty((by.parts, channels), dz.dtype)
    launch(_sum_of_some, by.grid, dz, places, sums, *by.numbers, scale)
    if by.parts > 1:
        by = plan(1, by.parts, channels, cut=False)
        parts, sums = sums, memory.empty((1, channels), dz.dtype)
        launch(reduce_kernels.SUM, by.grid, parts, sums, *by.numbers, 1)
    return dx, sums.reshape(channels)


def largest_places(x, geometry):
    """The places of the largest values as uint8, or int32 where windows have more than 255."""
    many = math.prod(geometry.window) > MOST
    places = memory.empty(
        (x.shape[0], *geometry.out_size, x.shape[3]), np.int32 if many else np.uint8
    )
    run(_largest_places, x.shape, geometry, True, (x, places))
    return places


def put_at_places(dz, places, x_shape, geometry, scale):
    """dx: each dz, times `scale`, added at its place."""
    dx = memory.empty(x_shape, dz.dtype)
    apart = side_by_side(geometry)
    chosen = _max_pool_places_grad_apart if apart else _max_pool_places_grad
    run(chosen, x_shape, geometry, apart, (dz, places, dx), numbers=(scale,))
    return dx
