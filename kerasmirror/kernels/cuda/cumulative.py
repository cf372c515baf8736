"""Cumulative sums and products: rows by blocks, long rows in parts, columns by threads."""

from __future__ import annotations

from numba import cuda

from . import memory, movement
from .array import axis_in
from .blocks import shared_like
from .casting import as_dtype
from .indices import quotient, remainder
from .kernel import kernel
from .launch import launch
from .reduce import count_of, widened
from .reduce_kernels import one, plus, times, zero

__all__ = ["cumprod", "cumsum"]


def _cumulation(name, merge, start):
    """Kernels of a cumulative operation: of rows, of what follows from parts, of columns."""

    def rows(x, y, totals, n, length, backward):
        """Of n values of a row those of part blockIdx.y, whose total goes into `totals`."""
        t = cuda.threadIdx.x
        total = start(x[0])
        shared = shared_like(total)
        row = cuda.blockIdx.x * n
        first = cuda.blockIdx.y * length
        last = min(first + length, n)
        base = first
        while base < last:
            i = base + t
            at = row + (n - 1 - i if backward else i)
            v = x[at] if i < last else start(x[0])
            by = 1
            while by < 32:
                other = cuda.shfl_up_sync(0xFFFFFFFF, v, by)
                if t & 31 >= by:
                    v = merge(other, v)
                by += by
            if t & 31 == 31:
                shared[t >> 5] = v
            cuda.syncthreads()
            before = total
            for warp in range(8):
                if warp == t >> 5:
                    before = total
                total = merge(total, shared[warp])
            if i < last:
                y[at] = merge(before, v)
            cuda.syncthreads()
            base += 256
        if t == 0:
            totals[cuda.blockIdx.x * cuda.gridDim.y + cuda.blockIdx.y] = total

    def carried(y, totals, n, length, parts, backward):
        """The values of part blockIdx.y + 1 and what came before them."""
        row, part = cuda.blockIdx.x, cuda.blockIdx.y + 1
        before = totals[row * parts + part - 1]
        i = part * length + cuda.threadIdx.x
        last = min(part * length + length, n)
        while i < last:
            at = row * n + (n - 1 - i if backward else i)
            y[at] = merge(before, y[at])
            i += 256

    def columns(x, y, count, n, inner, backward):
        """One thread has one column."""
        column = cuda.blockIdx.x * 256 + cuda.threadIdx.x
        if column < count:
            at = quotient(column, inner) * n * inner + remainder(column, inner)
            by = inner
            if backward:
                at += (n - 1) * inner
                by = -inner
            total = start(x[0])
            for _ in range(n):
                total = merge(total, x[at])
                y[at] = total
                at += by

    made = []
    for body, template, traffic in (
        (rows, "T* T* T* i4 i4 i4", "r w - 1f"),
        (carried, "T* T* i4 i4 i4 i4", "rw - 1f"),
        (columns, "T* T* i4 i4 i4 i4", "r w 1f"),
    ):
        body.__name__ = body.__qualname__ = f"_{name}_{body.__name__}"
        made.append(kernel(template, T="f4 f8 i4 i8", registers=64, traffic=traffic)(body))
    return made


_CUMSUM = _cumulation("cumsum", plus, zero)
_CUMPROD = _cumulation("cumprod", times, one)
_SCAN_PART = 8192  # values of a part of a row at least
_MOST_PARTS = 65535  # blocks along the second axis of a grid


def cumsum(x, axis: int | None = None, reverse: bool = False):
    """Sums of x up to each place of `axis` (None: of the flat array); from the end if reverse."""
    return _accumulate(_CUMSUM, x, axis, reverse)


def cumprod(x, axis: int | None = None, reverse: bool = False):
    """Products of x up to each place of `axis` (None: flat array); from the end if reverse."""
    return _accumulate(_CUMPROD, x, axis, reverse)


def _accumulate(kernels, x, axis, reverse):
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis_in(axis, x.ndim)
    wide = widened(x)
    outer, n = count_of(x.shape, range(axis)), x.shape[axis]
    inner = count_of(x.shape, range(axis + 1, x.ndim))
    result_dtype = wide.dtype if x.dtype == bool else x.dtype
    if not x.size:
        return memory.empty(x.shape, result_dtype)
    if inner == 1:
        y = _accumulated_rows(kernels, wide, outer, n, int(reverse))
    elif outer * inner < 1024 < n:  # one thread has a column: too few of them
        turned = movement.transpose(wide.reshape(outer, n, inner), (0, 2, 1))
        y = _accumulated_rows(kernels, turned, outer * inner, n, int(reverse))
        y = movement.transpose(y.reshape(outer, inner, n), (0, 2, 1))
    else:
        y = memory.empty(x.shape, wide.dtype)
        count = outer * inner
        launch(kernels[2], -(-count // 256), wide, y, count, n, inner, int(reverse))
    return as_dtype(y.reshape(x.shape), result_dtype)


def _accumulated_rows(kernels, x, rows, n, reverse):
    y = memory.empty((rows, n), x.dtype)
    parts, length = _parts_of(rows, n)
    totals = memory.empty((rows, parts), x.dtype)
    launch(kernels[0], (rows, parts), x, y, totals, n, length, reverse)
    if parts > 1:
        last = memory.empty((rows, 1), x.dtype)
        launch(kernels[0], (rows, 1), totals, totals, last, parts, parts, 0)
        launch(kernels[1], (rows, parts - 1), y, totals, n, length, parts, reverse)
    return y


def _parts_of(rows, n):
    """(in how many parts a row of n values is scanned, how many values each has)."""
    parts = min(-(-n // _SCAN_PART), _MOST_PARTS) if rows < 256 else 1
    length = -(-n // parts)
    return -(-n // length), length
