"""Which algorithm a convolution goes by when nobody says: Winograd's, direct or a matrix product.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). `conv_winograd.tile_size` weighs Winograd's
against the direct algorithm by their arithmetic; what it takes is kept where there are outputs
enough to pay for transforming the windows. Between direct and "gemm", arithmetic is the same, and a
few costs decide. They are counted in sums (a sixteenth of a cycle) for each output and element of
its window, and were fitted to medians of scripts/bench_conv_variants.py on one and two cores:

- direct takes rows of outputs in fours (a row of 2 is half waste), reads all of w once for each
  image, packs w element by element, and copies whole images even for strided 1 x 1 windows;
- gemm writes its matrix and reads it again, and copies windows piece by piece;
- the gradient in w by direct loads and stores every sum for each image, and reads places of x that
  lie multiples of a page's quarter apart from the same few sets of the first cache.

The choice depends on shapes alone, so that results do not depend on the number of threads.
"""

import functools

import numpy as np

from . import conv_gemm
from .simd import WIDTH

_ROW = 4  # outputs that direct takes at a time
_NEAR_WEIGHTS = 1 << 17  # elements of w that stay in a core's second cache beside the rest
_NEAR_SUMS = 1 << 18
_APART = 1024  # bytes
_MANY_CHANNELS = 64  # from which what neighbouring outputs read lies too far apart
_CALL = 20_000  # sums in the time that gemm's further launches take
_MARGIN = 1.05  # gemm must be better by so much
# Outputs of all images from which Winograd's algorithm pays, by window: forward and gradient in x,
# gradient in w.
_FEWEST = {3: (80, 60), 5: (50, 30)}
_LEAST_WORK = 3_000_000  # sums below which launches and transforms decide


@functools.lru_cache(4096)
def best(step, x_shape, w_shape, geometry, dtype, tile_size):
    """(algorithm, Winograd's tile or 0) for a pass; `tile_size` is that of conv_winograd."""
    if conv_gemm.is_product(x_shape, w_shape, geometry):
        return "gemm", 0
    m = tile_size(x_shape, w_shape, geometry, dtype)
    outputs = x_shape[0] * geometry.out_size[0] * geometry.out_size[1]
    depth = w_shape[0] * w_shape[1] * w_shape[2]
    enough = m and outputs >= _FEWEST[w_shape[0]][step == "grad_kernel"]
    if enough and outputs * depth * w_shape[3] >= _LEAST_WORK:
        return "winograd", m
    # Direct has ways of its own with few channels.
    if geometry.groups > 1 or w_shape[2] <= WIDTH[4] // 2 or not outputs * w_shape[3]:
        return "direct", 0
    costs = _kernel_costs if step == "grad_kernel" else _image_costs
    direct, gemm = costs(step, x_shape, w_shape, geometry, np.dtype(dtype).itemsize)
    gemm += _CALL / (outputs * depth)
    return ("gemm", 0) if _MARGIN * gemm < direct else ("direct", 0)


def _image_costs(step, x_shape, w_shape, geometry, itemsize):
    """(direct, gemm) for the forward pass and the gradient in x."""
    rows, columns, channels, filters = w_shape
    outputs, depth, width = _outputs(geometry), rows * columns * channels, WIDTH[itemsize]
    if step == "forward":
        direct = _padded(filters, width // 2) * _padded(geometry.out_size[1], _ROW)
        direct *= 1.08 / geometry.out_size[1]
        gemm = _padded(filters, width)
    else:
        direct = 1.08 * _padded(channels, width) / channels * filters
        direct *= _reaching(x_shape, w_shape, geometry)
        gemm = _padded(depth, width) / depth * filters
    direct += _whole_images(x_shape, w_shape, outputs) + 70 * filters / (x_shape[0] * outputs)
    if depth * filters > _NEAR_WEIGHTS:
        direct += 6 * filters / outputs
    gemm = 1.22 * gemm + 20 * filters / (x_shape[0] * outputs)
    return direct, gemm + _matrix(w_shape) + 160 / _piece(w_shape, geometry)


def _kernel_costs(step, x_shape, w_shape, geometry, itemsize):
    """(direct, gemm) for the gradient in w."""
    rows, columns, channels, filters = w_shape
    outputs, taps = _outputs(geometry), rows * columns
    padded = _padded(filters, WIDTH[itemsize])
    if channels * geometry.stride[1] * itemsize % _APART == 0:
        each = 1.8
    else:
        each = 1.3 if channels < _MANY_CHANNELS else 1.6
    each += 0.3 * (taps == 1) + 4 / outputs
    if taps * channels * filters >= _NEAR_SUMS:
        each += 16 / outputs
    direct = each * padded + _whole_images(x_shape, w_shape, outputs)
    direct += 80 * filters / (x_shape[0] * outputs)
    gemm = 1.38 * padded + 40 * filters / (x_shape[0] * outputs)
    gemm += _matrix(w_shape) + 240 / _piece(w_shape, geometry)
    return direct, gemm


def _reaching(x_shape, w_shape, geometry):
    """Taps that reach a place of x, of all places in rows of fours, to the taps of all outputs."""
    share = 1.0
    for axis, unit in ((0, 1), (1, _ROW)):
        extent, taps, step = x_shape[1 + axis], w_shape[axis], geometry.stride[axis]
        before, apart = geometry.pad[axis][0], geometry.dilation[axis]
        found = 0
        for phase in range(min(step, extent)):
            places = _padded(-(-(extent - phase) // step), unit)
            found += places * sum((phase + before - r * apart) % step == 0 for r in range(taps))
        share *= found / (taps * geometry.out_size[axis])
    return share


def _outputs(geometry):
    return geometry.out_size[0] * geometry.out_size[1]


def _padded(n, unit):
    return -(-n // unit) * unit


def _whole_images(x_shape, w_shape, outputs):
    """Copying an image with its padding, of which strided windows read a part."""
    return 4 * x_shape[1] * x_shape[2] / (outputs * w_shape[0] * w_shape[1])


def _matrix(w_shape):
    """Writing an element of the matrix and reading it again."""
    return 6 if w_shape[0] * w_shape[1] == 1 else 14


def _piece(w_shape, geometry):
    """How many elements of a window lie side by side in x."""
    return w_shape[2] * (w_shape[1] if geometry.dilation[1] == 1 else 1)
