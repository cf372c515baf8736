"""Tensors with more places: stretched, repeated, laid side by side, padded."""

from __future__ import annotations

from numbers import Integral

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.broadcasting import sum_to_shape
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy.joining import cut
from kerasmirror.ops.numpy.shape import sizes_of
from kerasmirror.ops.tensor import to_array, to_tensor


def _broadcast_to_spec(x, *, shape):
    target = tuple([None if n == -1 else n for n in shape])
    if shapes.broadcast_shapes(x.shape, target, "keras.ops.broadcast_to") != target:
        raise _cannot_stretch(x.shape, shape)
    return target, x.dtype


def _cannot_stretch(source, target):
    return ValueError(
        "keras.ops.broadcast_to: `shape` must be one that `x` stretches to. "
        f"Received: x.shape={tuple(source)}, shape={tuple(target)}"
    )


@primitive("broadcast_to", spec=_broadcast_to_spec, tangent=tangents.linear)
def _broadcast_to(k, x, *, shape):
    source = x.shape
    try:
        y = k.broadcast_to(x, shape)
    except ValueError:
        raise _cannot_stretch(source, shape) from None
    return y, lambda dy, needs: (sum_to_shape(k, dy, source),)


@export("ops.broadcast_to", "ops.numpy.broadcast_to")
def broadcast_to(x, shape):
    """`x` repeated along its axes of size 1, and new front axes, to `shape`."""
    return _broadcast_to(to_tensor(x), shape=sizes_of(shape, "keras.ops.broadcast_to"))


def _repeat_spec(x, *, repeats, axis):
    shape, size = list(x.shape), shapes.size_of(x.shape)
    if axis is None:
        shape, axis = [size], 0
    n = shape[axis]
    if isinstance(repeats, int):
        shape[axis] = None if n is None else n * repeats
    elif n is None:
        shape[axis] = None
    elif n != len(repeats):
        raise ValueError(
            "keras.ops.repeat: `repeats` must be one int or one for each place of the axis. "
            f"Received: repeats={repeats}, x.shape={tuple(x.shape)}, axis={axis}"
        )
    else:
        shape[axis] = sum(repeats)
    return tuple(shape), x.dtype


@primitive("repeat", spec=_repeat_spec, tangent=tangents.linear)
def _repeat(k, x, *, repeats, axis):
    _repeat_spec(x, repeats=repeats, axis=axis)
    shape = x.shape
    y = k.repeat(x, repeats, axis)

    def backward(dy, needs):
        place = 0 if axis is None else axis
        if isinstance(repeats, int):
            n = dy.shape[place]
            grouped = (n // repeats, repeats) if repeats else (shape[place], 0)
            dy = dy.reshape(*dy.shape[:place], *grouped, *dy.shape[place + 1 :])
            return (k.sum(dy, place + 1).reshape(shape),)
        pieces = [k.sum(piece, place, True) for piece in cut(dy, repeats, place)]
        return (k.concatenate(pieces, place).reshape(shape),)

    return y, backward


@export("ops.repeat", "ops.numpy.repeat")
def repeat(x, repeats, axis=None):
    """Each place of `axis` (None: of the flat tensor) `repeats` times in a row.

    `repeats` is one int, or one for each place.
    """
    x = to_tensor(x)
    if not isinstance(repeats, Integral):
        repeats = tuple([int(n) for n in to_array(repeats).reshape(-1).tolist()])
        repeats = repeats[0] if len(repeats) == 1 else repeats
    if axis is not None:
        axis = shapes.canonical_axis(axis, len(x.shape), "keras.ops.repeat")
    return _repeat(x, repeats=repeats, axis=axis)


def _tile_shapes(shape, repeats):
    rank = max(len(shape), len(repeats))
    shape = (1,) * (rank - len(shape)) + tuple(shape)
    return shape, (1,) * (rank - len(repeats)) + repeats


def _tile_spec(x, *, repeats):
    shape, repeats = _tile_shapes(x.shape, repeats)
    sizes = [None if n is None else n * r for n, r in zip(shape, repeats, strict=True)]
    return tuple(sizes), x.dtype


@primitive("tile", spec=_tile_spec, tangent=tangents.linear)
def _tile(k, x, *, repeats):
    shape = x.shape

    def backward(dy, needs):
        # Axis n becomes (copy, place); the copies add up.
        long, times = _tile_shapes(shape, repeats)
        pairs = [size for pair in zip(times, long, strict=True) for size in pair]
        return (k.sum(dy.reshape(pairs), tuple(range(0, len(pairs), 2))).reshape(shape),)

    return k.tile(x, repeats), backward


@export("ops.tile", "ops.numpy.tile")
def tile(x, repeats):
    """`x` laid side by side `repeats` times along each axis."""
    return _tile(to_tensor(x), repeats=sizes_of(repeats, "keras.ops.tile"))


def _pad_spec(x, *, widths, mode, value):
    pairs = zip(x.shape, widths, strict=True)
    return tuple([None if n is None else n + a + b for n, (a, b) in pairs]), x.dtype


@primitive("pad", spec=_pad_spec)
def _pad(k, x, *, widths, mode, value):
    if mode == "constant":
        inside = tuple([slice(a, a + n) for n, (a, _) in zip(x.shape, widths, strict=True)])
        return k.pad(x, widths, value), lambda dy, needs: (dy[inside],)
    shape = x.shape

    def backward(dy, needs):
        # Each place of the result is a copy of some place of x along every axis in turn.
        for axis, (size, width) in enumerate(zip(shape, widths, strict=True)):
            if width != (0, 0):
                source = k.pad(k.cumsum(k.zeros((size,), "int32") + 1) - 1, [width], mode=mode)
                form = list(dy.shape)
                form[axis] = size
                index = source.reshape([-1 if i == axis else 1 for i in range(dy.ndim)])
                dy = k.put_along_axis_add(tuple(form), index, dy, axis)
        return (dy,)

    return k.pad(x, widths, mode=mode), backward


@_pad.forward
def _pad_tangent(k, inputs, changes, y, *, widths, mode, value):
    if mode == "constant":
        return k.pad(changes[0], widths, 0)
    return k.pad(changes[0], widths, mode=mode)


_PAD_MODES = ("constant", "reflect", "symmetric", "edge", "wrap", "circular")


@export("ops.pad", "ops.numpy.pad")
def pad(x, pad_width, mode="constant", constant_values=None):
    """`x` with `pad_width` more places before and after each axis.

    `pad_width` is one int, one pair (before, after) for all axes, or one for each axis. `mode`
    fills them with `constant_values` (0), or with values of `x`: "reflect" (without the edge),
    "symmetric" (with it), "edge", "wrap" or "circular".
    Raises: ValueError for another mode, and for `constant_values` without mode "constant".
    """
    x = to_tensor(x)
    if mode not in _PAD_MODES:
        raise ValueError(
            f"keras.ops.pad: `mode` must be one of {_PAD_MODES}. Received: mode={mode!r}"
        )
    if constant_values is not None and mode != "constant":
        raise ValueError(
            "keras.ops.pad: Argument `constant_values` can only be provided when "
            f"`mode == 'constant'`. Received: mode={mode!r}"
        )
    value = 0 if constant_values is None else to_array(constant_values).item()
    widths = _pad_widths(pad_width, len(x.shape))
    if mode == "reflect" and any(
        n is not None and max(w) >= n for n, w in zip(x.shape, widths, strict=True) if any(w)
    ):
        raise ValueError(
            "keras.ops.pad: reflection needs an axis longer than the padding. "
            f"Received: x.shape={x.shape}, pad_width={pad_width}"
        )
    mode = "wrap" if mode == "circular" else mode
    return _pad(x, widths=widths, mode=mode, value=value)


def _pad_widths(pad_width, rank):
    array = to_array(pad_width)
    good = array.size and array.dtype.kind in "iu" and not (array < 0).any()
    if good and array.ndim <= 1 and array.size == 1:
        return ((int(array.reshape(-1)[0]),) * 2,) * rank
    if good and array.shape == (2,):
        array = array.reshape(1, 2)
    if good and array.shape in ((1, 2), (rank, 2)):
        pairs = tuple([(int(a), int(b)) for a, b in array])
        return pairs * rank if len(pairs) == 1 else pairs
    raise ValueError(
        "keras.ops.pad: `pad_width` must be an int of at least 0, a pair of them, or a pair for "
        f"each of the {rank} axes. Received: pad_width={pad_width}"
    )
