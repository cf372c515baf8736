"""Arrays moved, not computed: transposes, padding, joining, gathering, rolling, repeating.

Each result is fresh and contiguous. Kernels move words of 1, 2, 4 or 8 bytes, whatever they mean.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, uint8, uint16, uint32, uint64

from . import memory, strided
from .array import DeviceArray, axis_in
from .casting import as_dtype
from .indices import add32, grid_index, mul32, quotient, remainder, wrapped
from .kernel import kernel
from .launch import blocks_for, launch
from .rows import Rows, place_in, row_and_column, rows
from .strided import places, strides_of, words

__all__ = [
    "broadcast_to",
    "concatenate",
    "contiguous",
    "flip",
    "pad",
    "repeat",
    "roll",
    "split",
    "stack",
    "take",
    "take_rows",
    "tile",
    "transpose",
]

_TYPES = "u1 u2 u4 u8"


def broadcast_to(x, shape):
    """x stretched to `shape`."""
    shape = (int(shape),) if isinstance(shape, (int, np.integer)) else tuple(shape)
    if np.broadcast_shapes(x.shape, shape) != shape:
        raise ValueError(f"cannot broadcast an array of shape {x.shape} to shape {shape}")
    return strided.read(x, shape, strided.broadcast_strides(x.shape, shape))


def contiguous(x):
    """x itself: values on the device always lie side by side."""
    return x


def concatenate(arrays, axis=0):
    """The arrays, all of one dtype, one after the other along `axis`."""
    first = arrays[0]
    axis = axis_in(axis, first.ndim)
    shape = list(first.shape)
    shape[axis] = sum(a.shape[axis] for a in arrays)
    y = memory.empty(tuple(shape), first.dtype)
    strides, at = strides_of(shape), 0
    for a in arrays:
        strided.write(y, a, strides, at * strides[axis])
        at += a.shape[axis]
    return y


def stack(arrays, axis=0):
    """The arrays, all of one shape and dtype, along a new axis."""
    rank = arrays[0].ndim + 1
    axis = axis_in(axis, rank)
    return concatenate([a.reshape(*a.shape[:axis], 1, *a.shape[axis:]) for a in arrays], axis)


def split(x, sizes, axis=0):
    """x cut along `axis` into pieces of `sizes`: the inverse of concatenate."""
    axis = axis_in(axis, x.ndim)
    strides, at, pieces = strides_of(x.shape), 0, []
    for size in sizes:
        shape = (*x.shape[:axis], int(size), *x.shape[axis + 1 :])
        pieces.append(strided.read(x, shape, strides, at * strides[axis]))
        at += int(size)
    return pieces


def flip(x, axis=None):
    """x with `axis` (None: every axis) in reverse order."""
    axes = range(x.ndim) if axis is None else np.atleast_1d(axis)
    strides, first = list(strides_of(x.shape)), 0
    for a in {axis_in(a, x.ndim) for a in axes}:
        first += max(0, x.shape[a] - 1) * strides[a]
        strides[a] = -strides[a]
    return strided.read(x, x.shape, strides, first if x.size else 0)


def tile(x, repeats):
    """x laid side by side `repeats` times along each axis."""
    repeats = [int(n) for n in np.atleast_1d(repeats)]
    rank = max(x.ndim, len(repeats))
    repeats = [1] * (rank - len(repeats)) + repeats
    shape = (1,) * (rank - x.ndim) + x.shape
    # Each axis is two: which copy, which does not matter, and where in it.
    sizes, strides = [], []
    for n, step, count in zip(shape, strides_of(shape), repeats, strict=True):
        sizes += [count, n]
        strides += [0, step]
    y = strided.read(x, tuple(sizes), strides)
    return y.reshape(tuple(n * count for n, count in zip(shape, repeats, strict=True)))


def repeat(x, repeats, axis=None):
    """Each place of `axis` (None: of the flat array) `repeats` times in a row."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis_in(axis, x.ndim)
    if isinstance(repeats, DeviceArray):
        repeats = repeats.to_host()  # the result's size has to be known
    repeats = np.asarray(repeats)
    if repeats.size > 1:
        return take(x, np.repeat(np.arange(x.shape[axis], dtype=np.int32), repeats), axis)
    count, strides = int(repeats.reshape(-1)[0]), strides_of(x.shape)
    shape = (*x.shape[: axis + 1], count, *x.shape[axis + 1 :])
    y = strided.read(x, shape, [*strides[: axis + 1], 0, *strides[axis + 1 :]])
    return y.reshape(*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1 :])


# --- transposes -----------------------------------------------------------------------------


def transpose(x, axes=None):
    """x with its axes in the order `axes` (None: reversed)."""
    axes = range(x.ndim)[::-1] if axes is None else [axis_in(a, x.ndim) for a in axes]
    own = strides_of(x.shape)
    shape, strides = tuple(x.shape[a] for a in axes), [own[a] for a in axes]
    sizes, reads = strided.merged(shape, tuple(strides))
    runs = [i for i, step in enumerate(reads) if step == 1]
    # Worth a tile where both rows are long enough for a warp not to read mostly in vain.
    if not runs or runs[0] == len(sizes) - 1 or len(sizes) > 4:
        return strided.read(x, shape, strides)
    c, r = runs[0], len(sizes) - 1
    if min(sizes[c], sizes[r]) < 4:
        return strided.read(x, shape, strides)
    y = memory.empty(shape, x.dtype)
    writes = strides_of(sizes)
    others = [i for i in range(len(sizes)) if i not in (c, r)]
    others = [None] * (2 - len(others)) + others
    outer, inner = (1 if i is None else sizes[i] for i in others)
    steps = [0 if i is None else by[i] for by in (reads, writes) for i in others]
    tiles_r, tiles_c = blocks_for(sizes[r], 32), blocks_for(sizes[c], 32)
    launch(
        TRANSPOSES[x.dtype.itemsize],
        tiles_r * tiles_c * outer * inner,
        words(x),
        words(y),
        *(sizes[r], sizes[c], tiles_r, tiles_c, inner, reads[r], writes[c]),
        *steps,
    )
    return y


def _transposing(name, word):
    """The kernel for words of one type: its shared memory has to name it.

    x[..., r, ..., c] and y[..., c, ..., r]: c runs on in x, r in y. A block carries a tile of 32 x
    32 over, read along one and written along the other; a 33rd column keeps banks apart.
    """

    def carry(x, y, rows, columns, row_tiles, column_tiles, inner, xr, yc, xo, xi, yo, yi):
        tile = cuda.shared.array((32, 33), word)
        block = cuda.blockIdx.x
        batch = quotient(block, column_tiles)
        c0 = mul32(remainder(block, column_tiles), 32)
        r0 = mul32(remainder(batch, row_tiles), 32)
        batch = quotient(batch, row_tiles)
        outer, batch = quotient(batch, inner), remainder(batch, inner)
        lane, line = remainder(cuda.threadIdx.x, 32), quotient(cuda.threadIdx.x, 32)
        source = add32(mul32(outer, xo), mul32(batch, xi))
        target = add32(mul32(outer, yo), mul32(batch, yi))
        for k in range(0, 32, 8):
            r, c = add32(r0, add32(line, k)), add32(c0, lane)
            if r < rows and c < columns:
                tile[add32(line, k), lane] = x[add32(source, add32(mul32(r, xr), c))]
        cuda.syncthreads()
        for k in range(0, 32, 8):
            r, c = add32(r0, lane), add32(c0, add32(line, k))
            if r < rows and c < columns:
                y[add32(target, add32(mul32(c, yc), r))] = tile[lane, add32(line, k)]

    carry.__name__ = name
    return kernel(f"{_CODES[word]}* {_CODES[word]}*" + " i4" * 11, traffic="r w 0f")(carry)


_CODES = {uint8: "u1", uint16: "u2", uint32: "u4", uint64: "u8"}
TRANSPOSES = {
    word.bitwidth // 8: _transposing(f"_transpose_{word.bitwidth}", word) for word in _CODES
}


# --- padding --------------------------------------------------------------------------------


def pad(x, widths, value=0, mode="constant"):
    """x with (before, after) more places on each axis: `value`; no other mode of filling."""
    if mode != "constant":
        raise NotImplementedError(
            f"kerasmirror: pad with mode={mode!r} has no CUDA kernel. Run it on the CPU: with "
            'keras.device("cpu:0"): ..., on tensors made there (`keras.ops.convert_to_numpy` '
            "brings them)."
        )
    widths = [(int(before), int(after)) for before, after in widths]
    shape = tuple(b + n + a for n, (b, a) in zip(x.shape, widths, strict=True))
    y = memory.empty(shape, x.dtype)
    sizes, before, inside = _padded_axes(x.shape, shape, widths)
    word = strided.word_of(value, x.dtype)
    if len(sizes) > 4:
        strided.fill(y, value)
        steps = strides_of(shape)
        first = sum(b * step for (b, _), step in zip(widths, steps, strict=True))
        strided.write(y, x, steps, first)
        return y
    axes, missing = strided.four(tuple(sizes)), 4 - len(sizes)
    before, inside = [0] * missing + before, [1] * missing + inside
    launch(_pad, blocks_for(y.size), words(x), words(y), word, y.size, *axes, *before, *inside)
    return y


def _padded_axes(shape, padded, widths):
    """(sizes, before, sizes inside), an axis that gets nothing being one with that before it."""
    sizes, before, inside = [1], [0], [1]
    for n, m, (b, _) in zip(shape, padded, widths, strict=True):
        if n == m:
            sizes[-1] *= m
            before[-1] *= n
            inside[-1] *= n
        else:
            sizes.append(m)
            before.append(b)
            inside.append(n)
    return sizes, before, inside


@kernel(
    *(f"u{b}* u{b}* {'u8' if b == 8 else 'u4'} i4 A S S" for b in (1, 2, 4, 8)),
    A=strided.Axes,
    S=strided.Steps,
    traffic="r w 0f",
)
def _pad(x, y, value, n, axes, before, inside):
    i = grid_index()
    if i < n:
        a, b, c, d = places(i, axes)
        a, b = add32(a, -before.s0), add32(b, -before.s1)
        c, d = add32(c, -before.s2), add32(d, -before.s3)
        in_front = 0 <= a < inside.s0 and 0 <= b < inside.s1
        if in_front and 0 <= c < inside.s2 and 0 <= d < inside.s3:
            row = add32(mul32(add32(mul32(a, inside.s1), b), inside.s2), c)
            y[i] = x[add32(mul32(row, inside.s3), d)]
        else:
            y[i] = value


# --- gathering ------------------------------------------------------------------------------


def index_array(indices):
    """Indices as an int32 or int64 array on the device; they may come from the host."""
    if not isinstance(indices, DeviceArray):
        indices = np.asarray(indices)
        if indices.dtype not in (np.int32, np.int64):
            indices = indices.astype(np.int32)
        return memory.to_device(indices)
    if indices.dtype in (np.int32, np.int64):
        return indices
    return as_dtype(indices, np.dtype(np.int32 if indices.dtype.itemsize < 4 else np.int64))


def take(x, indices, axis=None):
    """x[indices] along `axis` (None: of the flat array); the indices are within [-n, n)."""
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = axis_in(axis, x.ndim)
    indices = index_array(indices)
    y = memory.empty((*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype)
    inner = math.prod(x.shape[axis + 1 :])
    if y.size and not x.shape[axis]:
        raise nothing_there(axis)
    wide = strided.widest((x, y), (inner,))
    r = rows(y.size // wide, x.shape[axis], indices.size, inner // wide)
    x, y_ = strided.in_words(x, wide), strided.in_words(y, wide)
    launch(_take, blocks_for(y_.size), x, indices, y_, *r)
    return y


def nothing_there(axis):
    """The IndexError for values that are asked of an axis of size 0: there is no memory to read."""
    return IndexError(f"kerasmirror: axis {axis} has no places to index. Received: size 0")


def take_rows(table, indices):
    """table[indices] for a (rows, width) table: an embedding."""
    return take(table, indices, 0)


@kernel("T* I* T* R", T=_TYPES, I="i4 i8", R=Rows, traffic="r - w 0f")
def _take(x, indices, y, r):
    i = grid_index()
    if i < r.size:
        outer, s, c = row_and_column(i, r)
        y[i] = x[place_in(outer, wrapped(indices[s], r.n, r.by_n), c, r)]


def roll(x, shift, axis=None):
    """x with its places moved on by `shift` along `axis`, the last ones to the front."""
    if axis is None:
        return roll(x.reshape(-1), shift, 0).reshape(x.shape)
    shifts, axes = np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis))
    for by, a in zip(shifts.tolist(), axes.tolist(), strict=True):
        a = axis_in(a, x.ndim)
        n, inner = x.shape[a], math.prod(x.shape[a + 1 :])
        y = memory.empty(x.shape, x.dtype)
        moved = by % n if n else 0
        launch(_roll, blocks_for(y.size), words(x), words(y), *rows(y.size, n, n, inner), moved)
        x = y
    return x


@kernel("T* T* R i4", T=_TYPES, R=Rows, traffic="r w 0f")
def _roll(x, y, r, by):
    i = grid_index()
    if i < r.size:
        outer, s, c = row_and_column(i, r)
        source = add32(s, -by)
        y[i] = x[place_in(outer, add32(source, r.n) if source < 0 else source, c, r)]
