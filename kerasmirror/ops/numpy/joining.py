"""Tensors put together and cut apart along an axis."""

from __future__ import annotations

from numbers import Integral

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import dtypes
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy.shape import expand_dims, ravel
from kerasmirror.ops.tensor import _stack, snapshot, to_array, to_tensor


def _joinable(xs, owner):
    if not isinstance(xs, (list, tuple)):
        xs = [part for part in xs]
    if not xs:
        raise ValueError(f"{owner}: at least one tensor must be given. Received: {xs}")
    dtype = xs[0].data.dtype if type(xs[0]) is Tensor else None
    for x in xs:
        if type(x) is not Tensor or x.data.dtype is not dtype:
            break
    else:
        return xs
    xs = [to_tensor(x) for x in xs]
    names = {x.dtype for x in xs}
    if len(names) > 1:
        common = dtypes.result_type(*names)
        xs = [to_tensor(x, common) for x in xs]
    return xs


def _concatenate_spec(*xs, axis):
    return shapes.concatenated([x.shape for x in xs], axis), xs[0].dtype


@primitive("concatenate", spec=_concatenate_spec, tangent=tangents.linear)
def _concatenate(k, *xs, axis):
    try:
        y = k.concatenate(xs, axis)
    except ValueError:
        shapes.concatenated([x.shape for x in xs], axis)
        raise
    shapes_of = [x.shape for x in xs]

    def backward(dy, needs):
        sizes = [shape[axis] for shape in shapes_of]
        return tuple(
            [
                k.contiguous(piece) if needed else None
                for piece, needed in zip(cut(dy, sizes, axis), needs, strict=True)
            ]
        )

    return y, backward


def cut(x, sizes, axis):
    """Views of x: pieces of `sizes` along `axis`."""
    front, start, pieces = (slice(None),) * axis, 0, []
    for size in sizes:
        pieces.append(x[(*front, slice(start, start + size))])
        start += size
    return pieces


def _joined(xs, axis, owner):
    xs = _joinable(xs, owner)
    axis = shapes.canonical_axis(axis, len(xs[0].shape), owner)
    return _concatenate(*xs, axis=axis)


@export("ops.concatenate", "ops.numpy.concatenate")
def concatenate(xs, axis=0):
    """The tensors one after the other along `axis`, in their common dtype."""
    return _joined(xs, axis, "keras.ops.concatenate")


@export("ops.append", "ops.numpy.append")
def append(x1, x2, axis=None):
    """`x2` behind `x1` along `axis`; None: both made flat."""
    if axis is None:
        return _joined([ravel(x1), ravel(x2)], 0, "keras.ops.append")
    return _joined([x1, x2], axis, "keras.ops.append")


@export("ops.hstack", "ops.numpy.hstack")
def hstack(xs):
    """The tensors joined along the second axis (the first, if they have no more)."""
    xs = _joinable(xs, "keras.ops.hstack")
    return _joined(xs, 0 if len(xs[0].shape) == 1 else 1, "keras.ops.hstack")


@export("ops.vstack", "ops.numpy.vstack")
def vstack(xs):
    """The tensors joined along the first axis."""
    return _joined(xs, 0, "keras.ops.vstack")


@export("ops.dstack", "ops.numpy.dstack")
def dstack(xs):
    """The tensors joined along the third axis, which those with fewer axes get."""
    return _joined(
        [_with_depth(x) for x in _joinable(xs, "keras.ops.dstack")], 2, "keras.ops.dstack"
    )


def _with_depth(x):
    rank = len(x.shape)
    if rank == 0:
        return expand_dims(x, (0, 1, 2))
    if rank == 1:
        return expand_dims(x, (0, 2))
    return expand_dims(x, 2) if rank == 2 else x


@export("ops.stack", "ops.numpy.stack")
def stack(x, axis=0):
    """Tensors of one shape along a new axis."""
    return _stack(*_joinable(x, "keras.ops.stack"), axis=axis)


def _split_spec(x, *, sections, axis):
    sizes = _sectionsizes_of(x.shape, sections, axis)
    return [((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype) for n in sizes]


def _sectionsizes_of(shape, sections, axis):
    size = shape[axis]
    if isinstance(sections, tuple):
        ends = (*sections, size)
        if size is None:
            known = [b - a for a, b in zip((0, *sections), sections, strict=False)]
            return [*known, None]
        # As slices: an index beyond the end, or below the one before it, gives an empty piece.
        starts = (0, *sections)
        return [len(range(size)[a:b]) for a, b in zip(starts, ends, strict=True)]
    if size is None:
        return [None] * sections
    if sections < 1 or size % sections:
        raise ValueError(
            "keras.ops.split: `indices_or_sections` must divide the size of the axis. "
            f"Received: indices_or_sections={sections}, x.shape={tuple(shape)}, axis={axis}"
        )
    return [size // sections] * sections


@primitive("split", spec=_split_spec, tangent=tangents.linear)
def _split(k, x, *, sections, axis):
    sizes = _sectionsizes_of(x.shape, sections, axis)
    shape, dtype = x.shape, x.dtype

    def backward(dys, needs):
        parts = [
            k.zeros((*shape[:axis], n, *shape[axis + 1 :]), dtype) if dy is None else dy
            for dy, n in zip(dys, sizes, strict=True)
        ]
        return (k.concatenate(parts, axis),)

    if isinstance(sections, tuple) and sum(sizes) != shape[axis]:
        raise ValueError(
            "keras.ops.split: `indices_or_sections` must be ascending positions. "
            f"Received: indices_or_sections={sections}, x.shape={shape}, axis={axis}"
        )
    return tuple(cut(x, sizes, axis)), backward


def _pieces(x, indices_or_sections, axis, owner):
    x = snapshot(x)
    axis = shapes.canonical_axis(axis, len(x.shape), owner)
    if isinstance(indices_or_sections, Integral):
        sections = int(indices_or_sections)
    else:
        sections = tuple([int(i) for i in to_array(indices_or_sections).tolist()])
    return list(_split(x, sections=sections, axis=axis))


@export("ops.split", "ops.numpy.split")
def split(x, indices_or_sections, axis=0):
    """Pieces of `x` along `axis`: a number of equal ones, or cut before the given positions.

    Raises: ValueError when the number does not divide the axis.
    """
    return _pieces(x, indices_or_sections, axis, "keras.ops.split")


@export("ops.array_split", "ops.numpy.array_split")
def array_split(x, indices_or_sections, axis=0):
    """As `split`, but the first pieces are longer by one where the number does not divide."""
    if not isinstance(indices_or_sections, Integral):
        return _pieces(x, indices_or_sections, axis, "keras.ops.array_split")
    x = snapshot(x)
    size = x.shape[shapes.canonical_axis(axis, len(x.shape), "keras.ops.array_split")]
    if size is None:
        return [KerasTensor(x.shape, x.dtype) for _ in range(indices_or_sections)]
    each, longer = divmod(size, indices_or_sections)
    ends = [i * each + min(i, longer) for i in range(1, indices_or_sections)]
    return _pieces(x, ends, axis, "keras.ops.array_split")


@export("ops.hsplit", "ops.numpy.hsplit")
def hsplit(x, indices_or_sections):
    """`split` along the second axis (the first, if there are no more)."""
    x = snapshot(x)
    return _pieces(x, indices_or_sections, 0 if len(x.shape) == 1 else 1, "keras.ops.hsplit")


@export("ops.vsplit", "ops.numpy.vsplit")
def vsplit(x, indices_or_sections):
    """`split` along the first axis."""
    return _pieces(x, indices_or_sections, 0, "keras.ops.vsplit")


@export("ops.dsplit", "ops.numpy.dsplit")
def dsplit(x, indices_or_sections):
    """`split` along the third axis."""
    return _pieces(x, indices_or_sections, 2, "keras.ops.dsplit")
