"""Reductions that leave NaN out."""

from __future__ import annotations

import math

from kerasmirror._export import export
from kerasmirror.ops.numpy import comparison, elementwise, reduction
from kerasmirror.ops.tensor import float_tensor, is_float, to_tensor


def _without_nan(x, value):
    return elementwise.select_by(comparison.isnan(x), value, x) if is_float(x) else x


@export("ops.nansum", "ops.numpy.nansum")
def nansum(x, axis=None, keepdims=False):
    """The sum over `axis` of what is not NaN."""
    return reduction.sum(_without_nan(to_tensor(x), 0.0), axis, keepdims)


@export("ops.nanprod", "ops.numpy.nanprod")
def nanprod(x, axis=None, keepdims=False):
    """The product over `axis` of what is not NaN."""
    return reduction.prod(_without_nan(to_tensor(x), 1.0), axis, keepdims)


@export("ops.nanmean", "ops.numpy.nanmean")
def nanmean(x, axis=None, keepdims=False):
    """The mean over `axis` of what is not NaN; NaN where nothing is left."""
    x = to_tensor(x)
    if not is_float(x):
        return reduction.mean(x, axis, keepdims)
    number = to_tensor(comparison.logical_not(comparison.isnan(x)), x.dtype)
    return elementwise.divide(nansum(x, axis, keepdims), reduction.sum(number, axis, keepdims))


@export("ops.nanvar", "ops.numpy.nanvar")
def nanvar(x, axis=None, keepdims=False):
    """The variance over `axis` of what is not NaN."""
    x = float_tensor(x)
    missing = comparison.isnan(x)
    distance = elementwise.subtract(x, nanmean(x, axis, keepdims=True))
    squares = elementwise.square(elementwise.select_by(missing, 0.0, distance))
    count = to_tensor(comparison.logical_not(missing), x.dtype)
    return elementwise.divide(
        reduction.sum(squares, axis, keepdims), reduction.sum(count, axis, keepdims)
    )


@export("ops.nanstd", "ops.numpy.nanstd")
def nanstd(x, axis=None, keepdims=False):
    """The standard deviation over `axis` of what is not NaN."""
    return elementwise.sqrt(nanvar(x, axis, keepdims))


def _extremum(x, axis, keepdims, reduce, least):
    x = to_tensor(x)
    if not is_float(x):
        return reduce(x, axis, keepdims)
    missing = comparison.isnan(x)
    found = reduce(elementwise.select_by(missing, least, x), axis, keepdims)
    nothing = reduction.all(missing, axis, keepdims)
    return elementwise.select_by(nothing, math.nan, found)


@export("ops.nanmax", "ops.numpy.nanmax")
def nanmax(x, axis=None, keepdims=False):
    """The largest value over `axis` that is not NaN; NaN where nothing is left."""
    return _extremum(x, axis, keepdims, reduction.max, -math.inf)


@export("ops.nanmin", "ops.numpy.nanmin")
def nanmin(x, axis=None, keepdims=False):
    """The smallest value over `axis` that is not NaN; NaN where nothing is left."""
    return _extremum(x, axis, keepdims, reduction.min, math.inf)


def _place(x, axis, keepdims, find, least):
    x = to_tensor(x)
    if not is_float(x):
        return find(x, axis, keepdims)
    missing = comparison.isnan(x)
    place = find(elementwise.select_by(missing, least, x), axis, keepdims)
    nothing = reduction.all(missing, axis, keepdims)
    return elementwise.select_by(nothing, to_tensor(-1, "int32"), place)


@export("ops.nanargmax", "ops.numpy.nanargmax")
def nanargmax(x, axis=None, keepdims=False):
    """Where the largest value that is not NaN is; -1 where nothing is left."""
    return _place(x, axis, keepdims, reduction.argmax, -math.inf)


@export("ops.nanargmin", "ops.numpy.nanargmin")
def nanargmin(x, axis=None, keepdims=False):
    """Where the smallest value that is not NaN is; -1 where nothing is left."""
    return _place(x, axis, keepdims, reduction.argmin, math.inf)


@export("ops.nancumsum", "ops.numpy.nancumsum")
def nancumsum(x, axis=None, dtype=None):
    """Cumulative sums, with NaN as 0 (and infinities as the largest floats, as in Keras)."""
    return reduction.cumsum(elementwise.nan_to_num(x), axis, dtype)


@export("ops.nancumprod", "ops.numpy.nancumprod")
def nancumprod(x, axis=None, dtype=None):
    """Cumulative products, with NaN as 1 (and infinities as the largest floats, as in Keras)."""
    return reduction.cumprod(elementwise.nan_to_num(x, nan=1.0), axis, dtype)
