"""Norms of vectors and matrices."""

from __future__ import annotations

import math

from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.ops import shapes
from kerasmirror.ops.linalg import singular_values
from kerasmirror.ops.numpy import comparison, elementwise, reduction, shape
from kerasmirror.ops.tensor import float_tensor, to_tensor

_MATRIX_ORDERS = (None, "fro", "nuc", math.inf, -math.inf, 1, -1, 2, -2)


@export("ops.norm", "ops.linalg.norm")
def norm(x, ord=None, axis=None, keepdims=False):
    """The norm of the vectors (one axis) or matrices (two axes) over `axis`; None: all axes.

    Vectors: `sum(|x|^ord)^(1/ord)`, 2 by default; inf and -inf: the largest and smallest |x|; 0:
    the number of values that are not 0. Matrices: "fro" (the default) as a vector, "nuc" the sum
    of the singular values, 2 and -2 the largest and smallest of them, 1 and -1 the largest and
    smallest sum of |x| over a column, inf and -inf over a row.
    Raises: ValueError for another `ord`, or more than two axes.
    """
    x = float_tensor(x)
    rank = len(x.shape)
    axes = shapes.canonical_axes(axis, rank, "keras.ops.norm")
    if isinstance(ord, str):
        checks.one_of(ord, ("fro", "nuc"), "ord", owner="keras.ops.norm")
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) != 2:
        if axis is None and ord is None:
            return _length(x, axes, keepdims)
        checks.fail("keras.ops.norm", "axis", "one axis or two", axis)
    checks.one_of(ord, _MATRIX_ORDERS, "ord", owner="keras.ops.norm")
    return _matrix_norm(x, ord, axes, keepdims)


def _length(x, axes, keepdims):
    return elementwise.sqrt(reduction.sum(elementwise.square(x), axes, keepdims))


def _vector_norm(x, ord, axis, keepdims):
    if isinstance(ord, str):
        checks.fail("keras.ops.norm", "ord", "a number for vectors", ord)
    if ord is None or ord == 2:
        return _length(x, axis, keepdims)
    if ord == 0:
        counted = to_tensor(comparison.not_equal(x, 0.0), x.dtype)
        return reduction.sum(counted, axis, keepdims)
    sizes = elementwise.absolute(x)
    if ord == math.inf:
        return reduction.max(sizes, axis, keepdims)
    if ord == -math.inf:
        return reduction.min(sizes, axis, keepdims)
    total = reduction.sum(elementwise.power(sizes, float(ord)), axis, keepdims)
    return elementwise.power(total, 1.0 / ord)


def _matrix_norm(x, ord, axes, keepdims):
    if ord in (None, "fro"):
        return _length(x, axes, keepdims)
    choose = reduction.min if ord in (-1, -2, -math.inf) else reduction.max
    if ord in ("nuc", 2, -2):
        # LAPACK has no halves.
        wide = to_tensor(x, "float64" if x.dtype == "float64" else "float32")
        singular = singular_values(shape.moveaxis(wide, axes, (-2, -1)))
        y = reduction.sum(singular, -1) if ord == "nuc" else choose(singular, -1)
        y = to_tensor(y, x.dtype)
    else:
        summed = axes[0] if ord in (1, -1) else axes[1]
        sums = reduction.sum(elementwise.absolute(x), summed, keepdims=True)
        y = shape.squeeze(choose(sums, axes[0] + axes[1] - summed, keepdims=True), axes)
    return shape.expand_dims(y, tuple(sorted(axes))) if keepdims else y
