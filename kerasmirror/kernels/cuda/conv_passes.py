"""What a convolution's passes are made of: convolutions that write some places of an array.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). The gradient in x is convolutions of dy:
places of x whose numbers leave the same remainder by the stride are reached by the same taps, so
each remainder is a convolution of dy without strides, by those taps turned round, that writes
every stride-th place. No product is with a zero between strided places.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

from . import memory
from .indices import grid_index, quotient, remainder
from .kernel import kernel
from .launch import blocks_for, launch

PASS = "i4 " * 20  # a Pass in a kernel's signature


class Pass(NamedTuple):
    """A convolution and where it writes: y[first + n * image + p * line + q * place + f]."""

    images: int
    height: int
    width: int
    channels: int
    rows: int
    columns: int
    filters: int
    window_rows: int
    window_columns: int
    step: int
    across: int
    top: int
    left: int
    apart: int
    beside: int
    groups: int
    first: int
    image: int
    line: int
    place: int

    @property
    def outputs(self):
        """How many outputs a filter has."""
        return self.images * self.rows * self.columns


class Taps(NamedTuple):
    """Every step-th tap of a window's rows and columns, from the first on."""

    row: int
    row_step: int
    rows: int
    column: int
    column_step: int
    columns: int


def forward_pass(x_shape, w_shape, geometry):
    """The Pass of conv2d."""
    filters, (rows, columns) = w_shape[3], geometry.out_size
    return Pass(
        *x_shape,
        rows,
        columns,
        filters,
        *w_shape[:2],
        *geometry.stride,
        geometry.pad[0][0],
        geometry.pad[1][0],
        *geometry.dilation,
        geometry.groups,
        0,
        rows * columns * filters,
        columns * filters,
        filters,
    )


def input_passes(w_shape, x_shape, geometry):
    """[(Pass, Taps)] of the gradient in x, for each remainder by the strides that taps reach."""
    images, height, width, channels = x_shape
    down, across = (_remainders(axis, w_shape, x_shape, geometry) for axis in (0, 1))
    passes = []
    for (a, rows, top, apart, row_taps), (
        b,
        columns,
        left,
        beside,
        column_taps,
    ) in itertools.product(down, across):
        step, aside = geometry.stride
        settled = Pass(
            images,
            *geometry.out_size,
            w_shape[3],
            rows,
            columns,
            channels,
            row_taps[2],
            column_taps[2],
            1,
            1,
            top,
            left,
            apart,
            beside,
            geometry.groups,
            (a * width + b) * channels,
            height * width * channels,
            step * width * channels,
            aside * channels,
        )
        passes.append((settled, Taps(*row_taps, *column_taps)))
    return passes


def _remainders(axis, w_shape, x_shape, geometry):
    """(remainder, places, padding, dilation, taps) along an axis, where there are taps.

    Place a + step * i is reached from output p by tap r where a + step * i + pad =
    step * p + r * apart: with r = r0 + every * j, by p = i + ahead - j * (apart / divisor).
    """
    step, apart, pad = geometry.stride[axis], geometry.dilation[axis], geometry.pad[axis][0]
    divisor = math.gcd(step, apart)
    every, between = step // divisor, apart // divisor
    found = []
    for a in range(min(step, x_shape[1 + axis])):
        taps = [r for r in range(w_shape[axis]) if (a + pad - r * apart) % step == 0]
        if taps:
            ahead = (a + pad - taps[0] * apart) // step
            places = -(-(x_shape[1 + axis] - a) // step)
            padding = (len(taps) - 1) * between - ahead
            found.append((a, places, padding, between, (taps[0], every, len(taps))))
    return found


def run_input_passes(convolve, dy, w, x_shape, geometry):
    """The gradient in x by `convolve(dy, turned w, None, False, dx, Pass)`."""
    if not dy.size:
        return memory.zeros(x_shape, dy.dtype)
    passes = input_passes(w.shape, x_shape, geometry)
    reached = sum(one.rows * one.columns for one, _ in passes)
    make = memory.empty if reached == x_shape[1] * x_shape[2] else memory.zeros
    dx = make(x_shape, dy.dtype)
    for one, taps in passes:
        convolve(dy, turned(w, taps, geometry.groups), None, False, dx, one)
    return dx


def turned(w, taps, groups):
    """Some taps of w (R, S, C / groups, F), turned round: (rows, columns, F / groups, C)."""
    channels, filters = w.shape[2], w.shape[3]
    shape = (taps.rows, taps.columns, filters // groups, groups * channels)
    out = memory.empty(shape, w.dtype)
    sizes = (out.size, channels, filters, filters // groups, w.shape[1])
    launch(_turn, blocks_for(out.size), w, out, *sizes, *taps)
    return out


@kernel("T* T* i4 i4 i4 i4 i4 i4 i4 i4 i4 i4 i4", T="f4 f8", traffic="r w 0f")
def _turn(
    w, out, n, channels, filters, per_group, columns, row, row_step, n_rows, column, column_step,
    n_columns,
):  # fmt: skip
    i = grid_index()
    if i < n:
        whole = quotient(filters, per_group) * channels
        at = remainder(i, whole)
        group, c = quotient(at, channels), remainder(at, channels)
        rest = quotient(i, whole)
        f = remainder(rest, per_group)
        tap = quotient(rest, per_group)
        r = row + (n_rows - 1 - quotient(tap, n_columns)) * row_step
        s = column + (n_columns - 1 - remainder(tap, n_columns)) * column_step
        out[i] = w[((r * columns + s) * channels + c) * filters + group * per_group + f]


@kernel("T* T* i4 i4", T="f4 f8", traffic="4r w 3f")
def _add_parts(parts, out, n, count):
    i = grid_index()
    if i < n:
        total = parts[i]
        at = i + n
        for _ in range(count - 1):
            total += parts[at]
            at += n
        out[i] = total


def added_parts(parts, shape):
    """The sum of `parts` over its first axis, first to last, in another shape."""
    if parts.shape[0] == 1:
        return parts.reshape(shape)
    out = memory.empty(shape, parts.dtype)
    launch(_add_parts, blocks_for(out.size), parts, out, out.size, parts.shape[0])
    return out
