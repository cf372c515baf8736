"""Parts of tensors read and written by position: slices, scattered elements, unstacking."""

from __future__ import annotations

import builtins

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops import shapes
from kerasmirror.ops.tensor import snapshot, to_array, to_tensor


def _starts(start_indices, rank, owner):
    starts = to_tensor(start_indices)
    if starts.shape != (rank,):
        raise ValueError(
            f"{owner}: the number of dimensions in `start_indices` must match that of "
            f"dimensions in `inputs`, {rank}. Received: start_indices={start_indices}"
        )
    return starts


def _slice_spec(x, starts, *, sizes):
    known = starts.data.tolist() if isinstance(starts, Tensor) else [None] * len(sizes)
    shape = []
    for n, start, size in zip(x.shape, known, sizes, strict=True):
        rest = None if n is None or start is None else n - start
        shape.append(rest if size == -1 else size)
    return tuple(shape), x.dtype


@primitive("slice", spec=_slice_spec, tangent=tangents.linear_in(0))
def _slice(k, x, starts, *, sizes):
    key = []
    for n, start, size in zip(x.shape, starts.tolist(), sizes, strict=True):
        size = n - start if size == -1 else size
        if not 0 <= start <= start + size <= n:
            raise ValueError(
                "keras.ops.slice: the slice must lie within `inputs`. Received: "
                f"inputs.shape={x.shape}, start_indices={starts.tolist()}, shape={sizes}"
            )
        key.append(builtins.slice(start, start + size))
    key, form = tuple(key), x.shape
    return k.get_at(x, key), lambda dy, needs: (k.add_at(form, key, dy), None)


@export("ops.slice")
def slice(inputs, start_indices, shape):
    """`inputs[s0 : s0 + n0, s1 : s1 + n1, ...]`, s the start indices, n the shape (-1: the rest).

    Raises: ValueError when the slice does not lie within `inputs`.
    """
    inputs = snapshot(inputs)
    rank = len(inputs.shape)
    starts = _starts(start_indices, rank, "keras.ops.slice")
    sizes = tuple([int(n) for n in to_array(shape).reshape(-1)])
    if len(sizes) != rank:
        raise ValueError(
            "keras.ops.slice: the number of dimensions in `inputs` must match the number of "
            f"dimensions in `shape`. Received: inputs.shape={inputs.shape}, shape={sizes}"
        )
    return _slice(inputs, starts, sizes=sizes)


@primitive("slice_update", spec=shapes.same, tangent=tangents.linear_in(0, 2))
def _slice_update(k, x, starts, updates):
    # As XLA, which TensorFlow asks here: a start too far out moves in until all of it fits.
    key = []
    for n, start, m in zip(x.shape, starts.tolist(), updates.shape, strict=True):
        start = min(max(start, 0), n - m)
        key.append(builtins.slice(start, start + m))
    key = tuple(key)

    def backward(dy, needs):
        dx = k.set_at(dy, key, 0) if needs[0] else None
        return dx, None, k.get_at(dy, key)

    return k.set_at(x, key, updates), backward


@export("ops.slice_update")
def slice_update(inputs, start_indices, updates):
    """A copy of `inputs` with `updates` written from `start_indices` on.

    Raises: ValueError when `updates` has another number of axes, or does not fit.
    """
    inputs = to_tensor(inputs)
    updates = to_tensor(to_tensor(updates), inputs.dtype)
    starts = _starts(start_indices, len(inputs.shape), "keras.ops.slice_update")
    fits = len(updates.shape) == len(inputs.shape) and all(
        None in (n, m) or m <= n for n, m in zip(inputs.shape, updates.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            "keras.ops.slice_update: `updates` must fit into `inputs`. "
            f"Received: inputs.shape={inputs.shape}, updates.shape={updates.shape}"
        )
    return _slice_update(inputs, starts, updates)


def _index_arrays(indices):
    """(..., d) indices as d index arrays of shape (...)."""
    return tuple([indices[..., i] for i in range(indices.shape[-1])])


@primitive(
    "scatter",
    spec=lambda indices, values, *, shape: (shape, values.dtype),
    tangent=tangents.linear_in(1),
)
def _scatter(k, indices, values, *, shape):
    key = _index_arrays(indices)
    return k.add_at(shape, key, values), lambda dy, needs: (None, k.get_at(dy, key))


@export("ops.scatter")
def scatter(indices, values, shape):
    """Zeros of `shape` with the `values` added at `indices` (..., d), which name d axes."""
    indices = to_tensor(indices)
    sizes = tuple([int(n) for n in to_array(shape).reshape(-1)])
    return _scatter(indices, to_tensor(values), shape=sizes)


_REDUCTIONS = (None, "add", "max", "min", "mul")


@primitive("scatter_update", spec=shapes.same)
def _scatter_update(k, x, indices, updates, *, reduction):
    key = _index_arrays(indices)
    if reduction is None:
        y = k.set_at(x, key, updates)
    else:
        y = k.add_at(x.shape, key, updates, reduction, x)

    def backward(dy, needs):
        if reduction is None:
            return (k.set_at(dy, key, 0) if needs[0] else None), None, k.get_at(dy, key)
        if reduction == "add":
            return dy, None, k.get_at(dy, key)
        if reduction == "mul":
            raise NotImplementedError(
                'keras.ops.scatter_update: reduction="mul" has no gradient here. Gather the '
                "values, multiply, and write them back instead."
            )
        # All that equal the result share its gradient, as in TensorFlow.
        own = k.cast(x == y, dy.dtype)
        given = k.cast(updates == k.get_at(y, key), dy.dtype)
        share = dy / k.add_at(x.shape, key, given, "add", own)
        return own * share, None, given * k.get_at(share, key)

    return y, backward


@_scatter_update.forward
def _scatter_update_tangent(k, inputs, changes, y, *, reduction):
    x, indices, updates = inputs
    dx, dupdates = (
        np.zeros_like(part) if change is None else change
        for part, change in ((x, changes[0]), (updates, changes[2]))
    )
    key = _index_arrays(indices)
    if reduction is None:
        return k.set_at(dx, key, dupdates)
    if reduction == "add":
        return k.add_at(x.shape, key, dupdates, "add", dx)
    if reduction == "mul":
        raise NotImplementedError(
            'keras.ops.scatter_update: reduction="mul" has no gradient here. Gather the '
            "values, multiply, and write them back instead."
        )
    own = k.cast(x == y, y.dtype)
    given = k.cast(updates == k.get_at(y, key), y.dtype)
    return k.add_at(x.shape, key, given * dupdates, "add", own * dx) / k.add_at(
        x.shape, key, given, "add", own
    )


@export("ops.scatter_update")
def scatter_update(inputs, indices, updates, reduction=None):
    """A copy of `inputs` with `updates` written at `indices` (..., d), which name d axes.

    `reduction` "add", "max", "min" or "mul" combines them with what is there.
    Raises: ValueError for another `reduction`.
    """
    if reduction not in _REDUCTIONS:
        raise ValueError(
            f"keras.ops.scatter_update: `reduction` must be one of {_REDUCTIONS}. "
            f"Received: reduction={reduction!r}"
        )
    inputs = to_tensor(inputs)
    updates = to_tensor(to_tensor(updates), inputs.dtype)
    return _scatter_update(inputs, to_tensor(indices), updates, reduction=reduction)


def _unstack_spec(x, *, axis, count):
    return [(shapes.reduced(x.shape, (axis,)), x.dtype)] * count


@primitive("unstack", spec=_unstack_spec, tangent=tangents.linear)
def _unstack(k, x, *, axis, count):
    front, shape, dtype = (builtins.slice(None),) * axis, shapes.reduced(x.shape, (axis,)), x.dtype

    def backward(dys, needs):
        return (k.stack([k.zeros(shape, dtype) if dy is None else dy for dy in dys], axis),)

    return tuple([x[(*front, i)] for i in range(count)]), backward


@export("ops.unstack")
def unstack(x, num=None, axis=0):
    """The parts of `x` along `axis`, each without that axis, as a list.

    Raises: ValueError when `num` is not their number, or is needed as that is unknown.
    """
    x = snapshot(x)
    axis = shapes.canonical_axis(axis, len(x.shape), "keras.ops.unstack")
    size = x.shape[axis]
    if num is None and size is None:
        raise ValueError(
            "keras.ops.unstack: Cannot infer argument `num` from shape, as the size of the axis is "
            f"not known. Received: num=None, x.shape={x.shape}, axis={axis}"
        )
    if None not in (num, size) and num != size:
        raise ValueError(
            "keras.ops.unstack: `num` must be the size of the axis. "
            f"Received: num={num}, x.shape={x.shape}, axis={axis}"
        )
    return list(_unstack(x, axis=axis, count=size if num is None else num))
