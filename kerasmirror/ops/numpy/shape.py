"""Tensors given another shape or another order of axes or places."""

from __future__ import annotations

from numbers import Integral

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops import shapes
from kerasmirror.ops.tensor import snapshot, to_array, to_tensor

# --- reshape --------------------------------------------------------------------------------


def _reshape_spec(x, *, newshape):
    return shapes.reshaped(x.shape, newshape), x.dtype


@primitive("reshape", spec=_reshape_spec, tangent=tangents.linear)
def _reshape(k, x, *, newshape):
    shape = x.shape
    try:
        y = x.reshape(newshape)
    except ValueError:
        shapes.reshaped(shape, newshape)
        raise
    if min(newshape, default=0) < -1:
        shapes.reshaped(shape, newshape)  # NumPy takes any negative size for -1
    return y, lambda dy, needs: (dy.reshape(shape),)


_INT = frozenset((int,))


def sizes_of(shape, owner):
    """`shape` as a tuple of ints; an unknown size is -1."""
    if type(shape) is tuple and _INT.issuperset(map(type, shape)):
        return shape
    if isinstance(shape, Integral):
        return (int(shape),)
    if isinstance(shape, KerasTensor):
        if len(shape.shape) != 1 or shape.shape[0] is None:
            raise ValueError(
                f"{owner}: a shape that is a placeholder must have one axis of a known size. "
                f"Received: {shape}"
            )
        return (None,) * shape.shape[0]
    sizes = to_array(shape).tolist() if hasattr(shape, "dtype") else shape
    try:
        return tuple([-1 if n is None else _size(n) for n in sizes])
    except (TypeError, ValueError):
        raise ValueError(f"{owner}: a shape must hold ints. Received: {shape!r}") from None


def _size(n):
    return None if isinstance(n, KerasTensor) else int(n)


@export("ops.reshape", "ops.numpy.reshape")
def reshape(x, newshape):
    """The same values, in row-major order, as `newshape`; one size may be -1 (what is left)."""
    sizes = sizes_of(newshape, "keras.ops.reshape")
    if type(x) is Tensor and sizes is newshape:
        return _reshape(x, newshape=sizes)
    if None in sizes:  # a size that a placeholder will give
        x = to_tensor(x)
        return KerasTensor(tuple([None if n == -1 else n for n in sizes]), x.dtype)
    return _reshape(snapshot(x), newshape=sizes)


@export("ops.ravel", "ops.numpy.ravel")
def ravel(x):
    """All values in one axis."""
    return _reshape(snapshot(x), newshape=(-1,))


def _expanded(shape, axes):
    shape = list(shape)
    for axis in axes:
        shape.insert(axis, 1)
    return tuple(shape)


@primitive(
    "expand_dims",
    spec=lambda x, *, axes: (_expanded(x.shape, axes), x.dtype),
    tangent=tangents.linear,
)
def _expand_dims(k, x, *, axes):
    shape = x.shape
    return x.reshape(_expanded(shape, axes)), lambda dy, needs: (dy.reshape(shape),)


@export("ops.expand_dims", "ops.numpy.expand_dims")
def expand_dims(x, axis):
    """New axes of size 1, so that they stand at `axis` (an int or several) of the result."""
    x = snapshot(x)
    count = len(axis) if isinstance(axis, (list, tuple)) else 1
    axes = shapes.canonical_axes(axis, len(x.shape) + count, "keras.ops.expand_dims")
    return _expand_dims(x, axes=tuple(sorted(axes)))


def _squeezed(shape, axes):
    if axes is None:
        return tuple([n for n in shape if n != 1])
    for axis in axes:
        if shape[axis] not in (1, None):
            raise ValueError(
                "keras.ops.squeeze: `axis` must name axes of size 1. "
                f"Received: x.shape={tuple(shape)}, axis={axis}"
            )
    return shapes.reduced(shape, axes)


@primitive(
    "squeeze", spec=lambda x, *, axes: (_squeezed(x.shape, axes), x.dtype), tangent=tangents.linear
)
def _squeeze(k, x, *, axes):
    shape = x.shape
    return x.reshape(_squeezed(shape, axes)), lambda dy, needs: (dy.reshape(shape),)


@export("ops.squeeze", "ops.numpy.squeeze")
def squeeze(x, axis=None):
    """`x` without the axes of size 1 in `axis`; None: without all of them.

    Raises: ValueError when one of them is not of size 1.
    """
    x = snapshot(x)
    axes = None
    if axis is not None:
        axes = shapes.canonical_axes(axis, len(x.shape), "keras.ops.squeeze")
        if any([x.shape[a] is None for a in axes]):
            raise ValueError(
                "keras.ops.squeeze: `axis` must name axes of size 1, and known to be so. "
                f"Received: x.shape={tuple(x.shape)}, axis={axis}"
            )
    return _squeeze(x, axes=axes)


# --- order of the axes ----------------------------------------------------------------------


def _transpose_spec(x, *, axes):
    return tuple([x.shape[axis] for axis in axes]), x.dtype


@primitive("transpose", spec=_transpose_spec, tangent=tangents.linear)
def _transpose(k, x, *, axes):
    def backward(dy, needs):
        back = [0] * len(axes)
        for i, axis in enumerate(axes):
            back[axis] = i
        return (dy.transpose(back),)

    # A view: products of matrices read it as it is, other kernels copy it when they must.
    return x.transpose(axes), backward


@export("ops.transpose", "ops.numpy.transpose")
def transpose(x, axes=None):
    """`x` with its axes in the order `axes`; None: reversed.

    Raises: ValueError unless `axes` names each axis once.
    """
    x = snapshot(x)
    rank = len(x.shape)
    if not axes:
        return _transpose(x, axes=tuple(range(rank))[::-1])
    if not all([isinstance(a, Integral) and -rank <= a < rank for a in axes]):
        raise ValueError(
            f"keras.ops.transpose: Each axis in `axes` must be an integer in [-{rank}, {rank}). "
            f"Received: x.shape={x.shape}, axes={list(axes)}"
        )
    order = tuple([int(a) % rank for a in axes])
    if len(order) != rank or len(set(order)) != rank:
        raise ValueError(
            "keras.ops.transpose: `axes` must be a valid permutation of the axes. "
            f"Received: x.shape={x.shape}, axes={list(axes)}"
        )
    return _transpose(x, axes=order)


@export("ops.swapaxes", "ops.numpy.swapaxes")
def swapaxes(x, axis1, axis2):
    """`x` with two axes exchanged."""
    x = snapshot(x)
    order = list(range(len(x.shape)))
    first = shapes.canonical_axis(axis1, len(order), "keras.ops.swapaxes", "axis1")
    second = shapes.canonical_axis(axis2, len(order), "keras.ops.swapaxes", "axis2")
    order[first], order[second] = second, first
    return _transpose(x, axes=tuple(order))


@export("ops.moveaxis", "ops.numpy.moveaxis")
def moveaxis(x, source, destination):
    """`x` with the axes `source` moved to `destination`, the others in their order.

    Raises: ValueError when both do not have one length.
    """
    x = snapshot(x)
    rank = len(x.shape)
    sources = shapes.canonical_axes(source, rank, "keras.ops.moveaxis", "source")
    places = shapes.canonical_axes(destination, rank, "keras.ops.moveaxis", "destination")
    if len(sources) != len(places):
        raise ValueError(
            "keras.ops.moveaxis: `source` and `destination` must have one length. "
            f"Received: source={source}, destination={destination}"
        )
    order = [axis for axis in range(rank) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return _transpose(x, axes=tuple(order))


@primitive("flip", spec=shapes.same, tangent=tangents.linear)
def _flip(k, x, *, axes):
    return k.flip(x, axes), lambda dy, needs: (k.flip(dy, axes),)


@export("ops.flip", "ops.numpy.flip")
def flip(x, axis=None):
    """`x` with `axis` (an int, several, or None for all) in reverse order."""
    x = to_tensor(x)
    return _flip(x, axes=shapes.canonical_axes(axis, len(x.shape), "keras.ops.flip"))


@export("ops.flipud", "ops.numpy.flipud")
def flipud(x):
    """`x` with its first axis in reverse order."""
    return flip(x, 0)


@export("ops.fliplr", "ops.numpy.fliplr")
def fliplr(x):
    """`x` with its second axis in reverse order."""
    return flip(x, 1)


@export("ops.rot90", "ops.numpy.rot90")
def rot90(array, k=1, axes=(0, 1)):
    """`array` turned `k` quarters from the first towards the second axis of `axes`.

    Raises: ValueError for fewer than two axes, or two equal ones.
    """
    array = snapshot(array)
    rank = len(array.shape)
    if rank < 2:
        raise ValueError(
            f"keras.ops.rot90: `array` must have at least 2 axes. Received: shape={array.shape}"
        )
    if len(axes) != 2 or axes[0] == axes[1]:
        raise ValueError(f"keras.ops.rot90: `axes` must be two axes. Received: axes={axes}")
    first, second = shapes.canonical_axes(tuple(axes), rank, "keras.ops.rot90", "axes")
    k %= 4
    if k == 2:
        return flip(array, (first, second))
    if k == 1:
        return swapaxes(flip(array, second), first, second)
    return flip(swapaxes(array, first, second), second) if k == 3 else array


@primitive("roll", spec=shapes.same, tangent=tangents.linear)
def _roll(k, x, *, shift, axis):
    back = tuple([-s for s in shift]) if isinstance(shift, tuple) else -shift
    return k.roll(x, shift, axis), lambda dy, needs: (k.roll(dy, back, axis),)


@export("ops.roll", "ops.numpy.roll")
def roll(x, shift, axis=None):
    """`x` with its places moved on by `shift` along `axis`, the last ones to the front.

    `shift` and `axis` are ints or go together in pairs; None rolls the flat tensor.
    """
    x = to_tensor(x)
    shift = tuple([int(s) for s in shift]) if hasattr(shift, "__len__") else int(shift)
    if axis is not None:
        axes = shapes.canonical_axes(axis, len(x.shape), "keras.ops.roll")
        axis = axes if isinstance(axis, (list, tuple)) else axes[0]
    return _roll(x, shift=shift, axis=axis)
