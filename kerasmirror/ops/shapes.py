"""Shape rules: the shape and dtype of a result, from shapes whose unknown sizes are None.

A rule for `@primitive(spec=...)` takes the inputs and options of the primitive and gives
(shape, dtype). The helpers also check eager arguments, so that both ways give one error.
"""

from __future__ import annotations

import math
from numbers import Integral


def same(x, *others, **options):
    """Shape rule: the shape and dtype of the first input."""
    return x.shape, x.dtype


def broadcast(x, *others, **options):
    """Shape rule: all inputs broadcast to one shape, the first one's dtype."""
    shape = x.shape
    for other in others:
        shape = broadcast_shapes(shape, other.shape)
    return shape, x.dtype


def broadcast_bool(x, *others, **options):
    """Shape rule: all inputs broadcast to one shape, bool."""
    return broadcast(x, *others)[0], "bool"


def broadcast_shapes(first, second, owner="keras.ops"):
    """The shape that two shapes stretch to.

    Raises: ValueError when two known sizes differ and neither is 1.
    """
    if first == second:
        return tuple(first)
    rank = max(len(first), len(second))
    padded = zip(
        (1,) * (rank - len(first)) + tuple(first),
        (1,) * (rank - len(second)) + tuple(second),
        strict=True,
    )
    shape = []
    for a, b in padded:
        if a == 1:
            shape.append(b)
        elif b == 1 or a == b or b is None:
            shape.append(a)
        elif a is None:
            shape.append(b)
        else:
            raise ValueError(
                f"{owner}: the shapes of the operands do not broadcast. "
                f"Received: {tuple(first)} and {tuple(second)}"
            )
    return tuple(shape)


def canonical_axis(axis, rank, owner, name="axis"):
    """`axis` counted from the front.

    Raises: ValueError when it is no int or outside [-rank, rank).
    """
    if type(axis) is not int and not isinstance(axis, Integral):
        try:
            axis = axis.__index__()
        except (AttributeError, TypeError):
            raise ValueError(
                f"{owner}: `{name}` must be an int. Received: {name}={axis!r}"
            ) from None
    if not -rank <= axis < rank:
        raise ValueError(
            f"{owner}: `{name}` must be within [{-rank}, {rank}) for an input with {rank} axes, "
            f"axis {axis} is out of bounds. Received: {name}={axis}"
        )
    return int(axis) + rank if axis < 0 else int(axis)


def canonical_axes(axis, rank, owner, name="axis"):
    """One axis or several as a tuple counted from the front; None stands for all of them.

    Raises: ValueError for an axis outside the rank, or given twice.
    """
    if axis is None:
        return tuple(range(rank))
    if type(axis) is int and -rank <= axis < rank:
        return (axis + rank if axis < 0 else axis,)
    if isinstance(axis, (tuple, list)):
        axes = tuple([canonical_axis(a, rank, owner, name) for a in axis])
        if len(set(axes)) != len(axes):
            raise ValueError(f"{owner}: `{name}` must name each axis once. Received: {name}={axis}")
        return axes
    return (canonical_axis(axis, rank, owner, name),)


def reduced(shape, axes, keepdims=False):
    """`shape` after a reduction over the canonical `axes`."""
    if keepdims:
        return tuple([1 if i in axes else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in axes])


def size_of(shape):
    """The number of elements, or None where a size is unknown."""
    return None if None in shape else math.prod(shape)


def reshaped(shape, newshape, owner="keras.ops.reshape"):
    """`newshape` with its -1 resolved where it can be (None where it cannot).

    Raises: ValueError when the sizes cannot agree.
    """
    if isinstance(newshape, Integral):
        newshape = (newshape,)
    target = tuple([-1 if n is None else int(n) for n in newshape])
    if target.count(-1) > 1 or any(n < -1 for n in target):
        raise ValueError(
            f"{owner}: `newshape` must hold non-negative integers and at most one unknown "
            f"dimension, -1. Received: newshape={newshape}"
        )
    known = math.prod([n for n in target if n != -1])
    size = size_of(shape)
    if size is None:
        if -1 not in target:
            return target
        return tuple([None if n == -1 else n for n in target])
    if -1 in target and known and size % known == 0:
        return tuple([size // known if n == -1 else n for n in target])
    if -1 not in target and known == size:
        return target
    if -1 in target and not known and not size:
        return tuple([0 if n == -1 else n for n in target])
    raise ValueError(
        f"{owner}: `newshape` must have the input's number of elements, {size}. "
        f"Received: x.shape={tuple(shape)}, newshape={newshape}"
    )


def concatenated(shapes, axis, owner="keras.ops.concatenate"):
    """The shape of inputs joined along the canonical `axis`.

    Raises: ValueError when another axis differs.
    """
    result = list(shapes[0])
    for shape in shapes[1:]:
        if len(shape) != len(result):
            raise _cannot_join(shapes, axis, owner)
        for i, n in enumerate(shape):
            if i == axis:
                result[i] = None if result[i] is None or n is None else result[i] + n
            elif result[i] is None:
                result[i] = n
            elif n is not None and n != result[i]:
                raise _cannot_join(shapes, axis, owner)
    return tuple(result)


def agreeing(shapes, owner):
    """The one shape that all inputs have, sizes unknown in some taken from the others.

    Raises: ValueError when they differ.
    """
    result = tuple(shapes[0])
    for shape in shapes[1:]:
        alike = len(shape) == len(result) and all(
            a is None or b is None or a == b for a, b in zip(result, shape, strict=True)
        )
        if not alike:
            shapes = [tuple(each) for each in shapes]
            raise ValueError(f"{owner}: all inputs must have one shape. Received: shapes={shapes}")
        result = tuple([b if a is None else a for a, b in zip(result, shape, strict=True)])
    return result


def _cannot_join(shapes, axis, owner):
    shapes = [tuple(shape) for shape in shapes]
    return ValueError(
        f"{owner}: all inputs must have one shape but along axis {axis}. Received: shapes={shapes}"
    )


def matmul(first, second, owner="keras.ops.matmul"):
    """The shape of `first @ second`, batch axes broadcast, one-dimensional operands as vectors.

    Raises: ValueError when the contracted axes differ.
    """
    if not first or not second:
        raise ValueError(
            f"{owner}: both inputs must have at least one axis. "
            f"Received: x1.shape={tuple(first)}, x2.shape={tuple(second)}"
        )
    inner = first[-1], second[-2] if len(second) > 1 else second[0]
    if None not in inner and inner[0] != inner[1]:
        raise ValueError(
            f"{owner}: the last axis of `x1` must have the size of the contracted axis of `x2`. "
            f"Received: x1.shape={tuple(first)}, x2.shape={tuple(second)}"
        )
    batch = broadcast_shapes(first[:-2], second[:-2], owner)
    rows = first[-2:-1] if len(first) > 1 else ()
    columns = second[-1:] if len(second) > 1 else ()
    return (*batch, *rows, *columns)
