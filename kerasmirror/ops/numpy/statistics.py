"""Quantiles, correlations, differences and integrals of sampled values."""

from __future__ import annotations

import re

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks
from kerasmirror.core.device import contiguous
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import comparison, contraction, elementwise, reduction, repetition, shape
from kerasmirror.ops.numpy.indexing import diagonal
from kerasmirror.ops.tensor import float_tensor, operands, to_array, to_tensor

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest")


# --- quantiles ------------------------------------------------------------------------------


def _quantile_spec(x, q, *, axes, method, keepdims, skip_nan):
    return (*q.shape, *shapes.reduced(x.shape, axes, keepdims)), x.dtype


@primitive("quantile", spec=_quantile_spec)
def _quantile(k, x, q, *, axes, method, keepdims, skip_nan):
    kept = tuple([axis for axis in range(x.ndim) if axis not in axes])
    order = (*kept, *axes)
    moved = x.transpose(order)
    rows = moved.reshape(*moved.shape[: len(kept)], -1)
    ranks = k.argsort(rows)  # NaN comes last
    missing = np.isnan(rows).sum(-1)
    count = (rows.shape[-1] - missing) if skip_nan else np.full(missing.shape, rows.shape[-1])
    # (number of quantiles, rows...): the two neighbours of each quantile and their weights
    levels = q.reshape(-1, *[1] * count.ndim).astype("float64")
    low, high, weight = _neighbours(levels, count, method)
    weight = weight.astype(x.dtype)
    first, second = (
        np.take_along_axis(ranks, np.moveaxis(place, 0, -1), -1) for place in (low, high)
    )
    weight = np.moveaxis(weight, 0, -1)
    below, above = (np.take_along_axis(rows, place, -1) for place in (first, second))
    with np.errstate(invalid="ignore"):
        # Infinities have no weighted mean, but are one where they meet themselves.
        y = np.where(below == above, below, below * (1 - weight) + above * weight)
    undefined = count == 0 if skip_nan else missing > 0
    y[undefined] = np.nan
    form = (*q.shape, *shapes.reduced(x.shape, axes, keepdims))

    def backward(dy, needs):
        dy = np.moveaxis(dy.reshape(-1, *count.shape), 0, -1)
        last = rows.ndim - 1
        d_rows = k.put_along_axis_add(rows.shape, first, dy * (1 - weight), last)
        d_rows = d_rows + k.put_along_axis_add(rows.shape, second, dy * weight, last)
        back = [order.index(axis) for axis in range(x.ndim)]
        return d_rows.reshape(moved.shape).transpose(back), None

    return contiguous(np.moveaxis(y, -1, 0)).reshape(form), backward


@_quantile.forward
def _quantile_tangent(k, inputs, changes, y, *, axes, method, keepdims, skip_nan):
    # The mean of two sorted values changes by that of their changes.
    (x, q), (dx, _) = inputs, changes
    kept = tuple([axis for axis in range(x.ndim) if axis not in axes])
    rows, changed = (
        part.transpose(*kept, *axes).reshape(*[x.shape[axis] for axis in kept], -1)
        for part in (x, dx)
    )
    ranks, missing = k.argsort(rows), np.isnan(rows).sum(-1)
    count = rows.shape[-1] - missing if skip_nan else np.full(missing.shape, rows.shape[-1])
    levels = q.reshape(-1, *[1] * count.ndim).astype("float64")
    low, high, weight = (np.moveaxis(p, 0, -1) for p in _neighbours(levels, count, method))
    first, second = (
        np.take_along_axis(changed, np.take_along_axis(ranks, place, -1), -1)
        for place in (low, high)
    )
    return np.moveaxis(first * (1 - weight) + second * weight, -1, 0).reshape(y.shape)


def _neighbours(levels, count, method):
    """Places of the sorted values below and above each level, and the weight of the upper one."""
    last = np.maximum(count - 1, 0)
    exact = last * levels
    low, high = np.floor(exact).astype("int64"), np.ceil(exact).astype("int64")
    if method == "lower":
        high = low
    elif method == "higher":
        low = high
    elif method == "nearest":
        low = high = np.rint(exact).astype("int64")
    weight = np.full(exact.shape, 0.5) if method == "midpoint" else exact - low
    return np.clip(low, 0, last), np.clip(high, 0, last), np.where(low == high, 0.0, weight)


def _quantiles(x, q, axis, method, keepdims, owner, skip_nan=False):
    checks.one_of(method, _METHODS, "method", owner=owner)
    x = float_tensor(x)
    q = to_tensor(to_tensor(q), "float64")
    axes = shapes.canonical_axes(axis, len(x.shape), owner)
    return _quantile(x, q, axes=axes, method=method, keepdims=keepdims, skip_nan=skip_nan)


@export("ops.quantile", "ops.numpy.quantile")
def quantile(x, q, axis=None, method="linear", keepdims=False):
    """The values below which a share `q` (0 to 1) of the values over `axis` lies.

    Between two values `method` interpolates ("linear"), or takes the "lower", "higher",
    "nearest" or the "midpoint". The axes of `q` come first. NaN among the values gives NaN.
    """
    return _quantiles(x, q, axis, method, keepdims, "keras.ops.quantile")


@export("ops.nanquantile", "ops.numpy.nanquantile")
def nanquantile(x, q, axis=None, method="linear", keepdims=False):
    """`quantile` of what is not NaN."""
    return _quantiles(x, q, axis, method, keepdims, "keras.ops.nanquantile", skip_nan=True)


@export("ops.percentile", "ops.numpy.percentile")
def percentile(x, q, axis=None, method="linear", keepdims=False):
    """`quantile` with `q` from 0 to 100."""
    share = elementwise.divide(to_tensor(q), 100.0)
    return _quantiles(x, share, axis, method, keepdims, "keras.ops.percentile")


@export("ops.nanpercentile", "ops.numpy.nanpercentile")
def nanpercentile(x, q, axis=None, method="linear", keepdims=False):
    """`percentile` of what is not NaN."""
    share = elementwise.divide(to_tensor(q), 100.0)
    return _quantiles(x, share, axis, method, keepdims, "keras.ops.nanpercentile", skip_nan=True)


@export("ops.median", "ops.numpy.median")
def median(x, axis=None, keepdims=False):
    """The middle value over `axis`, or the mean of the two in the middle."""
    return _quantiles(x, 0.5, axis, "linear", keepdims, "keras.ops.median")


@export("ops.nanmedian", "ops.numpy.nanmedian")
def nanmedian(x, axis=None, keepdims=False):
    """`median` of what is not NaN."""
    return _quantiles(x, 0.5, axis, "linear", keepdims, "keras.ops.nanmedian", skip_nan=True)


# --- correlation ----------------------------------------------------------------------------


@export("ops.corrcoef", "ops.numpy.corrcoef")
def corrcoef(x):
    """Pearson's correlation of each two rows of `x`."""
    x = float_tensor(x)
    centered = elementwise.subtract(x, reduction.mean(x, -1, keepdims=True))
    products = contraction.tensordot(centered, centered, ([-1], [-1]))
    if not products.shape:
        return elementwise.divide(products, products)
    scale = elementwise.sqrt(diagonal(products))
    scaled = elementwise.divide(products, shape.expand_dims(scale, 1))
    return elementwise.clip(elementwise.divide(scaled, scale), -1.0, 1.0)


@export("ops.correlate", "ops.numpy.correlate")
def correlate(x1, x2, mode="valid"):
    """`sum_j x1[i + j] x2[j]` for every shift i: where both overlap in full ("valid"), at all
    ("full"), or the middle of those, as long as the longer operand ("same").
    """
    checks.one_of(mode, ("valid", "same", "full"), "mode", owner="keras.ops.correlate")
    x1, x2 = operands(x1, x2)
    wide = {"int64": "float64", "bfloat16": "bfloat16", "float16": "float16", "float64": "float64"}
    dtype = wide.get(x1.dtype, "float32")
    x1, x2 = to_tensor(x1, dtype), to_tensor(x2, dtype)
    if len(x1.shape) != 1 or len(x2.shape) != 1:
        raise ValueError(
            "keras.ops.correlate: operands must have one axis. "
            f"Received: x1.shape={x1.shape}, x2.shape={x2.shape}"
        )
    n, m = x1.shape[0], x2.shape[0]
    if mode == "valid" and n < m:
        raise ValueError(
            'keras.ops.correlate: with mode="valid" `x1` must not be the shorter one. '
            f"Received: x1.shape={x1.shape}, x2.shape={x2.shape}"
        )
    if mode != "valid":
        x1 = repetition.pad(x1, (m - 1, m - 1))
    count = x1.shape[0] - m + 1
    windows = x1[np.arange(count)[:, None] + np.arange(m)]
    y = contraction.matmul(windows, x2)
    if mode == "same":
        start = (count - max(n, m)) // 2
        y = y[start : start + max(n, m)]
    return y


# --- differences and integrals --------------------------------------------------------------


@export("ops.diff", "ops.numpy.diff")
def diff(a, n=1, axis=-1):
    """Each value less the one before it along `axis`, `n` times over.

    Raises: ValueError for a negative `n` or a tensor without axes.
    """
    if n < 0:
        raise ValueError(f"keras.ops.diff: `n` must be at least 0. Received: n={n}")
    a = to_tensor(a)
    if not len(a.shape):
        raise ValueError("keras.ops.diff: `a` must have at least one axis. Received: a scalar")
    axis = shapes.canonical_axis(axis, len(a.shape), "keras.ops.diff")
    front = (slice(None),) * axis
    for _ in range(n):
        after, before = a[(*front, slice(1, None))], a[(*front, slice(None, -1))]
        boolean = a.dtype == "bool"
        a = comparison.not_equal(after, before) if boolean else elementwise.subtract(after, before)
    return a


@export("ops.trapezoid", "ops.numpy.trapezoid")
def trapezoid(y, x=None, dx=1.0, axis=-1):
    """The integral of `y` along `axis` by the trapezoidal rule, sampled at `x` or every `dx`."""
    y = float_tensor(y)
    y = shape.moveaxis(y, axis, -1)
    if x is None:
        steps = to_tensor(to_tensor(dx), y.dtype)
    else:
        x = to_tensor(to_tensor(x), y.dtype)
        steps = diff(x if len(x.shape) == 1 else shape.moveaxis(x, axis, -1))
    heights = elementwise.multiply(elementwise.add(y[..., 1:], y[..., :-1]), 0.5)
    return reduction.sum(elementwise.multiply(heights, steps), -1)


@export("ops.vectorize", "ops.numpy.vectorize")
def vectorize(pyfunc, *, excluded=None, signature=None):
    """`pyfunc`, which takes and gives single values, applied to each group of elements.

    Arguments broadcast, but for those in `excluded` (positions and names), which pass as they
    are. A `signature` ("(n,m),(m)->(n)") says how many of the last axes go into one call, by
    position, and come out of it; without it there are none.
    Raises: ValueError for a `signature` that is none, or that does not fit the arguments.
    """
    excluded = frozenset(excluded or ())
    taken, given = (None, 1) if signature is None else _core_axes(signature)

    def vectorized(*args, **kwargs):
        mapped = {i: to_tensor(a) for i, a in enumerate(args) if i not in excluded}
        mapped.update({n: to_tensor(a) for n, a in kwargs.items() if n not in excluded})
        inner = dict.fromkeys(mapped, 0)
        if taken is not None:
            if len(mapped) != len(taken) or kwargs:
                raise ValueError(
                    "keras.ops.vectorize: `signature` must name the axes of each argument. "
                    f"Received: signature={signature!r} for {len(mapped)} arguments"
                )
            inner = dict(zip(mapped, taken, strict=True))
        joint = ()
        for name, value in mapped.items():
            front = value.shape[: len(value.shape) - inner[name]]
            joint = shapes.broadcast_shapes(joint, front, "keras.ops.vectorize")
        flat = {n: _one_front_axis(v, joint, inner[n]) for n, v in mapped.items()}
        results = []
        for i in range(shapes.size_of(joint)):
            positional = [flat[n][i] if n in flat else a for n, a in enumerate(args)]
            named = {n: flat[n][i] if n in flat else a for n, a in kwargs.items()}
            found = pyfunc(*positional, **named)
            results.append([to_tensor(y) for y in (found if given > 1 else [found])])
        stacked = [to_tensor(list(ys)) for ys in zip(*results, strict=True)]
        outputs = tuple([shape.reshape(y, (*joint, *y.shape[1:])) for y in stacked])
        return outputs if given > 1 else outputs[0]

    return vectorized


def _one_front_axis(x, front, inner):
    """`x` stretched to `front` before its `inner` last axes, and all of `front` made one axis."""
    back = x.shape[len(x.shape) - inner :]
    stretched = repetition.broadcast_to(x, (*front, *back))
    return shape.reshape(stretched, (shapes.size_of(front), *back))


_SIGNATURE = re.compile(r"(\(\s*(\w+\s*(,\s*\w+\s*)*)?\)\s*,?\s*)+")


def _core_axes(signature):
    """How many axes each argument of a signature has, and how many results there are."""
    left, arrow, right = signature.partition("->")
    if (
        not arrow
        or not _SIGNATURE.fullmatch(left.strip())
        or not _SIGNATURE.fullmatch(right.strip())
    ):
        raise ValueError(
            "keras.ops.vectorize: `signature` must read like '(n,m),(m)->(n)'. "
            f"Received: signature={signature!r}"
        )
    groups = re.findall(r"\(([^)]*)\)", left)
    counts = [len([name for name in group.split(",") if name.strip()]) for group in groups]
    return counts, right.count("(")


@export("ops.ndim", "ops.numpy.ndim")
def ndim(x):
    """The number of axes."""
    return len(x.shape) if hasattr(x, "shape") else to_array(x).ndim


@export("ops.size", "ops.numpy.size")
def size(x):
    """The number of elements; None where a size is unknown."""
    return shapes.size_of(x.shape if hasattr(x, "shape") else to_array(x).shape)
