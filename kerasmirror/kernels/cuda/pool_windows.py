"""What pooling's kernels share: where windows lie in x, and the channels that a thread has.

x (N, H, W, C), window (R, S), outputs (N, P, Q, C). A thread has four channels of a place: see
lanes.py. Places outside x take no part in a window.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

from numba import int32

from .indices import Divisor, add32, divided, divisor, mul32, split32
from .kernel import flat, inlined, kernel
from .lanes import LANES, lanes_of
from .launch import blocks_for, launch
from .vectors import ALIGNMENT


class Windows(NamedTuple):
    """The windows of a pooling, and the grid of places that its threads go through."""

    threads: int
    parts: int  # threads that share the channels of a place
    step: int  # from a place to the next one: channels, or fours of them for wide kernels
    channels: int
    height: int
    width: int
    out_height: int
    out_width: int
    rows: int  # of a window
    columns: int
    down: int  # strides
    across: int
    top: int  # padding
    left: int
    grid_height: int
    grid_width: int
    by_parts: Divisor
    by_height: Divisor
    by_width: Divisor
    by_down: Divisor
    by_across: Divisor


@functools.lru_cache(maxsize=1024)
def windows_of(x_shape, geometry, outputs, wide):
    """(threads, the fields of the Windows): of threads for all outputs, or for all places of x."""
    images, height, width, channels = x_shape
    grid = geometry.out_size if outputs else (height, width)
    parts = -(-channels // LANES)
    (top, _), (left, _) = geometry.pad
    threads = images * grid[0] * grid[1] * parts
    return threads, flat(
        Windows(
            threads,
            parts,
            parts if wide else channels,
            channels,
            height,
            width,
            *geometry.out_size,
            *geometry.window,
            *geometry.stride,
            top,
            left,
            *grid,
            *map(divisor, (parts, *grid, *geometry.stride)),
        )
    )


def run(kernels, x_shape, geometry, outputs, arrays, others=(), numbers=()):
    """Launch one of `forms`, that for the number of channels.

    Args: `outputs` as windows_of takes it; arrays of images, then others, then numbers: what the
    kernels take before and behind the Windows.
    """
    wide = x_shape[3] % LANES == 0 and not any(a.address % ALIGNMENT for a in arrays)
    threads, v = windows_of(x_shape, geometry, outputs, wide)
    launch(kernels[wide], blocks_for(threads), *arrays, *others, *v, *numbers)


def side_by_side(geometry):
    """Whether a place lies in one window at most, and each window begins where one ended."""
    pads = geometry.pad[0][0], geometry.pad[1][0]
    inner = all(pad < size for pad, size in zip(pads, geometry.window, strict=True))
    return geometry.window == geometry.stride and inner


def forms(*templates, **options):
    """Kernels of a function that makes one for Lanes: {False: for any channels, True: wide}."""

    def wrap(make):
        made = {}
        for wide, end in ((False, ""), (True, "_wide")):
            function = make(lanes_of(wide))
            function.__name__ = make.__name__ + end
            made[wide] = kernel(*templates, W=Windows, **options)(function)
        return made

    return wrap


class Place(NamedTuple):
    """A thread's place on its grid; `lane`: its first channel, or four of them."""

    image: int
    row: int
    column: int
    lane: int
    to: int  # where the thread's channels of it begin
    left: int  # how many channels there are from the first of these on


class Window(NamedTuple):
    """What a thread has of x: rows `first` to `last`, columns `start` to `stop`, without ends.

    Of this the window has the rows to `bottom` and columns to `right`. Place (r, s) of a window has
    the number r S + s + 1: `number` is that of its first place here, `at` where the thread's
    channels of that lie, `line` how much further those of the next row do. `plain`: the window is
    2 x 2, all of it inside x, and loops would cost more than its places.
    """

    first: int
    last: int
    start: int
    stop: int
    bottom: int
    right: int
    number: int
    at: int
    line: int
    plain: bool


class Reached(NamedTuple):
    """The windows that a place of x lies in: rows and columns of outputs, with the last ones.

    `at` is where the thread's channels of the first lie, `line` how much further the next row's.
    """

    first: int
    last: int
    start: int
    stop: int
    at: int
    line: int


@inlined
def place_of(i, v):
    """The Place of thread i."""
    to, lane = split32(i, v.parts, v.by_parts)
    rest, column = split32(to, v.grid_width, v.by_width)
    image, row = split32(rest, v.grid_height, v.by_height)
    left = add32(v.channels, -lane)
    return Place(image, row, column, lane, add32(mul32(to, v.step), lane), left)


@inlined
def part_of_axis(place, stride, pad, window, size):
    """The part of a window inside x on one axis: [first, last)."""
    start = add32(mul32(place, stride), -pad)
    return max(start, int32(0)), min(add32(start, window), size)


@inlined
def window_at(p, v):
    """The Window of an output."""
    first, last = part_of_axis(p.row, v.down, v.top, v.rows, v.height)
    start, stop = part_of_axis(p.column, v.across, v.left, v.columns, v.width)
    return _window(p, v, first, last, start, stop)


@inlined
def owned_at(p, v):
    """What an output has of x where windows stand side by side, as a Window.

    Each place belongs to one window, also those behind the last one's end.
    """
    first, last = _owned(p.row, v.out_height, v.down, v.top, v.height)
    start, stop = _owned(p.column, v.out_width, v.across, v.left, v.width)
    return _window(p, v, first, last, start, stop)


@inlined
def _owned(place, out, stride, pad, size):
    start = add32(mul32(place, stride), -pad)
    first = int32(0) if place == 0 else min(start, size)
    last = size if add32(place, 1) == out else min(add32(start, stride), size)
    return first, last


@inlined
def _window(p, v, first, last, start, stop):
    _, bottom = part_of_axis(p.row, v.down, v.top, v.rows, v.height)
    _, right = part_of_axis(p.column, v.across, v.left, v.columns, v.width)
    h = add32(add32(first, v.top), -mul32(p.row, v.down))  # in the window
    w = add32(add32(start, v.left), -mul32(p.column, v.across))
    whole = add32(first, 2) == bottom and add32(start, 2) == right and h == 0 and w == 0
    plain = whole and bottom == last and right == stop and v.rows == 2 and v.columns == 2
    number = add32(mul32(h, v.columns), add32(w, 1))
    at = _channels_at(p, first, start, v.height, v.width, v)
    return Window(
        first, last, start, stop, bottom, right, number, at, mul32(v.width, v.step), plain
    )


@inlined
def reached_at(p, v):
    """The windows that a place of x lies in."""
    first, last = _reached(p.row, v.down, v.by_down, v.top, v.rows, v.out_height)
    start, stop = _reached(p.column, v.across, v.by_across, v.left, v.columns, v.out_width)
    last = last if start <= stop else int32(-1)  # between windows on one axis: in none
    at = _channels_at(p, first, start, v.out_height, v.out_width, v)
    return Reached(first, last, start, stop, at, mul32(v.out_width, v.step))


@inlined
def next_reached(h, w, at, over, v):
    """The output behind (h, w), at `at`, in a loop through those of a Reached, row by row."""
    ends = w == over.stop
    after = add32(at, add32(over.line, -mul32(add32(w, -over.start), v.step)))
    return (
        add32(h, 1) if ends else h,
        over.start if ends else add32(w, 1),
        after if ends else add32(at, v.step),
    )


@inlined
def number_in(h, w, p, v):
    """The number of a place of x in the window of the output (h, w)."""
    row = add32(add32(p.row, v.top), -mul32(h, v.down))
    column = add32(add32(p.column, v.left), -mul32(w, v.across))
    return add32(mul32(row, v.columns), add32(column, 1))


@inlined
def _reached(place, stride, by_stride, pad, window, out):
    padded = add32(place, pad)
    first = add32(padded, add32(stride, -window))
    first = divided(first, by_stride) if first > 0 else int32(0)
    return first, min(divided(padded, by_stride), add32(out, -1))


@inlined
def _channels_at(p, row, column, height, width, v):
    """Where the thread's channels of a place of its image lie in an array of this size."""
    place = add32(mul32(add32(mul32(p.image, height), row), width), column)
    return add32(mul32(place, v.step), p.lane)
