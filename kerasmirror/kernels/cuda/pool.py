"""Max and average pooling of images and their gradients, one pass each.

x (N, H, W, C), window (R, S), y (N, P, Q, C). Places outside x take no part in a window: they are
never the largest and are not counted. A NaN in a window makes its maximum NaN. A gradient's thread
has a window where these stand side by side, else a place of x, and looks which windows it lies in:
no value is added to by two.
"""

from __future__ import annotations

from numba import int32

from . import memory
from .indices import add32, grid_index, mul32
from .kernel import inlined
from .lanes import add4, add_times4, at_place4, four, if_inside4, over4, times4
from .pool_places import largest_of, largest_places, put_at_places, put_of
from .pool_windows import (
    forms,
    next_reached,
    owned_at,
    part_of_axis,
    place_of,
    reached_at,
    run,
    side_by_side,
    window_at,
)

__all__ = [
    "average_pool2d",
    "average_pool2d_grad_input",
    "max_pool2d",
    "max_pool2d_grad_input",
]


@forms("T* T* W", T="f4 f8", registers=64, traffic="4r w 4f")
def _max_pool(lanes):
    largest, store = largest_of(lanes), lanes.store

    def max_pool(x, y, v):
        i = grid_index()
        if i < v.threads:
            p = place_of(i, v)
            best, _ = largest(x, window_at(p, v), p, v)
            store(y, p.to, v.parts, p.left, best)

    return max_pool


@forms("T* T* T* W", T="f4 f8", registers=80, traffic="r 4r 4w 4f")
def _max_pool_grad_apart(lanes):
    """Where windows stand side by side: one thread has a window, and reads x once."""
    largest, put, load = largest_of(lanes), put_of(lanes, at_place4), lanes.load

    def max_pool_grad_apart(dy, x, dx, v):
        i = grid_index()
        if i < v.threads:
            p = place_of(i, v)
            _, place = largest(x, window_at(p, v), p, v)
            put(dx, owned_at(p, v), load(dy, p.to, v.parts, p.left), place, p, v)

    return max_pool_grad_apart


@inlined
def _count(rows, columns, like):
    """How many places rows and columns have, as a float of the type of `like`."""
    return type(like)(mul32(max(rows, int32(0)), max(columns, int32(0))))


@forms("T* T* W", T="f4 f8", registers=64, traffic="4r w 5f")
def _average_pool(lanes):
    load, store = lanes.load, lanes.store

    def average_pool(x, y, v):
        i = grid_index()
        if i < v.threads:
            p = place_of(i, v)
            w = window_at(p, v)
            if w.plain:
                below = add32(w.at, w.line)
                a, b = load(x, w.at, v.parts, p.left), load(x, add32(w.at, v.step), v.parts, p.left)
                c, d = (
                    load(x, below, v.parts, p.left),
                    load(x, add32(below, v.step), v.parts, p.left),
                )
                mean = times4(add4(add4(a, b), add4(c, d)), type(x[0])(0.25))
            else:
                total, at = four(type(x[0])(0)), w.at
                for _ in range(w.first, w.last):
                    to = at
                    for _ in range(w.start, w.stop):
                        total = add4(total, load(x, to, v.parts, p.left))
                        to = add32(to, v.step)
                    at = add32(at, w.line)
                count = _count(add32(w.last, -w.first), add32(w.stop, -w.start), x[0])
                mean = over4(total, count)
            store(y, p.to, v.parts, p.left, mean)

    return average_pool


@inlined
def _reciprocal(rows, columns, like):
    return type(like)(1) / type(like)(mul32(rows, columns))


@forms("T* T* W", T="f4 f8", registers=80, traffic="1/4r9 w 5f")
def _average_pool_grad(lanes):
    load, store = lanes.load, lanes.store

    def average_pool_grad(dy, dx, v):
        i = grid_index()
        if i < v.threads:
            p = place_of(i, v)
            over = reached_at(p, v)
            total = four(type(dy[0])(0))
            h, w, at = over.first, over.start, over.at
            # One loop for rows and columns: most places are in one or two of each.
            while h <= over.last:
                top, bottom = part_of_axis(h, v.down, v.top, v.rows, v.height)
                left, right = part_of_axis(w, v.across, v.left, v.columns, v.width)
                share = _reciprocal(add32(bottom, -top), add32(right, -left), dy[0])
                total = add_times4(total, load(dy, at, v.parts, p.left), share)
                h, w, at = next_reached(h, w, at, over, v)
            store(dx, p.to, v.parts, p.left, total)

    return average_pool_grad


@forms("T* T* W", T="f4 f8", registers=80, traffic="r 4w 1f")
def _average_pool_grad_apart(lanes):
    load, put = lanes.load, put_of(lanes, if_inside4)

    def average_pool_grad_apart(dy, dx, v):
        i = grid_index()
        if i < v.threads:
            p = place_of(i, v)
            w = window_at(p, v)
            # Windows without a place inside x are 1 here.
            rows, columns = max(add32(w.last, -w.first), 1), max(add32(w.stop, -w.start), 1)
            share = _reciprocal(rows, columns, dy[0])
            values = times4(load(dy, p.to, v.parts, p.left), share)
            put(dx, owned_at(p, v), values, four(int32(0)), p, v)

    return average_pool_grad_apart


def max_pool2d(x, geometry):
    """The largest value in each window, of each channel."""
    return _pool(_max_pool, x, geometry)


def max_pool2d_grad_input(dy, x, y, geometry):
    """Each dy added to the first place (row by row) of its window where x is the maximum y."""
    if not dy.size:
        return memory.zeros(x.shape, x.dtype)
    if not side_by_side(geometry):
        return put_at_places(dy, largest_places(x, geometry), x.shape, geometry, 1.0)
    dx = memory.empty(x.shape, x.dtype)
    run(_max_pool_grad_apart, x.shape, geometry, True, (dy, x, dx))
    return dx


def average_pool2d(x, geometry):
    """The mean of each window's places inside x, of each channel."""
    return _pool(_average_pool, x, geometry)


def average_pool2d_grad_input(dy, x_shape, geometry):
    """Each dy shared out evenly among its window's places inside x."""
    x_shape = tuple(x_shape)
    if not dy.size:
        return memory.zeros(x_shape, dy.dtype)
    dx = memory.empty(x_shape, dy.dtype)
    apart = side_by_side(geometry)
    run(
        _average_pool_grad_apart if apart else _average_pool_grad,
        x_shape,
        geometry,
        apart,
        (dy, dx),
    )
    return dx


def _pool(kernels, x, geometry):
    y = memory.empty((x.shape[0], *geometry.out_size, x.shape[3]), x.dtype)
    run(kernels, x.shape, geometry, True, (x, y))
    return y
