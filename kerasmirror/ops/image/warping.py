"""Images read at other places: affine and perspective maps, and given coordinates."""

from __future__ import annotations

import functools
import itertools
import operator

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff.composite import composite
from kerasmirror.core import checks, dtypes
from kerasmirror.ops import linalg
from kerasmirror.ops.image.layout import as_batch, check_rank
from kerasmirror.ops.numpy import elementwise
from kerasmirror.ops.numpy.indexing import take, where
from kerasmirror.ops.numpy.joining import stack
from kerasmirror.ops.numpy.shape import expand_dims, ravel, reshape
from kerasmirror.ops.tensor import cast, float_tensor, stop_gradient, to_tensor

INTERPOLATIONS = ("nearest", "bilinear")
MAP_FILL_MODES = ("constant", "nearest", "wrap", "reflect")
_FILL_MODES = ("constant", "nearest", "wrap", "mirror", "reflect")


def same_spec(images, **options):
    """Shape and dtype of a result that has those of the images."""
    return tuple(images.shape), images.dtype


# --- projective maps ------------------------------------------------------------------------


def _affine_spec(images, transform, **options):
    _check_affine(images, transform)
    return tuple(images.shape), images.dtype


def _check_affine(images, transform):
    owner = "ops.image.affine_transform"
    check_rank(images, owner)
    if len(transform.shape) not in (1, 2):
        raise ValueError(
            f"{owner}: Invalid transform rank: expected rank 1 (one for all images) or rank 2 "
            f"(one for each). Received: transform.shape={tuple(transform.shape)}"
        )
    if transform.shape[-1] not in (8, None):
        raise ValueError(
            f"{owner}: `transform` must have shape (8,) or (N, 8). "
            f"Received: transform.shape={tuple(transform.shape)}"
        )


@export("ops.image.affine_transform")
@composite(_affine_spec)
def affine_transform(
    images,
    transform,
    interpolation="bilinear",
    fill_mode="constant",
    fill_value=0,
    data_format=None,
):
    """Images whose place (x, y) shows what was at ((a0 x + a1 y + a2) / p, (b0 x + b1 y + b2) / p).

    p = c0 x + c1 y + 1; `transform` holds a0, a1, a2, b0, b1, b2, c0, c1, one for all images or
    one for each. Beyond the image, `fill_mode` goes on: "constant" with `fill_value`, "nearest"
    with the edge, "reflect" backwards with the edge twice and "mirror" with it once, "wrap" from
    the other side.
    Shapes: images (H, W, C) or (N, H, W, C), or with the channels before H; transform (8,) or
    (N, 8); result as images.
    Raises: ValueError for other ranks or names.
    Source: Keras 3.15 `keras.ops.image.affine_transform` on TensorFlow.
    """
    owner = "ops.image.affine_transform"
    checks.one_of(interpolation, INTERPOLATIONS, "interpolation", owner=owner)
    checks.one_of(fill_mode, _FILL_MODES, "fill_mode", owner=owner)
    images, transform = to_tensor(images), to_tensor(transform)
    _check_affine(images, transform)
    images, restore = as_batch(images, data_format, owner)
    return restore(_projected(images, transform, interpolation, fill_mode, fill_value))


def _projected(images, transform, interpolation, fill_mode, fill_value):
    transform = reshape(cast(transform, "float32"), (-1, 8, 1, 1))
    height, width = images.shape[1:3]
    y, x = (to_tensor(part.astype(np.float32)) for part in np.mgrid[:height, :width])
    a0, a1, a2, b0, b1, b2, c0, c1 = (transform[:, i] for i in range(8))
    depth = c0 * x + c1 * y + 1
    seen = depth.data != 0
    depth = where(to_tensor(seen), depth, 1)
    columns, rows = (a0 * x + a1 * y + a2) / depth, (b0 * x + b1 * y + b2) / depth
    # A place at infinity lies outside of the image.
    columns = where(to_tensor(seen), columns, -2.0 * width)
    rows = where(to_tensor(seen), rows, -2.0 * height)
    read = _read(images, _continued(rows, height, fill_mode), _continued(columns, width, fill_mode),
                 interpolation, fill_value)  # fmt: skip
    return cast(read, images.dtype)


def _continued(places, size, fill_mode):
    """Where in [0, size - 1] the image goes on with what it shows at `places`."""
    given = places.data
    if fill_mode == "constant":
        return places
    if fill_mode == "mirror":
        period = max(2 * (size - 1), 1)
        turned = np.mod(given, period)
        signs = np.where(turned > size - 1, -1, 1)
        moved = np.where(turned > size - 1, period - turned, turned)
    elif fill_mode == "reflect":
        period = 2 * size
        turned = np.mod(given, period)
        signs = np.where(turned >= size, -1, 1)
        moved = np.where(turned >= size, period - 1 - turned, turned)
    elif fill_mode == "wrap":
        # TensorFlow's period for a place beyond the last pixel is one less than the size.
        span = max(size - 1, 1)
        below = given + size * (np.trunc(-given / span) + 1)
        above = given - size * np.trunc(given / span)
        signs, moved = 1, np.where(given < 0, below, np.where(given > size - 1, above, given))
    else:
        signs, moved = 1, given
    # places * sign + constant: a gradient in the places flows on.
    shift = to_tensor((moved - given * signs).astype(given.dtype))
    places = places * to_tensor(np.asarray(signs, given.dtype)) + shift
    return elementwise.clip(places, 0, size - 1)


def _read(images, rows, columns, interpolation, fill_value):
    """images (N, H, W, C) at rows and columns (N or 1, P, Q); outside is `fill_value`."""
    n, height, width, channels = images.shape
    flat = reshape(images, (n * height * width, channels))
    if interpolation == "nearest":
        # Halves are rounded away from zero.
        r, c = (np.trunc(p.data + np.copysign(0.5, p.data)) for p in (rows, columns))
        return _gathered(flat, r, c, images.shape, fill_value)
    result = None
    top, left = stop_gradient(elementwise.floor(rows)), stop_gradient(elementwise.floor(columns))
    down, right = rows - top, columns - left
    for r, row_weight in ((0, 1 - down), (1, down)):
        for c, column_weight in ((0, 1 - right), (1, right)):
            part = _gathered(flat, top.data + r, left.data + c, images.shape, fill_value)
            part = part * expand_dims(row_weight * column_weight, -1)
            result = part if result is None else result + part
    return result


def _gathered(flat, rows, columns, shape, fill_value):
    n, height, width, _ = shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    rows, columns = (np.where(inside, p, 0).astype(np.int64) for p in (rows, columns))
    image = np.arange(n, dtype=np.int64)[:, None, None]
    places = np.ascontiguousarray((image * height + rows) * width + columns)
    inside = np.broadcast_to(inside, places.shape)
    read = take(flat, to_tensor(places), 0)
    if inside.all():
        return read
    return where(to_tensor(np.ascontiguousarray(inside[..., None])), read, fill_value)


def _perspective_spec(images, start_points, end_points, **options):
    _check_points(images, start_points, end_points)
    return tuple(images.shape), images.dtype


def _check_points(images, start, end):
    owner = "ops.image.perspective_transform"
    check_rank(images, owner)
    for name, points in (("start_points", start), ("end_points", end)):
        if len(points.shape) not in (2, 3) or tuple(points.shape[-2:]) != (4, 2):
            raise ValueError(
                f"{owner}: Invalid {name} shape: expected (4, 2) or (N, 4, 2). "
                f"Received: {name}.shape={tuple(points.shape)}"
            )
    if tuple(start.shape) != tuple(end.shape):
        raise ValueError(
            f"{owner}: `start_points` and `end_points` must have the same shape. "
            f"Received: {tuple(start.shape)} and {tuple(end.shape)}"
        )


@export("ops.image.perspective_transform")
@composite(_perspective_spec)
def perspective_transform(
    images,
    start_points,
    end_points,
    interpolation="bilinear",
    fill_value=0,
    data_format=None,
):
    """Images seen from elsewhere: what was at each of four `start_points` goes to `end_points`.

    Shapes: images (H, W, C) or (N, H, W, C), or with the channels before H; start_points and
    end_points (4, 2) or (N, 4, 2) of (x, y); result as images.
    Raises: ValueError for other shapes or names.
    """
    owner = "ops.image.perspective_transform"
    checks.one_of(interpolation, INTERPOLATIONS, "interpolation", owner=owner)
    images, start, end = to_tensor(images), to_tensor(start_points), to_tensor(end_points)
    _check_points(images, start, end)
    start, end = cast(start, "float32"), cast(end, "float32")
    images, restore = as_batch(images, data_format, owner)
    transform = _homography(reshape(start, (-1, 4, 2)), reshape(end, (-1, 4, 2)))
    return restore(_projected(images, transform, interpolation, "constant", fill_value))


def _homography(start, end):
    """The 8 numbers of the map that takes each end point to its start point."""
    x, y = end[..., 0], end[..., 1]
    one, zero = to_tensor(np.ones(x.shape, np.float32)), to_tensor(np.zeros(x.shape, np.float32))
    rows = []
    for axis, own in ((0, (x, y, one, zero, zero, zero)), (1, (zero, zero, zero, x, y, one))):
        target = start[..., axis]
        rows.append(stack([*own, -(target * x), -(target * y)], axis=-1))
    matrix = reshape(stack(rows, axis=2), (-1, 8, 8))
    return reshape(linalg.solve(matrix, reshape(start, (-1, 8, 1))), (-1, 8))


# --- given coordinates ----------------------------------------------------------------------


def _coordinates_spec(inputs, coordinates, order, fill_mode, fill_value):
    _check_coordinates(inputs, coordinates, order, fill_mode)
    return tuple(coordinates.shape[1:]), inputs.dtype


def _check_coordinates(inputs, coordinates, order, fill_mode):
    owner = "ops.image.map_coordinates"
    if len(coordinates.shape) < 2:
        raise ValueError(
            f"{owner}: Invalid coordinates rank: expected at least rank 2. "
            f"Received: coordinates.shape={tuple(coordinates.shape)}"
        )
    if coordinates.shape[0] != len(inputs.shape):
        raise ValueError(
            f"{owner}: the first axis of `coordinates` must be the same as the rank of `inputs`. "
            f"Received: coordinates.shape={tuple(coordinates.shape)}, "
            f"inputs.shape={tuple(inputs.shape)}"
        )
    checks.one_of(fill_mode, _FILL_MODES, "fill_mode", owner=owner)
    if order not in (0, 1):
        raise NotImplementedError(f"{owner}: `order` must be 0 or 1. Received: order={order!r}")


@export("ops.image.map_coordinates")
@composite(_coordinates_spec)
def map_coordinates(inputs, coordinates, order, fill_mode="constant", fill_value=0):
    """The values of `inputs` at coordinates between its places: nearest (0) or linear (1) `order`.

    Beyond the edges, `fill_mode` goes on: "constant" with `fill_value`, "nearest" with the edge,
    "wrap" from the other side, "mirror" and "reflect" backwards, without and with the edge twice.
    Whole numbers are rounded.
    Shapes: inputs of R axes, coordinates (R, ...), result (...).
    Raises: ValueError for other shapes or names, NotImplementedError for higher orders.
    """
    inputs = to_tensor(inputs)
    if isinstance(coordinates, (list, tuple)):
        coordinates = stack([float_tensor(c) for c in coordinates])
    coordinates = float_tensor(coordinates)
    _check_coordinates(inputs, coordinates, order, fill_mode)
    neighbours = []
    for axis, size in enumerate(inputs.shape):
        places = coordinates[axis]
        if order == 0:
            near = elementwise.round(places)
            pairs = [(near.data, to_tensor(np.ones((), places.data.dtype)))]
        else:
            below = stop_gradient(elementwise.floor(places))
            share = places - below
            pairs = [(below.data, 1 - share), (below.data + 1, share)]
        neighbours.append([(*_place(p.astype(np.int64), size, fill_mode), w) for p, w in pairs])
    flat = ravel(inputs)
    strides = np.cumprod((1, *inputs.shape[:0:-1]))[::-1]
    result = None
    for corner in itertools.product(*neighbours):
        places = sum(place * stride for (place, _, _), stride in zip(corner, strides, strict=True))
        part = cast(take(flat, to_tensor(np.ascontiguousarray(places)), 0), coordinates.dtype)
        inside = functools.reduce(np.logical_and, (valid for _, valid, _ in corner))
        if not np.all(inside):
            part = where(to_tensor(inside), part, fill_value)
        part = part * functools.reduce(operator.mul, (weight for _, _, weight in corner))
        result = part if result is None else result + part
    if dtypes.is_int_dtype(inputs.dtype):
        result = elementwise.round(result)
    return cast(result, inputs.dtype)


def _place(places, size, fill_mode):
    """(place within the axis, whether it stands for one there)."""
    inside = (places >= 0) & (places < size)
    if fill_mode == "wrap":
        return np.mod(places, size), np.True_
    if fill_mode == "mirror":
        period = max(2 * (size - 1), 1)
        turned = np.mod(places, period)
        return np.where(turned < size, turned, period - turned), np.True_
    if fill_mode == "reflect":
        turned = np.mod(places, 2 * size)
        return np.where(turned < size, turned, 2 * size - 1 - turned), np.True_
    return places.clip(0, size - 1), inside if fill_mode == "constant" else np.True_
