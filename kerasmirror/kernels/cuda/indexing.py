"""Elements read and added at positions: the gradients of indexing.

Additions at one place come in the order of the positions, so sums never change between runs.
A place beyond an axis wraps around: the GPU cannot raise an error for it in time.
"""

from __future__ import annotations

import math

import numpy as np

from .. import scalar
from . import elementwise, memory, movement, runs, strided
from .array import DeviceArray, axis_in
from .casting import as_dtype, cast
from .indices import add32, grid_index, split32, wrapped
from .kernel import kernel
from .keys import part_of
from .launch import blocks_for, launch
from .rows import Rows, place_in, place_of_row, row_and_column, rows

__all__ = ["add_at", "get_at", "put_along_axis_add", "set_at", "take_along_axis"]

_FORMULAS = {
    "add": scalar.add,
    "max": scalar.maximum,
    "min": scalar.minimum,
    "mul": scalar.multiply,
}
_HALVES = ("float16", "bfloat16")
# Every array begins at a multiple of this, on which kernels that load vectors count.
_ALIGNED = 256


def get_at(x, key):
    """x[key]; a view where the key asks for one stretch of memory that begins like an array."""
    part = part_of(x.shape, key)
    if part.arrays:
        return _gathered(x, part)
    return _read(x, part)


def _read(x, part):
    sizes, steps = strided.merged(part.shape, part.strides)
    if part.first * x.itemsize % _ALIGNED == 0 and steps in ((), (1,)):
        return x.view_at(part.first, part.shape)
    return strided.read(x, part.shape, part.strides, part.first)


def _gathered(x, part):
    rows, outer, inner, sizes = _with_rows(_read(x, part), part)
    places = runs.flat_places([a for _, a in part.arrays], sizes)
    y = movement.take(rows, places, 1)
    return y.reshape(*outer, *places.shape, *inner)


def _with_rows(x, part):
    """(x as (outer, places, inner), the sizes of outer, of inner, of the axes with indices)."""
    axes = [axis for axis, _ in part.arrays]
    before = [a for a in range(part.place) if a not in axes]
    after = [a for a in range(len(part.shape)) if a not in axes and a not in before]
    order = [*before, *axes, *after]
    if order != list(range(len(order))):
        x = movement.transpose(x, order)
    outer, inner = (tuple(part.shape[a] for a in group) for group in (before, after))
    sizes = [part.shape[a] for a in axes]
    form = math.prod(outer), math.prod(sizes), math.prod(inner)
    return x.reshape(form), outer, inner, sizes


def set_at(x, key, values):
    """A copy of x with x[key] = values; of several values for one place the last stays."""
    y = cast(x, x.dtype)
    put_at(y, key, values)
    return y


def put_at(y, key, values):
    """y[key] = values, in place."""
    part = part_of(y.shape, key)
    if part.arrays:
        _put(y, key, part, values, None)
    elif isinstance(values, DeviceArray):
        values = as_dtype(values, y.dtype)
        strided.write(y, _stretched(values, part.shape), part.strides, part.first)
    else:
        value = _number(values, y.dtype)
        strided.write_value(y, value, part.shape, part.strides, part.first)


def _number(value, dtype):
    if isinstance(value, (np.ndarray, list)) and np.ndim(value):
        raise TypeError(
            f"kerasmirror: an array on a GPU was given values of shape {np.shape(value)} that are "
            "on the CPU. Nothing moves by itself: `keras.ops.convert_to_tensor` brings them."
        )
    return np.asarray(value).astype(dtype)


def _stretched(values, shape):
    """`values` as of `shape`; axes of size 1 in front of what fits do not count, as in NumPy."""
    if values.shape == tuple(shape):
        return values
    while values.ndim > len(shape) and values.shape[0] == 1:
        values = values.reshape(values.shape[1:])
    return movement.broadcast_to(values, shape)


def add_at(shape, key, values, reduction="add", start=None):
    """Zeros of `shape`, or a copy of `start`, with `values` added at `key`.

    `reduction` "max", "min" and "mul" take the larger, the smaller or the product instead.
    """
    dtype = values.dtype if start is None else start.dtype
    if dtype.name in _HALVES:
        single = np.dtype(np.float32)
        wide = None if start is None else cast(start, single)
        return cast(add_at(shape, key, as_dtype(values, single), reduction, wide), dtype)
    y = memory.zeros(tuple(shape), dtype) if start is None else cast(start, dtype)
    part = part_of(y.shape, key)
    if part.arrays:
        _put(y, key, part, values, reduction)
    elif start is None and reduction == "add":
        put_at(y, key, values)
    else:
        own = strided.read(y, part.shape, part.strides, part.first)
        put_at(y, key, elementwise.map_scalar(_FORMULAS[reduction], own, values))
    return y


def _put(y, key, part, values, reduction):
    if _is_whole(y, part):
        rows, outer, inner, sizes = _with_rows(y, part)
        places = runs.flat_places([a for _, a in part.arrays], sizes)
        shape, n, width = (*outer, *places.shape, *inner), rows.shape[1], rows.shape[2]
    else:
        # Each element's own place: more memory, and right for any key.
        places = get_at(runs.numbered(y.shape), key)
        shape, n, width = places.shape, y.size, 1
    if isinstance(values, DeviceArray):
        values = _stretched(as_dtype(values, y.dtype), shape)
    else:
        values = elementwise.full(shape, _number(values, y.dtype), y.dtype)
    runs.put(y, places, values, n, width, reduction)


def _is_whole(y, part):
    """Whether slices leave all of y, and index arrays are for axes side by side, in order."""
    axes = [axis for axis, _ in part.arrays]
    beside = axes == list(range(axes[0], axes[0] + len(axes))) and part.place == axes[0]
    return beside and part.shape == y.shape and part.strides == strided.strides_of(y.shape)


# --- along an axis --------------------------------------------------------------------------


@kernel("T* I* T* R", T="u1 u2 u4 u8", I="i4 i8", R=Rows, traffic="r r w 0f")
def _take_along(x, indices, y, r):
    i = grid_index()
    if i < r.size:
        outer, _, c = row_and_column(i, r)
        y[i] = x[place_in(outer, wrapped(indices[i], r.n, r.by_n), c, r)]


def take_along_axis(x, indices, axis):
    """y[..., i, ...] = x[..., indices[..., i, ...], ...]; the other axes broadcast."""
    axis = axis_in(axis, x.ndim)
    x, indices = _of_one_form(x, movement.index_array(indices), axis)
    y = memory.empty(indices.shape, x.dtype)
    inner = math.prod(x.shape[axis + 1 :])
    if y.size and not x.size:
        raise movement.nothing_there(axis)
    r = rows(y.size, x.shape[axis], indices.shape[axis], inner)
    words = strided.words
    launch(_take_along, blocks_for(y.size), words(x), indices, words(y), *r)
    return y


def _of_one_form(x, indices, axis):
    """Both stretched to equal sizes on all axes but `axis`."""
    form = list(np.broadcast_shapes(_without(x.shape, axis), _without(indices.shape, axis)))
    stretched = []
    for a in (x, indices):
        shape = (*form[:axis], a.shape[axis], *form[axis + 1 :])
        stretched.append(a if a.shape == shape else movement.broadcast_to(a, shape))
    return stretched


def _without(shape, axis):
    return (*shape[:axis], 1, *shape[axis + 1 :])


@kernel("I* T* T* R", T="f4 f8 i4 i8", I="i4 i8", R=Rows, traffic="r r w 1f")
def _add_along(indices, values, y, r):
    # One thread owns a column of y, and adds in the order of the indices.
    i = grid_index()
    if i < r.size:
        outer, c = split32(i, r.inner, r.by_inner)
        source = place_of_row(outer, 0, c, r)
        k = 0
        while k < r.count:
            place = place_in(outer, wrapped(indices[source], r.n, r.by_n), c, r)
            y[place] = y[place] + values[source]
            source = add32(source, r.inner)
            k += 1


def put_along_axis_add(shape, indices, values, axis):
    """Zeros of `shape` with `values` added at `indices`: the gradient of take_along_axis."""
    axis = axis_in(axis, len(shape))
    if values.dtype.name in _HALVES:
        single = as_dtype(values, np.dtype(np.float32))
        return cast(put_along_axis_add(shape, indices, single, axis), values.dtype)
    y = memory.zeros(tuple(shape), values.dtype)
    indices = movement.index_array(indices)
    if _without(shape, axis) != _without(indices.shape, axis):
        return _added_where_stretched(y, indices, values, axis)
    values = _stretched(values, indices.shape)
    if values.size and not y.size:
        raise movement.nothing_there(axis)
    inner = math.prod(y.shape[axis + 1 :])
    columns = y.size // max(1, y.shape[axis])
    r = rows(columns, y.shape[axis], indices.shape[axis], inner)
    launch(_add_along, blocks_for(columns), indices, values, y, *r)
    return y


def _added_where_stretched(y, indices, values, axis):
    places = take_along_axis(runs.numbered(y.shape), indices, axis)
    values = _stretched(values, places.shape)
    runs.put(y, places, values, y.size, 1, "add")
    return y
