"""Winograd convolution F(m x m, r x r) for square windows and stride 1.

    Y = A [ sum over c of (G w G^T) * (B d B^T) ] A^T

for tiles d of n = m + r - 1 rows and columns of the padded image, which overlap by r - 1, and tiles
Y of m x m outputs: n^2 instead of m^2 r^2 products each. The sums over c are matrix products of
tiles by channels, one for each of the n^2 points, which the tiled product of gemm.py makes as a
batch. The gradient in x is the same convolution of dy with the window turned and its axes swapped;
the gradient in w is G^T [ sum over tiles of (B d B^T) (A^T dY A) ] G.

Source: Lavin and Gray 2016, https://arxiv.org/abs/1509.09308, section 4.
"""

from __future__ import annotations

from . import gemm, memory
from .conv_passes import added_parts, forward_pass, run_input_passes
from .conv_winograd_kernels import INPUT, NARROW, OUTPUT, SPREAD, WINDOW
from .gemm_kernels import BIAS, RELU
from .launch import blocks_for, launch

# What is known of a window: the outputs of a tile, the most first.
TILES = {(3, 3): (4, 2)}
_ROOM = 1 << 24  # values at all points of one share of images: 64 MiB
# Multiply-adds in the time that a value is written and read again, half of them in the cache.
_PRICE = 40
_MARGIN = 1.3  # a direct sum is more exact: it stays where it is little slower


def tile_size(x_shape, w_shape, geometry):
    """The m that needs the least time, or 0 where a direct product is better."""
    if obstacle(x_shape, w_shape, geometry):
        return 0
    channels, filters = w_shape[2:]
    if channels % 4 or filters % 4:
        return 0
    m = _best_tile(x_shape, w_shape, geometry.out_size)
    outputs = x_shape[0] * geometry.out_size[0] * geometry.out_size[1]
    direct = outputs * w_shape[0] * w_shape[1] * channels * filters
    return m if _MARGIN * _cost(x_shape[0], w_shape, geometry.out_size, m) < direct else 0


def obstacle(x_shape, w_shape, geometry):
    """(what Winograd's algorithm needs, what it got), or None where it can do a convolution."""
    window = tuple(w_shape[:2])
    windows = " or ".join(f"{r} x {s}" for r, s in TILES)
    pads = geometry.pad[0] + geometry.pad[1]
    for holds, needs, received in (
        (window in TILES, f"windows of {windows}", f"window={window}"),
        (tuple(geometry.stride) == (1, 1), "strides of 1", f"strides={geometry.stride}"),
        (tuple(geometry.dilation) == (1, 1), "no dilation", f"dilation_rate={geometry.dilation}"),
        (geometry.groups == 1, "one group of channels", f"groups={geometry.groups}"),
        (max(pads) < min(window), "padding smaller than the window", f"padding={geometry.pad}"),
    ):
        if not holds:
            return needs, received
    return None


def _best_tile(x_shape, w_shape, out_size):
    return min(TILES[w_shape[:2]], key=lambda m: _cost(x_shape[0], w_shape, out_size, m))


def _cost(images, w_shape, out_size, m):
    """About how long a convolution takes, in multiply-adds."""
    r, _, channels, filters = w_shape
    tiles = images * -(-out_size[0] // m) * -(-out_size[1] // m)
    each = channels * filters + _PRICE * (channels + filters)
    return (m + r - 1) ** 2 * (tiles * each + 2 * channels * filters)


def conv2d(x, w, bias, relu, geometry):
    """max(x convolved with w, plus bias; 0), the last where `relu`; bias (F,) or None."""
    y = memory.empty((x.shape[0], *geometry.out_size, w.shape[3]), x.dtype)
    convolve(x, w, bias, relu, y, forward_pass(x.shape, w.shape, geometry))
    return y


def grad_input(dy, w, x_shape, geometry):
    """The gradient in x, of shape `x_shape`."""
    return run_input_passes(convolve, dy, w, x_shape, geometry)


def convolve(x, w, bias, relu, y, settled):
    """A Pass without strides of x and w into y."""
    if not y.size:
        return
    images, _, _, channels = x.shape
    filters, out_size = settled.filters, (settled.rows, settled.columns)
    m = _best_tile(x.shape, w.shape, out_size)
    points = (m + w.shape[0] - 1) ** 2
    windows = memory.empty((points, channels, filters), x.dtype)
    launch(WINDOW[m, w.shape[0]], blocks_for(channels * filters), w, windows, channels * filters)
    flags = BIAS * (bias is not None) + RELU * bool(relu)
    bias = windows if bias is None else bias
    for first, count in _shares(images, out_size, m, points, channels + filters):
        grid = _grid(count, out_size, m)
        spectrum = _input_spectrum(x, first, grid, m, w.shape[0], settled)
        products = gemm.matmul(spectrum, windows)
        target = y.view_at(first * settled.image, (1,))
        sizes = (grid[0] * filters, filters, *out_size, *grid[1:])
        n = blocks_for(sizes[0])
        launch(OUTPUT[m, w.shape[0]], n, products, bias, target, *sizes, flags)


def _shares(images, out_size, m, points, depth):
    """(first image, images) of shares whose values at all points have room."""
    each = _grid(1, out_size, m)[0] * points * depth
    step = max(1, _ROOM // each)
    return [(first, min(step, images - first)) for first in range(0, images, step)]


def _grid(images, out_size, m):
    """(tiles, rows of them in an image, tiles in a row)."""
    tall, wide = -(-out_size[0] // m), -(-out_size[1] // m)
    return images * tall * wide, tall, wide


def _input_spectrum(x, first, grid, m, r, settled):
    """B d B^T of the tiles of some images, from the first on: (points, tiles, C)."""
    _, height, width, channels = x.shape
    tiles = grid[0]
    out = memory.empty(((m + r - 1) ** 2, tiles, channels), x.dtype)
    n = tiles * channels
    source = x.view_at(first * height * width * channels, (1,))
    pads = (settled.top, settled.left)
    launch(INPUT[m, r], blocks_for(n), source, out, n, height, width, channels, *pads, *grid[1:])
    return out


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w."""
    if not dy.size:
        return memory.zeros(w_shape, x.dtype)
    settled = forward_pass(x.shape, w_shape, geometry)
    r, _, channels, filters = w_shape
    out_size = geometry.out_size
    m = _best_tile(x.shape, w_shape, out_size)
    points = (m + r - 1) ** 2
    shares = _shares(x.shape[0], out_size, m, points, channels + filters)
    parts = memory.empty((len(shares), points, channels, filters), x.dtype)
    for i, (first, count) in enumerate(shares):
        grid = _grid(count, out_size, m)
        spectrum = _input_spectrum(x, first, grid, m, r, settled)
        spread = memory.empty((points, grid[0], filters), x.dtype)
        n = grid[0] * filters
        source = dy.view_at(first * settled.image, (1,))
        launch(SPREAD[m, r], blocks_for(n), source, spread, n, filters, *out_size, *grid[1:])
        part = parts.view_at(i * points * channels * filters, parts.shape[1:])
        gemm._into(
            part, spectrum, spread, channels, filters, grid[0], "tn", points, a_step=1, b_step=1
        )
    total = added_parts(parts, parts.shape[1:])
    dw = memory.empty(w_shape, x.dtype)
    launch(NARROW[m, r], blocks_for(channels * filters), total, dw, channels * filters)
    return dw
