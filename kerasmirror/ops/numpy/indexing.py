"""Parts of tensors by position, index or condition.

Gradients of what was read more than once add up.
"""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import Variable
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import elementwise, repetition, shape
from kerasmirror.ops.tensor import snapshot, to_array, to_tensor, whole_numbers

# --- x[key] ---------------------------------------------------------------------------------


@export("ops.get_item", "ops.numpy.get_item")
def get_item(x, key):
    """`x[key]`: ints, slices, `...`, None (a new axis), and arrays of ints or booleans."""
    return _get_item(snapshot(x), key=_clean_key(tuple(key) if isinstance(key, list) else key))


def _clean_key(key):
    """The key with tensors and lists as NumPy arrays."""
    if isinstance(key, tuple):
        return tuple([_clean_part(part) for part in key])
    return _clean_part(key)


def _clean_part(part):
    if type(part) in (int, slice) or part is None or part is Ellipsis:
        return part
    if isinstance(part, (Tensor, Variable)):
        return part.data
    if isinstance(part, KerasTensor):
        raise ValueError(
            "keras.ops.get_item: `key` must not hold a KerasTensor; use `keras.ops.take`. "
            f"Received: {part}"
        )
    return to_array(part) if isinstance(part, (list, np.ndarray)) else part


def _item_spec(x, *, key):
    return _item_shape(x.shape, key if isinstance(key, tuple) else (key,)), x.dtype


def _item_shape(sizes, key):
    named = sum(
        1 if not isinstance(part, np.ndarray) or part.dtype != bool else part.ndim
        for part in key
        if part is not None and part is not Ellipsis
    )
    dots = [i for i, part in enumerate(key) if part is Ellipsis]
    if named > len(sizes) or len(dots) > 1:
        raise ValueError(
            "keras.ops.get_item: `key` must name at most each axis, and `...` once. "
            f"Received: x.shape={tuple(sizes)}, key={key}"
        )
    place = dots[0] if dots else len(key)
    key = (*key[:place], *[slice(None)] * (len(sizes) - named), *key[place + 1 :])
    result, arrays, at, axis = [], [], [], 0
    for part in key:
        if part is None:
            result.append(1)
            continue
        size = sizes[axis]
        axis += part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1
        if isinstance(part, slice):
            whole = part == slice(None) or part == slice(None, None, -1)
            if size is None:
                result.append(None)
            else:
                result.append(size if whole else len(range(*part.indices(size))))
        elif isinstance(part, np.ndarray):
            at.append(len(result))
            arrays.append((int(part.sum()),) if part.dtype == bool else part.shape)
        elif size is not None and not -size <= part < size:
            raise IndexError(
                f"keras.ops.get_item: index {part} is outside an axis of size {size}. "
                f"Received: x.shape={tuple(sizes)}"
            )
    if not arrays:
        return tuple(result)
    joint = arrays[0]
    for other in arrays[1:]:
        joint = shapes.broadcast_shapes(joint, other, "keras.ops.get_item")
    # Arrays with a slice between them put their axes in front, as in NumPy.
    first = at[0] if all(place == at[0] for place in at) else 0
    return (*result[:first], *joint, *result[first:])


@primitive("get_item", spec=_item_spec, tangent=tangents.linear)
def _get_item(k, x, *, key):
    form = x.shape
    return k.get_at(x, key), lambda dy, needs: (k.add_at(form, key, dy),)


# --- take -----------------------------------------------------------------------------------


def _take_spec(x, indices, *, axis):
    return (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]), x.dtype


@primitive("take", spec=_take_spec, tangent=tangents.linear_in(0))
def _take(k, x, indices, *, axis):
    size = x.shape[axis]
    if indices.size and not (-size <= indices.min() and indices.max() < size):
        raise IndexError(
            f"keras.ops.take: `indices` must be within [{-size}, {size}). "
            f"Received: indices from {indices.min()} to {indices.max()}"
        )
    form = x.shape

    def backward(dy, needs):
        # dy is (front..., indices..., back...): its rows are added at their index.
        count, front = indices.ndim, form[:axis]
        moved = tuple(range(axis, axis + count)) + tuple(range(axis))
        rows = dy.transpose(*moved, *range(axis + count, dy.ndim)).reshape(indices.size, -1)
        table = k.scatter_add_rows(rows, indices, size).reshape(size, *front, *form[axis + 1 :])
        return table.transpose(*range(1, axis + 1), 0, *range(axis + 1, len(form))), None

    return k.take(x, indices, axis), backward


@export("ops.take", "ops.numpy.take")
def take(x, indices, axis=None):
    """The parts of `x` at `indices` along `axis` (None: of the flat tensor); -1 is the last.

    Raises: IndexError for an index outside the axis.
    """
    x, indices = to_tensor(x), whole_numbers(indices, "indices", "keras.ops.take")
    if axis is None:
        x, axis = shape.ravel(x), 0
    axis = shapes.canonical_axis(axis, len(x.shape), "keras.ops.take")
    return _take(x, indices, axis=axis)


def _along_spec(x, indices, *, axis):
    first, second = list(x.shape), list(indices.shape)
    first[axis] = second[axis] = 1
    result = list(shapes.broadcast_shapes(first, second, "keras.ops.take_along_axis"))
    result[axis] = indices.shape[axis]
    return tuple(result), x.dtype


@primitive("take_along_axis", spec=_along_spec, tangent=tangents.linear_in(0))
def _take_along_axis(k, x, indices, *, axis):
    form = x.shape
    # x is stretched by the caller, so that every other axis has the result's size.
    return k.take_along_axis(x, indices, axis), lambda dy, needs: (
        k.put_along_axis_add(form, indices, dy, axis),
        None,
    )


@export("ops.take_along_axis", "ops.numpy.take_along_axis")
def take_along_axis(x, indices, axis=None):
    """`y[..., i, ...] = x[..., indices[..., i, ...], ...]` along `axis`; other axes broadcast.

    None: of the flat tensor, with one axis of indices.
    Raises: ValueError when `x` and `indices` differ in their number of axes.
    """
    x = to_tensor(x)
    indices = whole_numbers(indices, "indices", "keras.ops.take_along_axis")
    if axis is None:
        x, axis = shape.ravel(x), 0
    if len(indices.shape) != len(x.shape):
        raise ValueError(
            "keras.ops.take_along_axis: `indices` must have as many axes as `x`. "
            f"Received: x.shape={x.shape}, indices.shape={indices.shape}"
        )
    axis = shapes.canonical_axis(axis, len(x.shape), "keras.ops.take_along_axis")
    result, _ = _along_spec(x, indices, axis=axis)
    stretched = (*result[:axis], x.shape[axis], *result[axis + 1 :])
    if stretched != tuple(x.shape) and None not in stretched:
        x = repetition.broadcast_to(x, stretched)
    return _take_along_axis(x, indices, axis=axis)


# --- conditions -----------------------------------------------------------------------------


@export("ops.where", "ops.numpy.where")
def where(condition, x1=None, x2=None):
    """`x1` where the condition holds, else `x2`; without both, the places where it holds.

    Raises: ValueError when just one of `x1` and `x2` is given.
    """
    if x1 is None and x2 is None:
        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError(
            "keras.ops.where: `x1` and `x2` either both should be `None` or both given. "
            f"Received: x1={x1}, x2={x2}"
        )
    return elementwise.select_by(condition, x1, x2)


@export("ops.nonzero", "ops.numpy.nonzero")
def nonzero(x):
    """Where `x` is not 0: for each axis the positions (int32) of those values."""
    x = to_tensor(x)
    if isinstance(x, KerasTensor):
        return tuple([KerasTensor((None,), "int32") for _ in x.shape])
    return tuple([Tensor(places.astype("int32")) for places in x.data.nonzero()])


@export("ops.select", "ops.numpy.select")
def select(condlist, choicelist, default=0):
    """For each place the choice whose condition is the first to hold, else `default`.

    Raises: ValueError unless there is one choice for each condition.
    """
    if len(condlist) != len(choicelist) or not condlist:
        raise ValueError(
            "keras.ops.select: `condlist` and `choicelist` must have one length, at least 1. "
            f"Received: {len(condlist)} and {len(choicelist)}"
        )
    result = default
    for condition, choice in reversed(list(zip(condlist, choicelist, strict=True))):
        result = elementwise.select_by(condition, choice, result)
    return result


@export("ops.unravel_index", "ops.numpy.unravel_index")
def unravel_index(indices, shape):
    """For each axis of `shape`, the positions of flat `indices`.

    Raises: ValueError when a size is unknown.
    """
    if None in shape:
        raise ValueError(
            f"keras.ops.unravel_index: `shape` must be known in full. Received: shape={shape}"
        )
    rest, places = whole_numbers(indices, "indices", "keras.ops.unravel_index"), []
    for size in reversed(shape):
        size = to_tensor(size, rest.dtype)
        places.append(elementwise.mod(rest, size))
        rest = elementwise.floor_divide(rest, size)
    return tuple(reversed(places))


# --- diagonals and triangles ----------------------------------------------------------------


def _diagonal_length(rows, columns, offset):
    if rows is None or columns is None:
        return None
    return max(0, min(rows + min(offset, 0), columns - max(offset, 0)))


def _diagonal_spec(x, *, offset):
    return (*x.shape[:-2], _diagonal_length(*x.shape[-2:], offset)), x.dtype


@primitive("diagonal", spec=_diagonal_spec, tangent=tangents.linear)
def _diagonal(k, x, *, offset):
    form, dtype = x.shape, x.dtype
    places = np.arange(_diagonal_length(*form[-2:], offset))
    key = (..., places + max(-offset, 0), places + max(offset, 0))

    def backward(dy, needs):
        return (k.set_at(k.zeros(form, dtype), key, dy),)

    return k.get_at(x, key), backward


@export("ops.diagonal", "ops.numpy.diagonal")
def diagonal(x, offset=0, axis1=0, axis2=1):
    """The diagonal, `offset` places above the main one, of the matrices over two axes.

    It becomes the last axis. Raises: ValueError for fewer than two axes.
    """
    x = to_tensor(x)
    if len(x.shape) < 2:
        raise ValueError(
            f"keras.ops.diagonal: `x` must have at least 2 axes. Received: x.shape={x.shape}"
        )
    return _diagonal(shape.moveaxis(x, (axis1, axis2), (-2, -1)), offset=int(offset))


def _diag_spec(x, *, offset):
    size = None if x.shape[0] is None else x.shape[0] + abs(offset)
    return (size, size), x.dtype


@primitive("diag", spec=_diag_spec, tangent=tangents.linear)
def _diag(k, x, *, offset):
    size = x.shape[0] + abs(offset)
    places = np.arange(x.shape[0])
    key = (places + max(-offset, 0), places + max(offset, 0))
    y = k.set_at(k.zeros((size, size), x.dtype), key, x)
    return y, lambda dy, needs: (k.get_at(dy, key),)


@export("ops.diag", "ops.numpy.diag")
def diag(x, k=0):
    """The `k`-th diagonal of a matrix, or a matrix with `x` on its `k`-th diagonal.

    Raises: ValueError unless `x` has one axis or two.
    """
    x = to_tensor(x)
    if len(x.shape) == 1:
        return _diag(x, offset=int(k))
    if len(x.shape) == 2:
        return diagonal(x, k)
    raise ValueError(f"keras.ops.diag: `x` must have 1 or 2 axes. Received: x.shape={x.shape}")


@export("ops.diagflat", "ops.numpy.diagflat")
def diagflat(x, k=0):
    """A matrix with all values of `x` on its `k`-th diagonal."""
    return _diag(shape.ravel(x), offset=int(k))


@primitive("triangle", spec=shapes.same, tangent=tangents.linear)
def _triangle(k, x, *, offset, lower):
    mask = np.tri(*x.shape[-2:], offset if lower else offset - 1, dtype=bool)
    keep = mask if lower else ~mask
    zero = x.dtype.type(0)
    return k.where(keep, x, zero), lambda dy, needs: (k.where(keep, dy, zero),)


def _triangular(x, offset, lower, owner):
    x = to_tensor(x)
    if len(x.shape) < 2:
        raise ValueError(f"{owner}: `x` must have at least 2 axes. Received: x.shape={x.shape}")
    return _triangle(x, offset=int(offset), lower=lower)


@export("ops.tril", "ops.numpy.tril")
def tril(x, k=0):
    """The matrices over the last two axes with 0 above the `k`-th diagonal."""
    return _triangular(x, k, True, "keras.ops.tril")


@export("ops.triu", "ops.numpy.triu")
def triu(x, k=0):
    """The matrices over the last two axes with 0 below the `k`-th diagonal."""
    return _triangular(x, k, False, "keras.ops.triu")
