"""Convolution by tiles of the image and of the windows in a block's shared memory.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). A block makes 8 x 8 outputs of 16 filters:
it brings what they read, a few channels at a time, and each value is then read from shared memory
by all taps and filters that need it. The variant "tiles" of the source; conv_gemm.py is faster.

Source: Klesk 2024, https://doi.org/10.3390/app14219972.
"""

from numba import cuda, types

from . import memory
from .conv_passes import PASS, added_parts, forward_pass, run_input_passes
from .gemm_kernels import BIAS, RELU
from .indices import quotient, remainder
from .kernel import kernel
from .launch import blocks_for, launch

_SIDE, _FILTERS = 8, 16  # of a block's outputs
_ROOM = 4096  # values of x, and of w, in shared memory
_EDGE = 16  # of a block's part of the gradient in w
_LINE = _EDGE + 1  # odd, so that columns meet no bank twice
_PART = _EDGE * _LINE
_BUSY, _LEAST_SUMS = 512, 64  # blocks wanted for a gradient in w; products of each of its results


def obstacle(x_shape, w_shape, geometry):
    """(what the tiles need, what they got), or None where they can do a convolution."""
    if _depth(w_shape[2], w_shape[:2], geometry.stride, geometry.dilation):
        return None
    needs = f"what {_SIDE} x {_SIDE} outputs read, and {_FILTERS} windows, to be {_ROOM} values"
    return f"{needs} a channel at most", f"{geometry}, kernel={tuple(w_shape)}"


def _depth(channels, window, stride, dilation):
    """How many channels of a tile have room at a time."""
    tall, wide = (_reach(*axis) for axis in zip(window, stride, dilation, strict=True))
    taps = max(1, window[0] * window[1])
    return min(channels, _ROOM // (tall * wide), _ROOM // (taps * _FILTERS))


def _reach(taps, step, apart):
    return (_SIDE - 1) * step + (taps - 1) * apart + 1


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
    steps, apart = (settled.step, settled.across), (settled.apart, settled.beside)
    depth = _depth(settled.channels // settled.groups, w.shape[:2], steps, apart)
    tiles = blocks_for(settled.rows, _SIDE) * blocks_for(settled.columns, _SIDE)
    filters = settled.filters // settled.groups
    blocks = (settled.images * tiles, blocks_for(filters, _FILTERS), settled.groups)
    flags = BIAS * (bias is not None) + RELU * bool(relu)
    bias = w if bias is None else bias
    launch(_convolve_tiles, blocks, x, w, bias, y, depth, filters, flags, *settled)


@kernel(
    "f4* f4* f4* f4* i4 i4 i4 " + PASS, min_blocks=2, shared=8 * _ROOM, traffic="1/92r 1/64r - - 2f"
)
def _convolve_tiles(
    x, w, bias, y, depth, filters, flags, images, height, width, channels, rows, columns,
    all_filters, window_rows, window_columns, step, across, top, left, apart, beside, groups,
    first, image, line, place,
):  # fmt: skip
    of_x = cuda.shared.array(_ROOM, types.float32)  # [c][row][column]
    of_w = cuda.shared.array(_ROOM, types.float32)  # [tap][c][filter]
    thread = cuda.threadIdx.x
    wide_tiles = quotient(columns + (_SIDE - 1), _SIDE)
    tall_tiles = quotient(rows + (_SIDE - 1), _SIDE)
    rest = quotient(cuda.blockIdx.x, wide_tiles)
    q0 = remainder(cuda.blockIdx.x, wide_tiles) * _SIDE
    p0 = remainder(rest, tall_tiles) * _SIDE
    number = quotient(rest, tall_tiles)
    f0 = cuda.blockIdx.y * _FILTERS
    group_channels = quotient(channels, groups)
    c0 = cuda.blockIdx.z * group_channels
    tall = (_SIDE - 1) * step + (window_rows - 1) * apart + 1
    wide = (_SIDE - 1) * across + (window_columns - 1) * beside + 1
    taps = window_rows * window_columns
    # The thread's output, and the first of its four filters, which are 4 apart.
    lane, pixel = thread & 3, thread >> 2
    p, q = pixel >> 3, pixel & 7
    own = p * step * wide + q * across
    zero = types.float32(0)
    a, b, d, e = zero, zero, zero, zero
    done = 0
    while done < group_channels:
        here = min(depth, group_channels - done)
        i = thread
        while i < tall * wide * here:
            c = remainder(i, here)
            at = quotient(i, here)
            row, column = quotient(at, wide), remainder(at, wide)
            h, v = p0 * step + row - top, q0 * across + column - left
            value = zero
            if h >= 0 and h < height and v >= 0 and v < width:
                value = x[((number * height + h) * width + v) * channels + c0 + done + c]
            of_x[c * tall * wide + at] = value
            i += 256
        i = thread
        while i < taps * here * _FILTERS:
            f = f0 + (i & 15)
            c, tap = remainder(i >> 4, here), quotient(i >> 4, here)
            value = zero
            if f < filters:
                at = (tap * group_channels + done + c) * all_filters
                value = w[at + cuda.blockIdx.z * filters + f]
            of_w[i] = value
            i += 256
        cuda.syncthreads()
        w_at = lane
        for r in range(window_rows):
            for s in range(window_columns):
                at = own + r * apart * wide + s * beside
                for _ in range(here):
                    value = of_x[at]
                    a += value * of_w[w_at]
                    b += value * of_w[w_at + 4]
                    d += value * of_w[w_at + 8]
                    e += value * of_w[w_at + 12]
                    at += tall * wide
                    w_at += _FILTERS
        cuda.syncthreads()
        done += depth
    p, q = p0 + p, q0 + q
    if p < rows and q < columns:
        to = first + number * image + p * line + q * place + cuda.blockIdx.z * filters
        for u in range(4):
            f = f0 + lane + 4 * u
            if f < filters:
                total = a if u == 0 else (b if u == 1 else (d if u == 2 else e))
                if flags & BIAS:
                    total += bias[cuda.blockIdx.z * filters + f]
                if flags & RELU and total < zero:
                    total = zero
                y[to + f] = total


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w: sums over slabs of the outputs, which are then added."""
    if not dy.size:
        return memory.zeros(w_shape, x.dtype)
    settled = forward_pass(x.shape, w_shape, geometry)
    rows, filters = w_shape[0] * w_shape[1] * w_shape[2], settled.filters // settled.groups
    tiles = blocks_for(rows, _EDGE) * blocks_for(filters, _EDGE)
    wanted = -(-_BUSY // (tiles * settled.groups))
    slabs = max(1, min(wanted, settled.outputs // _LEAST_SUMS))
    length = -(-settled.outputs // slabs)
    slabs = -(-settled.outputs // length)
    sums = memory.empty((slabs, *w_shape), x.dtype)
    sizes = (rows, filters, length, settled.outputs)
    launch(_gradient_tiles, (tiles, slabs, settled.groups), x, dy, sums, *sizes, *settled)
    return added_parts(sums, w_shape)


@kernel("f4* f4* f4* i4 i4 i4 i4 " + PASS, shared=8 * _PART, traffic="1/16r 1/16r - 2f")
def _gradient_tiles(
    x, dy, sums, m, filters, length, outputs, images, height, width, channels, rows, columns,
    all_filters, window_rows, window_columns, step, across, top, left, apart, beside, groups,
    first, image, line, place,
):  # fmt: skip
    # A block: 16 (tap, channel)s by 16 filters of one group, over one slab of outputs.
    of_x = cuda.shared.array(_PART, types.float32)  # [output][(tap, channel)]
    of_dy = cuda.shared.array(_PART, types.float32)  # [output][filter]
    column, row = cuda.threadIdx.x & 15, cuda.threadIdx.x >> 4
    wide_tiles = quotient(filters + (_EDGE - 1), _EDGE)
    m0 = quotient(cuda.blockIdx.x, wide_tiles) * _EDGE
    f = remainder(cuda.blockIdx.x, wide_tiles) * _EDGE + column
    group_channels = quotient(channels, groups)
    tap = quotient(m0 + column, group_channels)
    c = remainder(m0 + column, group_channels) + cuda.blockIdx.z * group_channels
    r = quotient(tap, window_columns) * apart - top
    s = remainder(tap, window_columns) * beside - left
    output = cuda.blockIdx.y * length
    stop = min(output + length, outputs)
    zero = types.float32(0)
    total = zero
    while output < stop:
        own = output + row
        value, change = zero, zero
        if own < stop:
            rest = quotient(own, columns)
            h = remainder(rest, rows) * step + r
            v = remainder(own, columns) * across + s
            number = quotient(rest, rows)
            if m0 + column < m and h >= 0 and h < height and v >= 0 and v < width:
                value = x[((number * height + h) * width + v) * channels + c]
            if f < filters:
                change = dy[own * all_filters + cuda.blockIdx.z * filters + f]
        of_x[row * _LINE + column] = value
        of_dy[row * _LINE + column] = change
        cuda.syncthreads()
        for k in range(_EDGE):
            total += of_x[k * _LINE + row] * of_dy[k * _LINE + column]
        cuda.syncthreads()
        output += _EDGE
    if m0 + row < m and f < filters:
        at = (cuda.blockIdx.y * m + m0 + row) * all_filters
        sums[at + cuda.blockIdx.z * filters + f] = total
