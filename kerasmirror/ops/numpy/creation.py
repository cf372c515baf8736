"""New tensors: constants, ranges, grids, identity matrices."""

from __future__ import annotations

import math
from operator import index

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes, scopes
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import elementwise, joining, repetition, shape
from kerasmirror.ops.tensor import convert_to_tensor, dtype_of, snapshot, to_array, to_tensor


def _known(sizes, owner):
    sizes = shape.sizes_of(sizes, owner)
    if any(n < 0 for n in sizes):
        raise ValueError(f"{owner}: `shape` must hold ints of at least 0. Received: shape={sizes}")
    return sizes


def _numpy_dtype(dtype):
    return dtypes.numpy_dtype(dtypes.standardize_dtype(dtype))


@export("ops.array", "ops.numpy.array")
def array(x, dtype=None):
    """`x` as a tensor: `convert_to_tensor`."""
    return convert_to_tensor(x, dtype)


@export("ops.copy", "ops.numpy.copy")
def copy(x):
    """The same values in a tensor of their own."""
    return _copy(to_tensor(x))


@primitive("copy", spec=shapes.same, tangent=tangents.linear)
def _copy(k, x):
    return k.cast(x, x.dtype), lambda dy, needs: (dy,)


def _view_spec(x, *, dtype):
    old, new = (dtypes.numpy_dtype(name).itemsize for name in (x.dtype, dtype))
    last = x.shape[-1] if x.shape else None
    if old == new:
        return x.shape, dtype
    if not x.shape or (last is not None and last * old % new):
        raise ValueError(
            "keras.ops.view: the bytes of the last axis must be a multiple of the new dtype's. "
            f"Received: x.shape={tuple(x.shape)}, x.dtype={x.dtype}, dtype={dtype}"
        )
    return (*x.shape[:-1], None if last is None else last * old // new), dtype


@primitive(
    "view",
    spec=_view_spec,
    tangent=tangents.without_gradient("it reads the bytes as something else"),
)
def _view(k, x, *, dtype):
    return np.ascontiguousarray(x).view(dtypes.numpy_dtype(dtype)), None


@export("ops.view", "ops.numpy.view")
def view(x, dtype=None):
    """The bytes of `x` read as `dtype`; the last axis grows or shrinks with its width.

    Raises: ValueError when the last axis does not hold a whole number of them.
    """
    x = snapshot(x)
    dtype = x.dtype if dtype is None else dtypes.standardize_dtype(dtype)
    _view_spec(x, dtype=dtype)
    return _view(x, dtype=dtype)


# --- constants ------------------------------------------------------------------------------


@export("ops.zeros", "ops.numpy.zeros")
def zeros(shape, dtype=None):
    """Zeros of `shape`, `floatx` unless told otherwise."""
    return Tensor(np.zeros(_known(shape, "keras.ops.zeros"), _numpy_dtype(dtype)))


@export("ops.ones", "ops.numpy.ones")
def ones(shape, dtype=None):
    """Ones of `shape`, `floatx` unless told otherwise."""
    return Tensor(np.ones(_known(shape, "keras.ops.ones"), _numpy_dtype(dtype)))


@export("ops.empty", "ops.numpy.empty")
def empty(shape, dtype=None):
    """Zeros of `shape`: as on TensorFlow, no tensor has arbitrary values."""
    return Tensor(np.zeros(_known(shape, "keras.ops.empty"), _numpy_dtype(dtype)))


@export("ops.full", "ops.numpy.full")
def full(shape, fill_value, dtype=None):
    """`fill_value`, which may be a tensor that broadcasts, in `shape`."""
    value = to_tensor(fill_value, dtypes.standardize_dtype(dtype))
    return repetition.broadcast_to(value, _known(shape, "keras.ops.full"))


@primitive(
    "constant_like",
    spec=lambda x, *, value, dtype: (x.shape, dtype),
    tangent=tangents.without_gradient("the values do not depend on its input"),
)
def _constant_like(k, x, *, value, dtype):
    return np.full(x.shape, value, dtypes.numpy_dtype(dtype)), None


def _like(x, value, dtype):
    x = to_tensor(x)
    dtype = x.dtype if dtype is None else dtypes.standardize_dtype(dtype)
    return _constant_like(x, value=value, dtype=dtype)


@export("ops.zeros_like", "ops.numpy.zeros_like")
def zeros_like(x, dtype=None):
    """Zeros of the shape of `x`."""
    return _like(x, 0, dtype)


@export("ops.ones_like", "ops.numpy.ones_like")
def ones_like(x, dtype=None):
    """Ones of the shape of `x`."""
    return _like(x, 1, dtype)


@export("ops.empty_like", "ops.numpy.empty_like")
def empty_like(x, dtype=None):
    """Zeros of the shape of `x`: as on TensorFlow, no tensor has arbitrary values."""
    return _like(x, 0, dtype)


@export("ops.full_like", "ops.numpy.full_like")
def full_like(x, fill_value, dtype=None):
    """`fill_value`, which may be a tensor that broadcasts, in the shape of `x`."""
    if isinstance(fill_value, (bool, int, float)):
        return _like(x, fill_value, dtype)
    blank = _like(x, 0, dtype)
    return elementwise.add(to_tensor(fill_value, blank.dtype), blank)


# --- ranges ---------------------------------------------------------------------------------


@export("ops.arange", "ops.numpy.arange")
def arange(start, stop=None, step=None, dtype=None):
    """`start`, `start + step`, ... below `stop`; with one argument, from 0 up to it.

    Raises: ValueError for a step of 0.
    """
    if dtype is None:
        given = [value for value in (start, stop, step) if value is not None]
        dtype = dtypes.result_type(*[dtype_of(value) for value in given])
    if stop is None:
        if type(start) is int and start == 0 and scopes.in_symbolic_scope():
            # A placeholder's unknown size is None: a layer asks for as many as that.
            raise ValueError("keras.ops.arange: `stop` must be known. Received: start=0, stop=None")
        start, stop = 0, start
    start, stop = _number(start), _number(stop)
    step = 1 if step is None else _number(step)
    if step == 0:
        raise ValueError("keras.ops.arange: `step` must not be 0. Received: step=0")
    count = max(0, math.ceil((stop - start) / step))
    return Tensor((start + step * np.arange(count)).astype(_numpy_dtype(dtype)))


def _number(value):
    return value if isinstance(value, (int, float)) else to_array(value).item()


@export("ops.linspace", "ops.numpy.linspace")
def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    """`num` values at equal distances from `start` to `stop` (without it unless `endpoint`).

    `start` and `stop` broadcast; the values go along a new `axis`. With `retstep` the distance
    comes too. Raises: ValueError for a negative `num`.
    """
    if num < 0:
        raise ValueError(f"keras.ops.linspace: `num` must be at least 0. Received: num={num}")
    if dtype is None:
        dtype = dtypes.result_type(dtype_of(start), dtype_of(stop), float)
    dtype = dtypes.standardize_dtype(dtype)
    whole = dtype not in dtypes.FLOAT_TYPES
    compute = "float64" if whole else dtype
    start = to_tensor(to_tensor(start, dtype), compute)
    stop = to_tensor(to_tensor(stop, dtype), compute)
    parts = num - 1 if endpoint else num
    step = elementwise.divide(elementwise.subtract(stop, start), parts if parts > 0 else math.nan)
    rank = max(len(start.shape), len(stop.shape))
    axis = shapes.canonical_axis(axis, rank + 1, "keras.ops.linspace")
    first, last, gap = [shape.expand_dims(_raised(x, rank), axis) for x in (start, stop, step)]
    # Of the two ends, each is the value that was given, not what rounding leaves of it.
    ends = 1 + (endpoint and num > 1)
    places = np.arange(1, max(num - ends, 0) + 1).reshape([-1] + [1] * (rank - axis))
    blank = zeros_like(gap)
    pieces = [elementwise.add(first, blank)] if num > 0 else []
    pieces.append(elementwise.add(first, elementwise.multiply(gap, to_tensor(places, compute))))
    if ends == 2:
        pieces.append(elementwise.add(last, blank))
    values = joining.concatenate(pieces, axis)
    result = to_tensor(elementwise.floor(values) if whole else values, dtype)
    return (result, step) if retstep else result


def _raised(x, rank):
    return shape.expand_dims(x, tuple(range(rank - len(x.shape))))


@export("ops.logspace", "ops.numpy.logspace")
def logspace(start, stop, num=50, endpoint=True, base=10, dtype=None, axis=0):
    """`base` to the power of `linspace(start, stop, ...)`."""
    powers = linspace(start, stop, num, endpoint, False, dtype, axis)
    return elementwise.power(to_tensor(base, powers.dtype), powers)


@export("ops.geomspace", "ops.numpy.geomspace")
def geomspace(start, stop, num=50, endpoint=True, dtype=None, axis=0):
    """`num` values from `start` to `stop` with one ratio between neighbours."""
    name = dtypes.standardize_dtype(dtype)
    first, last = (to_tensor(to_tensor(value), name) for value in (start, stop))
    log10 = math.log(10)
    ends = [
        elementwise.divide(elementwise.log(elementwise.absolute(v)), log10) for v in (first, last)
    ]
    values = logspace(*ends, num, endpoint, 10, dtype, axis)
    signs = elementwise.sign(first)
    if len(signs.shape):
        signs = shape.expand_dims(signs, axis)
    return elementwise.multiply(values, to_tensor(signs, values.dtype))


@export("ops.meshgrid", "ops.numpy.meshgrid")
def meshgrid(*x, indexing="xy"):
    """For each of the one-dimensional tensors, its values on the grid that all of them span.

    With "xy" the first two axes of the grid are exchanged. Raises: ValueError for another name.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(
            f'keras.ops.meshgrid: `indexing` must be "xy" or "ij". Received: {indexing!r}'
        )
    lines = [shape.ravel(line) for line in x]
    rank = len(lines)
    axes = list(range(rank))
    if indexing == "xy" and rank > 1:
        axes[0], axes[1] = 1, 0
    sizes = [None] * rank
    for line, axis in zip(lines, axes, strict=True):
        sizes[axis] = line.shape[0]
    grids = []
    for line, axis in zip(lines, axes, strict=True):
        spread = shape.expand_dims(line, tuple([i for i in range(rank) if i != axis]))
        grids.append(repetition.broadcast_to(spread, sizes))
    return grids


# --- matrices -------------------------------------------------------------------------------


@export("ops.eye", "ops.numpy.eye")
def eye(N, M=None, k=0, dtype=None):
    """An N x M matrix (N x N) with ones on the `k`-th diagonal. Raises: TypeError for floats."""
    sizes = [None if n is None else index(n) for n in (N, M)]
    return Tensor(np.eye(*sizes, index(k), _numpy_dtype(dtype)))


@export("ops.identity", "ops.numpy.identity")
def identity(n, dtype=None):
    """The n x n matrix with ones on the diagonal."""
    return Tensor(np.eye(int(n), dtype=_numpy_dtype(dtype)))


@export("ops.tri", "ops.numpy.tri")
def tri(N, M=None, k=0, dtype=None):
    """An N x M matrix (N x N) with ones on and below the `k`-th diagonal."""
    return Tensor(np.tri(int(N), None if M is None else int(M), int(k), _numpy_dtype(dtype)))


@export("ops.vander", "ops.numpy.vander")
def vander(x, N=None, increasing=False):
    """A matrix whose row i holds the powers of `x[i]`: from N - 1 down to 0, or up from 0."""
    x = to_tensor(x)
    count = x.shape[0] if N is None else int(N)
    if count is None:
        return KerasTensor((None, None), x.dtype)
    powers = np.arange(count) if increasing else np.arange(count)[::-1]
    compute = dtypes.result_type(x.dtype, "float32")
    base = shape.expand_dims(to_tensor(x, compute), -1)
    return to_tensor(elementwise.power(base, to_tensor(powers, compute)), x.dtype)
