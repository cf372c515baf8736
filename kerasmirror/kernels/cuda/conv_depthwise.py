"""Depthwise convolution, and its two gradients: filter c * M + m reads channel c alone.

x (N, H, W, C), w (R, S, 1, F), y (N, P, Q, F), F = C M. Neighbouring threads have neighbouring
filters; each makes several outputs of a row, for which it reads w once.
"""

from numba import cuda, types

from . import conv_direct, memory
from .conv_passes import PASS, added_parts, forward_pass, run_input_passes
from .gemm_kernels import BIAS, RELU
from .indices import grid_index, quotient, remainder
from .kernel import kernel
from .launch import blocks_for, launch

_BUSY = 1024  # blocks that keep a card busy
_LANES, _SLICES = 32, 8  # of a block: filters, and shares of the lines that are added


def is_depthwise(w_shape, geometry):
    """Whether each filter reads one channel of several."""
    return geometry.groups > 1 and w_shape[2] == 1


def obstacle(x_shape, w_shape, geometry):
    """(what these kernels need, what they got), or None where they can do a convolution."""
    if is_depthwise(w_shape, geometry):
        return None
    return "as many groups as channels", f"groups={geometry.groups}, kernel={tuple(w_shape)}"


def conv2d(x, w, bias, relu, geometry):
    """max(x convolved with w, plus bias; 0), the last where `relu`; bias (F,) or None."""
    y = memory.empty((x.shape[0], *geometry.out_size, w.shape[3]), x.dtype)
    convolve(x, w, bias, relu, y, forward_pass(x.shape, w.shape, geometry))
    return y


def grad_input(dy, w, x_shape, geometry):
    """The gradient in x: a depthwise convolution of dy where each channel has one filter."""
    one = w.shape[3] == geometry.groups
    run = convolve if one else conv_direct.convolve
    return run_input_passes(run, dy, w, x_shape, geometry)


def convolve(x, w, bias, relu, y, settled):
    """A Pass of x and w into y, four outputs of a row to a thread."""
    n = settled.images * settled.rows * -(-settled.columns // 4) * settled.filters
    flags = BIAS * (bias is not None) + RELU * bool(relu)
    bias = w if bias is None else bias
    launch(_depthwise, blocks_for(n), x, w, bias, y, n, flags, *settled)


@kernel("T* T* T* T* i4 i4 " + PASS, T="f4 f8", traffic="r9 - - w 18f")
def _depthwise(
    x, w, bias, y, n, flags, images, height, width, channels, rows, columns, filters,
    window_rows, window_columns, step, across, top, left, apart, beside, groups,
    first, image, line, place,
):  # fmt: skip
    i = grid_index()
    if i < n:
        fours = quotient(columns + 3, 4)
        f = remainder(i, filters)
        rest = quotient(i, filters)
        q = remainder(rest, fours) * 4
        rest = quotient(rest, fours)
        p = remainder(rest, rows)
        number = quotient(rest, rows)
        c = quotient(f, quotient(filters, groups))
        zero = type(x[0])(0)
        a, b, d, e = zero, zero, zero, zero
        tap = f
        for r in range(window_rows):
            h = p * step + r * apart - top
            if h >= 0 and h < height:
                at = (number * height + h) * width
                v = q * across - left
                for _ in range(window_columns):
                    weight = w[tap]
                    if v >= 0 and v < width:
                        a += x[(at + v) * channels + c] * weight
                    u = v + across
                    if u >= 0 and u < width:
                        b += x[(at + u) * channels + c] * weight
                    u += across
                    if u >= 0 and u < width:
                        d += x[(at + u) * channels + c] * weight
                    u += across
                    if u >= 0 and u < width:
                        e += x[(at + u) * channels + c] * weight
                    v += beside
                    tap += filters
            else:
                tap += window_columns * filters
        if flags & BIAS:
            plus = bias[f]
            a, b, d, e = a + plus, b + plus, d + plus, e + plus
        if flags & RELU:
            a, b = zero if a < zero else a, zero if b < zero else b
            d, e = zero if d < zero else d, zero if e < zero else e
        to = first + number * image + p * line + q * place + f
        y[to] = a
        if q + 1 < columns:
            y[to + place] = b
        if q + 2 < columns:
            y[to + 2 * place] = d
        if q + 3 < columns:
            y[to + 3 * place] = e


def grad_kernel(dy, x, w_shape, geometry):
    """The gradient in w: sums over slabs of the output's lines, which are then added."""
    if not dy.size:
        return memory.zeros(w_shape, x.dtype)
    settled = forward_pass(x.shape, w_shape, geometry)
    lines, fours = settled.images * settled.rows, -(-settled.window_columns // 4)
    blocks = blocks_for(settled.filters, _LANES) * settled.window_rows * fours
    slabs = max(1, min(-(-_BUSY // blocks), lines // _SLICES))
    each = -(-lines // slabs)
    slabs = -(-lines // each)
    sums = memory.empty((slabs, *w_shape), x.dtype)
    launch(KERNELS[x.dtype.itemsize], (blocks, slabs), x, dy, sums, each, *settled)
    return added_parts(sums, w_shape)


def _gradient_kernel(code, real):
    shared = _LANES * _SLICES * 4

    def depthwise_gradient(
        x, dy, sums, each, images, height, width, channels, rows, columns, filters,
        window_rows, window_columns, step, across, top, left, apart, beside, groups,
        first, image, line, place,
    ):  # fmt: skip
        # A block: 32 filters, one row of the window and four of its columns, one slab; each of
        # its slices adds up every eighth line.
        shares = cuda.shared.array(shared, real, alignment=16)
        fours = quotient(window_columns + 3, 4)
        tap = remainder(cuda.blockIdx.x, fours) * 4
        rest = quotient(cuda.blockIdx.x, fours)
        r = remainder(rest, window_rows)
        thread = cuda.threadIdx.x
        lane, slice_ = thread & 31, thread >> 5
        f = quotient(rest, window_rows) * 32 + lane
        start = cuda.blockIdx.y * each
        stop = min(start + each, images * rows)
        zero = type(x[0])(0)
        a, b, d, e = zero, zero, zero, zero
        if f < filters:
            c = quotient(f, quotient(filters, groups))
            item = start + slice_
            while item < stop:
                number = quotient(item, rows)
                h = (item - number * rows) * step + r * apart - top
                if h >= 0 and h < height:
                    at = (number * height + h) * width
                    dy_at = item * line + f
                    v = tap * beside - left
                    for _ in range(columns):
                        change = dy[dy_at]
                        if v >= 0 and v < width:
                            a += x[(at + v) * channels + c] * change
                        u = v + beside
                        if u >= 0 and u < width:
                            b += x[(at + u) * channels + c] * change
                        u += beside
                        if u >= 0 and u < width:
                            d += x[(at + u) * channels + c] * change
                        u += beside
                        if u >= 0 and u < width:
                            e += x[(at + u) * channels + c] * change
                        v += across
                        dy_at += place
                item += 8
        shares[thread] = a
        shares[thread + 256] = b
        shares[thread + 512] = d
        shares[thread + 768] = e
        cuda.syncthreads()
        # Slice s of the first four adds up what all slices have of tap s.
        if slice_ < 4 and f < filters and tap + slice_ < window_columns:
            total = zero
            for other in range(8):
                total += shares[slice_ * 256 + other * 32 + lane]
            at = (cuda.blockIdx.y * window_rows + r) * window_columns + tap + slice_
            sums[at * filters + f] = total

    depthwise_gradient.__name__ = "_depthwise_gradient"
    words = "T* T* T* i4 " + PASS
    size = 4 * shared if code == "f4" else 8 * shared
    return kernel(words, T=code, shared=size, traffic="r9 r9 - 18f")(depthwise_gradient)


KERNELS = {4: _gradient_kernel("f4", types.float32), 8: _gradient_kernel("f8", types.float64)}
