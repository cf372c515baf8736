"""Convolution by a thread for each result, from global memory alone: any geometry and groups.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). The variant "direct" of the source.
Neighbouring threads have neighbouring filters, so what they read of w and write is coalesced, and
what they read of x is one value for all.

Source: Klesk 2024, https://doi.org/10.3390/app14219972.
"""

from . import memory
from .conv_passes import PASS, added_parts, forward_pass, run_input_passes
from .gemm_kernels import BIAS, RELU
from .indices import grid_index, quotient, remainder
from .kernel import kernel
from .launch import blocks_for, launch

_THREADS = 1 << 16  # that a gradient in w is to have, so that a card is busy
_LEAST_SUMS = 64  # of one thread


def conv2d(x, w, bias, relu, geometry):
    """max(x convolved with w, plus bias; 0), the last where `relu`; bias (F,) or None."""
    y = memory.empty((x.shape[0], *geometry.out_size, w.shape[3]), x.dtype)
    convolve(x, w, bias, relu, y, forward_pass(x.shape, w.shape, geometry))
    return y


def grad_input(dy, w, x_shape, geometry):
    """The gradient in x, of shape `x_shape`."""
    return run_input_passes(convolve, dy, w, x_shape, geometry)


def convolve(x, w, bias, relu, y, settled):
    """A Pass of x and w into y."""
    n = settled.outputs * settled.filters
    finish = BIAS * (bias is not None) + RELU * bool(relu)
    bias = w if bias is None else bias
    launch(_convolve, blocks_for(n), x, w, bias, y, n, finish, *settled)


@kernel("T* T* T* T* i4 i4 " + PASS, T="f4 f8", traffic="1/32r32 r - - 2f")
def _convolve(
    x, w, bias, y, n, finish, images, height, width, channels, rows, columns, filters,
    window_rows, window_columns, step, across, top, left, apart, beside, groups,
    first, image, line, place,
):  # fmt: skip
    i = grid_index()
    if i < n:
        f = remainder(i, filters)
        rest = quotient(i, filters)
        q = remainder(rest, columns)
        rest = quotient(rest, columns)
        p = remainder(rest, rows)
        number = quotient(rest, rows)
        depth = quotient(channels, groups)
        c_first = quotient(f, quotient(filters, groups)) * depth
        total = type(x[0])(0)
        tap = f
        for r in range(window_rows):
            h = p * step + r * apart - top
            for s in range(window_columns):
                v = q * across + s * beside - left
                if h >= 0 and h < height and v >= 0 and v < width:
                    at = ((number * height + h) * width + v) * channels + c_first
                    w_at = tap
                    for c in range(depth):
                        total += x[at + c] * w[w_at]
                        w_at += filters
                tap += depth * filters
        if finish & BIAS:
            total += bias[f]
        if finish & RELU and total < type(total)(0):
            total = type(total)(0)
        y[first + number * image + p * line + q * place + f] = total


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w: sums over shares of the output's lines, which are then added."""
    if not dy.size:
        return memory.zeros(w_shape, x.dtype)
    settled = forward_pass(x.shape, w_shape, geometry)
    lines = settled.images * settled.rows
    n = w_shape[0] * w_shape[1] * w_shape[2] * w_shape[3]
    parts = max(1, min(_THREADS // n, lines * settled.columns // _LEAST_SUMS, lines))
    each = -(-lines // parts)
    parts = -(-lines // each)
    sums = memory.empty((parts, *w_shape), x.dtype)
    launch(_grad_kernel, blocks_for(parts * n), dy, x, sums, parts * n, n, each, *settled)
    return added_parts(sums, w_shape)


@kernel("T* T* T* i4 i4 i4 " + PASS, T="f4 f8", traffic="r 1/32r32 - 2f")
def _grad_kernel(
    dy, x, sums, n_sums, n, each, images, height, width, channels, rows, columns, filters,
    window_rows, window_columns, step, across, top, left, apart, beside, groups,
    first, image, line, place,
):  # fmt: skip
    i = grid_index()
    if i < n_sums:
        start = quotient(i, n) * each
        stop = min(start + each, images * rows)
        at = remainder(i, n)
        f = remainder(at, filters)
        at = quotient(at, filters)
        depth = quotient(channels, groups)
        c = remainder(at, depth) + quotient(f, quotient(filters, groups)) * depth
        at = quotient(at, depth)
        s = remainder(at, window_columns) * beside - left
        r = quotient(at, window_columns) * apart - top
        total = type(x[0])(0)
        item = start
        while item < stop:
            number = quotient(item, rows)
            h = (item - number * rows) * step + r
            if h >= 0 and h < height:
                x_at = (number * height + h) * width
                dy_at = item * line + f
                v = s
                for _ in range(columns):
                    if v >= 0 and v < width:
                        total += x[(x_at + v) * channels + c] * dy[dy_at]
                    v += across
                    dy_at += place
            item += 1
        sums[i] = total
