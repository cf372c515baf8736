"""Order and counts of values: sort, argsort, search, unique values, histograms."""

from __future__ import annotations

from numbers import Integral

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import shape
from kerasmirror.ops.tensor import is_float, operands, to_array, to_tensor

_SIDES = ("left", "right")


def as_int32(x, *others, **options):
    """Shape rule: the shape of the first input, int32."""
    return x.shape, "int32"


@primitive("sort", spec=shapes.same)
def _sort(k, x):
    order = k.argsort(x)
    form, axis = x.shape, x.ndim - 1

    def backward(dy, needs):
        return (k.put_along_axis_add(form, order, dy, axis),)

    return k.take_along_axis(x, order, axis), backward


@_sort.forward
def _sort_tangent(k, inputs, changes, y):
    return np.take_along_axis(changes[0], k.argsort(inputs[0]).astype("int64"), -1)


@primitive("argsort", spec=as_int32, tangent=tangents.without_gradient("whole numbers come out"))
def _argsort(k, x):
    return k.argsort(x), None


def _along(run, x, axis, owner):
    """`run`, which works on the last axis, along `axis` (None: on the flat tensor)."""
    if axis is None:
        return run(shape.ravel(x))
    axis = shapes.canonical_axis(axis, len(x.shape), owner)
    if axis == len(x.shape) - 1:
        return run(x)
    return shape.moveaxis(run(shape.moveaxis(x, axis, -1)), -1, axis)


@export("ops.sort", "ops.numpy.sort")
def sort(x, axis=-1):
    """The values in ascending order along `axis` (None: of the flat tensor)."""
    return _along(_sort, to_tensor(x), axis, "keras.ops.sort")


@export("ops.argsort", "ops.numpy.argsort")
def argsort(x, axis=-1):
    """Positions (int32) that put `x` in ascending order along `axis`; ties keep their order."""
    x = to_tensor(x)
    if not x.shape:
        return to_tensor([0])
    return _along(_argsort, x, axis, "keras.ops.argsort")


@export("ops.argpartition", "ops.numpy.argpartition")
def argpartition(x, kth, axis=-1):
    """Positions along `axis` such that the `kth` value is in its place, smaller ones before it.

    The positions sort `x` in full, which is one of the orders that do.
    Raises: ValueError for a `kth` that is no int or outside the axis.
    """
    x = to_tensor(x)
    if not isinstance(kth, Integral):
        raise ValueError(f"keras.ops.argpartition: `kth` must be an int. Received: kth={kth}")
    if axis is not None and x.shape:
        axis = shapes.canonical_axis(axis, len(x.shape), "keras.ops.argpartition")
    size = shapes.size_of(x.shape) if axis is None else x.shape[axis] if x.shape else 1
    if isinstance(x, Tensor) and not -size <= kth < size:
        raise ValueError(
            f"keras.ops.argpartition: `kth` must be within [{-size}, {size}). Received: kth={kth}"
        )
    return argsort(x, axis)


@primitive(
    "searchsorted",
    spec=lambda edges, values, *, side: (values.shape, "int32"),
    tangent=tangents.without_gradient("whole numbers come out"),
)
def _searchsorted(k, edges, values, *, side):
    return k.searchsorted(edges, values, side), None


@export("ops.searchsorted", "ops.numpy.searchsorted")
def searchsorted(sorted_sequence, values, side="left"):
    """Where each value belongs in an ascending sequence (int32), left or right of its equals.

    Raises: ValueError for a sequence with more than one axis, or another `side`.
    """
    edges, values = operands(sorted_sequence, values)
    if len(edges.shape) != 1:
        raise ValueError(
            "keras.ops.searchsorted: `sorted_sequence` must have one axis. "
            f"Received: sorted_sequence.shape={edges.shape}"
        )
    if side not in _SIDES:
        raise ValueError(
            f"keras.ops.searchsorted: `side` must be one of {_SIDES}. Received: {side!r}"
        )
    return _searchsorted(edges, values, side=side)


@export("ops.digitize", "ops.numpy.digitize")
def digitize(x, bins):
    """How many of the ascending `bins` are at most `x` (int32).

    Raises: ValueError unless `bins` has one axis.
    """
    x = to_tensor(x)
    if isinstance(bins, KerasTensor) or len(getattr(bins, "shape", (0,))) != 1:
        if len(bins.shape) != 1:
            raise ValueError(
                f"keras.ops.digitize: `bins` must have one axis. Received: {tuple(bins.shape)}"
            )
        return KerasTensor(x.shape, "int32")
    edges = np.asarray([float(edge) for edge in to_array(bins)])
    return _searchsorted(Tensor(edges), to_tensor(x, "float64"), side="right")


@primitive(
    "isin", spec=shapes.broadcast_bool, tangent=tangents.without_gradient("booleans come out")
)
def _isin(k, x1, x2, *, invert):
    return np.isin(x1, x2, invert=invert), None


@export("ops.isin", "ops.numpy.isin")
def isin(x1, x2, assume_unique=False, invert=False):
    """Whether each value of `x1` is among those of `x2` (with `invert`: is not).

    `assume_unique` promises that `x2` holds no value twice; nothing depends on it here.
    """
    x1, x2 = operands(x1, x2)
    if isinstance(x1, KerasTensor) or isinstance(x2, KerasTensor):
        return KerasTensor(x1.shape, "bool")
    return _isin(x1, x2, invert=bool(invert))


# --- counts ---------------------------------------------------------------------------------


@export("ops.bincount", "ops.numpy.bincount")
def bincount(x, weights=None, minlength=0, sparse=False):
    """How often each of 0, 1, ... max(x) occurs in each row, or the sum of its `weights`.

    Raises: ValueError for `sparse`, as all tensors here are dense, and for negative values.
    """
    if sparse:
        raise ValueError("keras.ops.bincount: `sparse` must be False: all tensors are dense.")
    x = to_tensor(x)
    if weights is not None:
        weights = to_tensor(weights)
        dtype = dtypes.result_type(x.dtype, weights.dtype)
        weights = to_tensor(weights, dtype)
    if isinstance(x, KerasTensor):
        return KerasTensor((*x.shape[:-1], None), "int32" if weights is None else dtype)
    places = x.data.astype("int64")
    if places.size and places.min() < 0:
        raise ValueError(
            f"keras.ops.bincount: `x` must not hold negative values. Received: {places.min()}"
        )
    length = max(int(places.max()) + 1 if places.size else 0, int(to_array(minlength)))
    if weights is None:
        weights = Tensor(np.ones(places.shape, "int32"))
    return _bincount(weights, places=places, length=length)


@primitive("bincount", spec=shapes.same, tangent=tangents.linear)
def _bincount(k, weights, *, places, length):
    rows = tuple(np.indices(places.shape, sparse=True)[:-1])
    key = (*rows, places)
    y = k.add_at((*places.shape[:-1], length), key, weights)
    return y, lambda dy, needs: (k.get_at(dy, key),)


def _check_range(range):
    if range is None:
        return
    if not isinstance(range, (tuple, list)) or len(range) != 2:
        raise ValueError(
            "keras.ops.histogram: Argument `range` must be a tuple of two elements. "
            f"Received: range={range}"
        )
    if range[1] < range[0]:
        raise ValueError(
            "keras.ops.histogram: The second element of `range` must be greater than the first. "
            f"Received: range={range}"
        )


@export("ops.histogram", "ops.numpy.histogram")
def histogram(x, bins=10, range=None):
    """Counts (in the dtype of `x`) of the values in equal bins over `range`, and the bins' edges.

    Values outside `range` (by default from the least to the largest) are left out.
    Raises: ValueError for less than one bin, a `range` that is none, or more than one axis.
    """
    if not isinstance(bins, int) or bins < 1:
        raise ValueError(
            "keras.ops.histogram: Argument `bins` should be a non-negative integer other than 0. "
            f"Received: bins={bins}"
        )
    _check_range(range)
    x = to_tensor(x)
    if len(x.shape) > 1:
        raise ValueError(
            "keras.ops.histogram: Input tensor must be 1-dimensional. "
            f"Received: x.shape={tuple(x.shape)}"
        )
    if isinstance(x, KerasTensor):
        return KerasTensor((bins,), x.dtype), KerasTensor((bins + 1,), x.dtype)
    values = x.data.reshape(-1)
    low, high = range if range else (values.min(), values.max()) if values.size else (0, 1)
    values = values[(values >= low) & (values <= high)]
    edges = np.linspace(low, high, bins + 1).astype(x.data.dtype)
    places = np.searchsorted(edges[1:-1], values, side="right")
    counts = np.bincount(places, minlength=bins).astype(x.data.dtype)
    return Tensor(counts), Tensor(edges)


@export("ops.unique", "ops.numpy.unique")
def unique(
    x,
    sorted=True,
    return_index=False,
    return_inverse=False,
    return_counts=False,
    axis=None,
    size=None,
    fill_value=None,
):
    """The different values (None) or slices along `axis`: ascending, or as they first occur.

    Returns: them, then, where asked for, the place of each one's first occurrence, for each value
    of `x` the number of its equal, and how often each occurs (int32). `size` cuts them to that
    many, or fills up with `fill_value` (0).
    """
    x = to_tensor(x)
    if isinstance(x, KerasTensor):
        wanted = (return_index, return_inverse, return_counts)
        return _unique_placeholders(x, axis, size, wanted)
    flat = axis is None
    values = x.data.reshape(-1) if flat else x.data
    axis = 0 if flat else shapes.canonical_axis(axis, values.ndim, "keras.ops.unique")
    y, index, inverse, counts = np.unique(
        values, return_index=True, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(index, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        y, index, counts, inverse = y.take(order, axis), index[order], counts[order], rank[inverse]
    if size is not None:
        y = _resized(y, size, axis, 0 if fill_value is None else fill_value)
        index, counts = _resized(index, size, 0, 1), _resized(counts, size, 0, 0)
    inverse = inverse.reshape(x.data.shape) if flat else inverse
    extras = ((return_index, index), (return_inverse, inverse), (return_counts, counts))
    results = [Tensor(y)] + [Tensor(e.astype("int32")) for wanted, e in extras if wanted]
    return tuple(results) if len(results) > 1 else results[0]


def _unique_placeholders(x, axis, size, wanted):
    rank = len(x.shape)
    axis = None if axis is None else shapes.canonical_axis(axis, rank, "keras.ops.unique")
    form = (size,) if axis is None else (*x.shape[:axis], size, *x.shape[axis + 1 :])
    inverse = x.shape if axis is None else (x.shape[axis],)
    extras = zip(wanted, ((size,), inverse, (size,)), strict=True)
    results = [KerasTensor(form, x.dtype)]
    results += [KerasTensor(shape, "int32") for included, shape in extras if included]
    return tuple(results) if len(results) > 1 else results[0]


def _resized(y, size, axis, fill):
    kept = y.take(np.arange(min(size, y.shape[axis])), axis)
    widths = [(0, size - n if i == axis else 0) for i, n in enumerate(kept.shape)]
    return np.pad(kept, widths, constant_values=fill)


# --- divisors -------------------------------------------------------------------------------


def _whole(name, x1, x2):
    x1, x2 = operands(x1, x2)
    if isinstance(x1, KerasTensor) or isinstance(x2, KerasTensor):
        return x1, x2
    if is_float(x1) or x1.dtype == "bool":
        raise TypeError(f"keras.ops.{name}: operands must be whole numbers. Received: {x1.dtype}")
    return x1, x2


@primitive(
    "gcd", spec=shapes.broadcast, tangent=tangents.without_gradient("it takes whole numbers")
)
def _gcd(k, x1, x2):
    return np.asarray(np.gcd(x1, x2)), None


@primitive(
    "lcm", spec=shapes.broadcast, tangent=tangents.without_gradient("it takes whole numbers")
)
def _lcm(k, x1, x2):
    return np.asarray(np.lcm(x1, x2)), None


@export("ops.gcd", "ops.numpy.gcd")
def gcd(x1, x2):
    """The greatest common divisor. Raises: TypeError unless both are whole numbers."""
    return _gcd(*_whole("gcd", x1, x2))


@export("ops.lcm", "ops.numpy.lcm")
def lcm(x1, x2):
    """The least common multiple. Raises: TypeError unless both are whole numbers."""
    return _lcm(*_whole("lcm", x1, x2))
