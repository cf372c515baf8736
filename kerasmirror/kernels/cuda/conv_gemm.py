"""Convolution as a matrix product whose matrix is never written (implicit GEMM).

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). Row (n, p, q) of the matrix is what one
output reads, (r, s, c) in w's order: y = matrix @ w, and the gradient in w is matrix' @ dy. Blocks
read the matrix's tiles from x itself. The gradient in x is the first product again, of dy and of w
turned round. A gradient in w has a long sum and few results: slabs of the sum are kept apart and
added in order, so that results are the same in every run.

Source: Chetlur et al. 2014, https://arxiv.org/abs/1410.0759, section 3.1.
"""

from __future__ import annotations

from . import memory
from .conv_gemm_kernels import ALIGNED, FORWARD, KERNEL
from .conv_passes import added_parts, forward_pass, run_input_passes
from .gemm_kernels import BIAS, RELU
from .launch import launch
from .vectors import ALIGNMENT

_BUSY = 256  # blocks that keep a card's multiprocessors busy
_LEAST_SUMS = 256  # products of one slab for each of its results


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
    groups = settled.groups
    rows, filters = settled.outputs, settled.filters // groups
    depth = settled.window_rows * settled.window_columns * settled.channels // groups
    wide, aligned = _in_fours(settled.channels // groups, x), _in_fours(filters, w)
    flags = BIAS * (bias is not None) + RELU * bool(relu) + ALIGNED * aligned
    edge = _edge(rows, filters, groups, edges(FORWARD, wide, aligned))
    tiles = -(-rows // edge) * -(-filters // edge)
    bias = w if bias is None else bias
    kernel = FORWARD[wide, edge]
    launch(kernel, (tiles, 1, groups), x, w, bias, y, rows, filters, depth, flags, *settled)


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w: sums over slabs of all outputs, which are then added."""
    if not dy.size:
        return memory.zeros(w_shape, x.dtype)
    settled = forward_pass(x.shape, w_shape, geometry)
    groups, outputs = settled.groups, settled.outputs
    rows, filters = w_shape[0] * w_shape[1] * w_shape[2], settled.filters // groups
    wide, aligned = _in_fours(settled.channels // groups, x), _in_fours(filters, dy)
    edge = _edge(rows, filters, _BUSY * groups, edges(KERNEL, wide, aligned))
    tiles = -(-rows // edge) * -(-filters // edge)
    slabs = max(1, min(-(-2 * _BUSY // (tiles * groups)), outputs // _LEAST_SUMS))
    length = -(-outputs // slabs)
    length += -length % 16
    slabs = -(-outputs // length)
    sums = memory.empty((slabs, *w_shape), x.dtype)
    grid = (tiles, slabs, groups)
    launch(
        KERNEL[wide, edge],
        grid,
        x,
        dy,
        sums,
        rows,
        filters,
        outputs,
        length,
        ALIGNED * aligned,
        *settled,
    )
    return added_parts(sums, w_shape)


def _in_fours(channels, array):
    """Whether all groups of channels are in fours that 128-bit accesses reach."""
    return channels % 4 == 0 and array.address % ALIGNMENT == 0


def edges(kernels, wide, aligned):
    """The tiles that there are for channels in fours or not, filters in fours or not."""
    return [edge for of, edge in kernels if of == wide and (aligned or not wide or edge < 128)]


def _padded(n, unit):
    return -(-n // unit) * unit


def _edge(rows, filters, groups, edges):
    """The tile's edge: little waste, and blocks enough for the card; larger tiles read less."""

    def cost(edge):
        tiles = _padded(rows, edge) * _padded(filters, edge)
        blocks = groups * tiles // (edge * edge)
        # A block alone on a multiprocessor takes as long as a full round of them.
        idle = max(1.0, _BUSY / 2 / max(1, blocks))
        return tiles * idle * {128: 1.0, 64: 1.15, 32: 1.7}[edge]

    return min(edges, key=cost)
