"""NumPy's functions on arrays of a GPU: those that have kernels, by `__array_function__`."""

from __future__ import annotations

import functools
import inspect

import numpy as np

from . import indexing, memory, movement, runs
from .array import DeviceArray, axis_in
from .array_arithmetic import (
    copied_to,
    cumulated,
    dot,
    k,
    reduced,
    squeeze,
    swapaxes,
    without_kernel,
)
from .casting import as_dtype, cast
from .elementwise import clip, full, where

__all__ = []


def _like(value):
    def make(x, dtype=None, shape=None, **_):
        dtype = np.dtype(x.dtype if dtype is None else dtype)
        return full(x.shape if shape is None else shape, value, dtype)

    return make


def _full_like(x, fill_value, dtype=None, **_):
    return full(x.shape, fill_value, np.dtype(x.dtype if dtype is None else dtype))


def _empty_like(x, dtype=None, **_):
    return memory.empty(x.shape, x.dtype if dtype is None else dtype)


def _reduction(name):
    def run(x, axis=None, dtype=None, keepdims=False):
        if dtype is None:
            return reduced(name, x, axis, keepdims)
        return as_dtype(reduced(name, cast(x, dtype), axis, keepdims), np.dtype(dtype))

    return run


def _concatenate(arrays, axis=0):
    if axis is None:
        arrays, axis = [a.reshape(-1) for a in arrays], 0
    return movement.concatenate(_of_one_dtype(arrays), axis)


def _stack(arrays, axis=0):
    return movement.stack(_of_one_dtype(arrays), axis)


def _of_one_dtype(arrays):
    if not all(isinstance(a, DeviceArray) for a in arrays):
        raise TypeError(
            "kerasmirror: arrays on the CPU and on a GPU were to be joined. Nothing moves by "
            "itself: `keras.ops.convert_to_tensor` brings those of the CPU."
        )
    dtype = np.result_type(*(a.dtype for a in arrays))
    return [a.astype(dtype, copy=False) for a in arrays]


def _moveaxis(x, source, destination):
    sources, targets = (
        [axis_in(a, x.ndim) for a in np.atleast_1d(axes).tolist()] for axes in (source, destination)
    )
    order = [a for a in range(x.ndim) if a not in sources]
    for target, own in sorted(zip(targets, sources, strict=True)):
        order.insert(target, own)
    return x if order == list(range(x.ndim)) else movement.transpose(x, order)


def _expand_dims(x, axis):
    axes = np.atleast_1d(axis).tolist()
    rank = x.ndim + len(axes)
    new = {axis_in(a, rank) for a in axes}
    own = iter(x.shape)
    return x.reshape(tuple(1 if a in new else next(own) for a in range(rank)))


def _split(x, indices_or_sections, axis=0):
    n, cuts = x.shape[axis_in(axis, x.ndim)], indices_or_sections
    if isinstance(cuts, (int, np.integer)):
        if n % cuts:
            raise ValueError("array split does not result in an equal division")
        sizes = [n // int(cuts)] * int(cuts)
    else:
        ends = [0, *(min(int(c), n) for c in cuts), n]
        sizes = np.diff(ends).tolist()
    return movement.split(x, sizes, axis)


def _pad(x, pad_width, mode="constant", constant_values=0):
    return movement.pad(x, np.broadcast_to(pad_width, (x.ndim, 2)).tolist(), constant_values, mode)


def _last_axis(function):
    def run(x, axis=-1, **options):
        if options.pop("kind", "stable") not in ("stable", "quicksort", "mergesort", None):
            raise without_kernel("numpy.sort of that kind")
        moved = _moveaxis(x, axis, -1)
        return _moveaxis(function(moved), -1, axis)

    return run


def _put_along_axis(x, indices, values, axis):
    places = indexing.take_along_axis(runs.numbered(x.shape), indices, axis)
    if isinstance(values, DeviceArray):
        values = movement.broadcast_to(values, places.shape).reshape(-1)
    indexing.put_at(x.reshape(-1), (places.reshape(-1),), values)


def _triangle(lower):
    def run(x, k=0):
        rows, columns = x.shape[-2:]
        i, j = (runs.numbered((n,)) for n in (rows, columns))
        i = i.reshape(rows, 1)
        keep = (j - i) <= k if lower else (j - i) >= k
        return where(keep, x, 0)

    return run


def _result_type(*args):
    return np.result_type(*(a.dtype if isinstance(a, DeviceArray) else a for a in args))


def _where(condition, *choices):
    if len(choices) != 2:
        raise without_kernel("numpy.where of one argument")
    return where(condition, *choices)


def _broadcast_arrays(*arrays):
    shape = np.broadcast_shapes(*(a.shape for a in arrays))
    return tuple(a if a.shape == shape else movement.broadcast_to(a, shape) for a in arrays)


def _places_by(function):
    """A function of places that are counted first: the host has to wait for how many there are."""

    def run(x):
        found = function(x.to_host())
        if isinstance(found, tuple):
            return tuple(memory.to_device(places) for places in found)
        return memory.to_device(found)

    return run


def _outer(a, b):
    return a.reshape(-1, 1) * b.reshape(1, -1)


def _copyto(target, source, casting="same_kind", where=True):
    if where is not True:
        raise without_kernel("numpy.copyto with where")
    copied_to(target, source)


_var = _reduction("var")


def _std(x, axis=None, dtype=None, keepdims=False):
    return np.sqrt(_var(x, axis, dtype, keepdims))


def _clip(x, a_min=None, a_max=None):
    if a_min is None or a_max is None:
        x = x if a_min is None else np.maximum(x, a_min)
        return x if a_max is None else np.minimum(x, a_max)
    return clip(x, a_min, a_max)


FUNCTIONS = {
    np.sum: _reduction("sum"),
    np.prod: _reduction("prod"),
    np.max: _reduction("max"),
    np.min: _reduction("min"),
    np.mean: _reduction("mean"),
    np.var: _var,
    np.std: _std,
    np.all: _reduction("all"),
    np.any: _reduction("any"),
    np.argmax: _reduction("argmax"),
    np.argmin: _reduction("argmin"),
    np.cumsum: functools.partial(cumulated, "cumsum"),
    np.cumprod: functools.partial(cumulated, "cumprod"),
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x, axis=None: x.size if axis is None else x.shape[axis_in(axis, x.ndim)],
    np.reshape: lambda x, shape: x.reshape(shape),
    np.ravel: lambda x: x.reshape(-1),
    np.copy: lambda x: x.copy(),
    np.transpose: movement.transpose,
    np.moveaxis: _moveaxis,
    np.swapaxes: swapaxes,
    np.expand_dims: _expand_dims,
    np.squeeze: squeeze,
    np.concatenate: _concatenate,
    np.stack: _stack,
    np.split: _split,
    np.broadcast_to: movement.broadcast_to,
    np.broadcast_arrays: _broadcast_arrays,
    np.pad: _pad,
    np.flip: movement.flip,
    np.roll: movement.roll,
    np.tile: movement.tile,
    np.repeat: movement.repeat,
    np.take: movement.take,
    np.take_along_axis: indexing.take_along_axis,
    np.put_along_axis: _put_along_axis,
    np.sort: _last_axis(lambda x: k.sort(x)),
    np.argsort: _last_axis(lambda x: cast(k.argsort(x), np.int64)),
    np.searchsorted: lambda a, v, side="left": cast(k.searchsorted(a, v, side), np.int64),
    np.where: _where,
    np.nonzero: _places_by(np.nonzero),
    np.flatnonzero: _places_by(np.flatnonzero),
    np.argwhere: _places_by(np.argwhere),
    np.clip: _clip,
    np.tril: _triangle(lower=True),
    np.triu: _triangle(lower=False),
    np.outer: _outer,
    np.dot: dot,
    np.copyto: _copyto,
    np.zeros_like: _like(0),
    np.ones_like: _like(1),
    np.full_like: _full_like,
    np.empty_like: _empty_like,
    np.result_type: _result_type,
    np.iscomplexobj: lambda x: False,
    np.real: lambda x: x.real,
    np.imag: lambda x: x.imag,
}


def _array_function(self, function, types, args, options):
    found = FUNCTIONS.get(function)
    if found is None:
        raise without_kernel(f"numpy.{function.__name__}")
    try:
        return found(*args, **options)
    except TypeError:
        if _takes(found, args, options):
            raise
    named = ", ".join(sorted(options)) or f"{len(args)} arguments"
    raise without_kernel(f"numpy.{function.__name__} with {named}")


def _takes(function, args, options):
    try:
        inspect.signature(function).bind(*args, **options)
    except TypeError:
        return False
    return True


DeviceArray.__array_function__ = _array_function
DeviceArray.nonzero = FUNCTIONS[np.nonzero]
