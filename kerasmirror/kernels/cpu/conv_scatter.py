"""Gradient of direct convolution in x, for few channels: by scattering.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F).
"""

import numpy as np

from . import between, memory, threads
from .conv_gather import forward_gather
from .launch import helper, kernel, launch
from .simd import ROWS, VECTORS, WIDTH, clear, lanes_of, tile_fma, tile_store, tile_zero


def scatter(dy, w, x_shape, geometry):
    """The gradient in x for few channels: each output's dy times all of w, added where it read.

    A panel as wide as a tile would be mostly zeros with few channels, but the (r, s, c) fill it.
    """
    plan = forward_gather(x_shape[1:3], w.shape[:2], geometry, w.shape[2], w.shape[2])
    dx = memory.empty(x_shape, dy.dtype)
    if dx.size == 0:
        return dx
    groups, channels = geometry.groups, w.shape[2]
    depth, filters = len(plan.taps) * channels, w.shape[3] // geometry.groups
    width = WIDTH[dy.itemsize]
    panels = -(-depth // width)
    packed = _panels_of(w, depth, panels, width, groups)
    room = plan.rows * plan.columns * channels
    work = geometry.out_size[0] * geometry.out_size[1] * panels * width * filters
    launch(
        _scatter,
        x_shape[0] * groups,
        threads.chunk_of(work // 8),
        dy,
        packed.reshape(-1),
        dx,
        threads.scratch(room + ROWS * panels * width, dy.dtype),
        plan.offsets,
        (groups, room),
        (*plan.pad, plan.rows, plan.columns, *plan.step),
    )
    return dx


@between.notable
def _panels_of(w, depth, panels, width, groups):
    """w as [group][panel][filter][one of (r, s, c)]; the last panel ends in zeros."""
    filters = w.shape[3] // groups
    padded = np.zeros((panels * width, groups, filters), w.dtype)
    padded[:depth] = w.reshape(depth, groups, filters)
    packed = padded.reshape(panels, width, groups, filters).transpose(2, 0, 3, 1)
    return np.ascontiguousarray(packed)


@kernel
def _scatter(lo, hi, thread, dy, w, dx, buffer, offsets, sizes, plan):
    # One item is one image and group: one thread owns those channels of dx.
    groups, room = sizes
    channels, filters = dx.shape[3] // groups, dy.shape[3] // groups
    scratch = buffer[thread]
    columns = dy.shape[2]
    # Rows shorter than a tile go one output at a time, in every row of the tile.
    stride, advance = (dy.shape[3], ROWS) if columns >= ROWS else (0, 1)
    for item in range(lo, hi):
        image, group = item // groups, item % groups
        clear(scratch, 0, room)
        for p in range(dy.shape[1]):
            source = (image * dy.shape[1] + p) * columns * dy.shape[3] + group * filters
            for q in range(0, columns, advance):
                first = min(q, columns - advance)
                _multiply_outputs(
                    scratch, room, dy, source + first * dy.shape[3], stride,
                    w, group * (w.size // groups), filters, offsets.size,
                )  # fmt: skip
                for number in range(q, min(columns, q + advance)):
                    at = (p * plan[4] * plan[3] + number * plan[5]) * channels
                    _add_taps(scratch, at, offsets, room, number - first)
        _cut_image(scratch, dx, image, group, channels, plan)


@helper
def _multiply_outputs(scratch, at, dy, dy_at, stride, w, w_at, filters, depth):
    """scratch[at:] = the dy of some outputs (a tile's rows) times all (r, s, c) of w."""
    width = VECTORS * lanes_of(dy)
    pitch = (depth + width - 1) // width * width
    for panel in range(0, depth, width):
        t = tile_zero(dy, ROWS, VECTORS)
        for f in range(filters):
            t = tile_fma(t, dy, dy_at + f, stride, w, w_at + f * width)
        tile_store(t, scratch, at + panel, pitch)
        w_at += filters * width


@helper
def _add_taps(scratch, at, offsets, products_at, row):
    width = VECTORS * lanes_of(scratch)
    pitch = (offsets.size + width - 1) // width * width
    image, products = scratch[at:products_at], scratch[products_at + row * pitch :]
    for k in range(offsets.size):
        image[np.uint64(offsets[k])] += products[k]  # unsigned: no test for indices from the end


@helper
def _cut_image(scratch, x, image, group, channels, plan):
    """The image without its padding, from the scratch."""
    top, left, columns = plan[0], plan[1], plan[3]
    for h in range(x.shape[1]):
        for v in range(x.shape[2]):
            at = ((top + h) * columns + left + v) * channels
            for c in range(channels):
                x[image, h, v, group * channels + c] = scratch[at + c]
