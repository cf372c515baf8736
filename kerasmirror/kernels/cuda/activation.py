"""Activations with kernels of their own: relu and its gradient."""

import numpy as np
from numba import cuda, float32, float64, int32

from . import memory
from .indices import add32, grid_index, mul32, quotient, remainder
from .kernel import kernel
from .launch import blocks_for, launch

__all__ = ["relu", "relu_grad", "relu_grad_sums"]


@kernel("T* T* i4", T="f4 f8", traffic="r w 1f")
def _relu(x, y, n):
    i = grid_index()
    if i < n:
        v = x[i]
        zero = type(v)(0)
        y[i] = zero if v < zero else v


def relu(x):
    """max(x, 0), of x's shape; what is not a number stays so."""
    y = memory.empty(x.shape, x.dtype)
    launch(_relu, blocks_for(x.size), x, y, x.size)
    return y


@kernel("T* T* T* i4", T="f4 f8", traffic="r r w 1f")
def _relu_grad(dy, y, dx, n):
    i = grid_index()
    if i < n:
        zero = type(y[i])(0)
        dx[i] = dy[i] if y[i] > zero else zero


def relu_grad(dy, y):
    """dy where y > 0, else 0; y is the result of relu (or its argument)."""
    dx = memory.empty(y.shape, y.dtype)
    launch(_relu_grad, blocks_for(y.size), dy, y, dx, y.size)
    return dx


# --- with sums over columns -----------------------------------------------------------------

_BLOCK = 256
_LANES = 32  # columns that a block takes at most
_ROWS = 16  # rows that a thread goes through at least, where there are
_SLABS = 256


def _summing(name, word):
    """The kernel for one type: shared memory has to name it.

    A block has `lanes` columns (a power of two) of one slab's rows, and 256 / lanes threads for
    each of them, whose sums are added in order: no result depends on chance.
    """

    def masked_sums(dy, y, dx, sums, scale, masked, rows, columns, tiles, lanes, per_slab):
        held = cuda.shared.array(_BLOCK, word)
        t = cuda.threadIdx.x
        slab = quotient(cuda.blockIdx.x, tiles)
        lane = t & (lanes - 1)
        lines = quotient(_BLOCK, lanes)
        c = add32(mul32(remainder(cuda.blockIdx.x, tiles), lanes), lane)
        row = add32(mul32(slab, per_slab), quotient(t, lanes))
        last = min(mul32(add32(slab, 1), per_slab), rows)
        total = word(0)
        if c < columns:
            while row < last:
                at = add32(mul32(row, columns), c)
                v = dy[at]
                if masked != 0:
                    v = v * scale if y[at] > word(0) else word(0)
                    dx[at] = v
                total += v
                row = add32(row, lines)
        held[t] = total
        cuda.syncthreads()
        if t < lanes and c < columns:
            line = int32(1)
            while line < lines:
                total += held[add32(mul32(line, lanes), t)]
                line = add32(line, 1)
            sums[add32(mul32(slab, columns), c)] = total

    masked_sums.__name__ = name
    code = np.dtype(name[-7:]).str[1:]
    words = f"{code}* {code}* {code}* {code}* {code} i4 i4 i4 i4 i4 i4"
    return kernel(words, traffic="r r w - 3f")(masked_sums)


_MASKED_SUMS = {
    np.dtype(str(word)): _summing(f"_masked_sums_{word}", word) for word in (float32, float64)
}


def relu_grad_sums(dy, y, scale=1.0):
    """(scale * dy where y > 0, else 0, and its sum over all axes but the last), in one pass.

    y is the result of relu, or of dropout of it, whose factor for what is kept is `scale`.
    """
    columns = y.shape[-1]
    dx = memory.empty(y.shape, y.dtype)
    if not y.size:
        return dx, memory.zeros((columns,), y.dtype)
    rows = y.size // columns
    lanes = min(_LANES, 1 << (columns - 1).bit_length())
    tiles = blocks_for(columns, lanes)
    per_slab = max(_BLOCK // lanes * _ROWS, blocks_for(rows, _SLABS))
    slabs = blocks_for(rows, per_slab)
    sums = memory.empty((slabs, columns), y.dtype)
    summing = _MASKED_SUMS[y.dtype]
    sizes = rows, columns, tiles, lanes, per_slab
    launch(summing, tiles * slabs, dy, y, dx, sums, float(scale), 1, *sizes)
    if slabs == 1:
        return dx, sums.reshape(columns)
    total = memory.empty((columns,), y.dtype)
    sizes = slabs, columns, tiles, lanes, slabs
    launch(summing, tiles, sums, sums, sums, total, 1.0, 0, *sizes)
    return dx, total
