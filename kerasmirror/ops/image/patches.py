"""Patches: every window of an image or volume as the channels of one place."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks
from kerasmirror.core.config import standardize_data_format
from kerasmirror.kernels.geometry import window_output
from kerasmirror.ops.numpy.shape import expand_dims, moveaxis, squeeze
from kerasmirror.ops.tensor import to_tensor


@export("ops.image.extract_patches")
def extract_patches(images, size, strides=None, dilation_rate=1, padding="valid", data_format=None):
    """Every window of images, or with three sizes of volumes, as the channels of one place.

    `strides` is `size` by default: patches side by side.
    Shapes: (N, *spatial, C) or without N, or with the channels before the spatial axes; result
    (N, *places, prod(size) * C), window by window, channels last within.
    Raises: TypeError for a size that is no int or tuple, ValueError for other sizes and ranks.
    """
    owner = "ops.image.extract_patches"
    if not isinstance(size, (int, tuple, list)):
        raise TypeError(f"{owner}: Invalid `size`. Expected an int or a tuple. Received: {size!r}")
    rank = 2 if isinstance(size, int) else len(size)
    if rank not in (2, 3):
        raise ValueError(
            f"{owner}: Invalid `size`. Expected a tuple of length 2 or 3. Received: size={size!r}"
        )
    return _extract(images, size, strides, dilation_rate, padding, data_format, rank, owner)


@export("ops.image.extract_patches_3d")
def extract_patches_3d(
    volumes, size, strides=None, dilation_rate=1, padding="valid", data_format=None
):
    """Every window of volumes as the channels of one place, as `extract_patches`.

    Shapes: (N, D, H, W, C) or (D, H, W, C), or with the channels before D; result
    (N, *places, prod(size) * C).
    Raises: TypeError for a tuple of other than three sizes, ValueError for other sizes and ranks.
    """
    owner = "ops.image.extract_patches_3d"
    if isinstance(size, (tuple, list)) and len(size) != 3:
        checks.fail(owner, "size", "an int or a tuple of 3", size, TypeError)
    return _extract(volumes, size, strides, dilation_rate, padding, data_format, 3, owner)


def _extract(images, size, strides, dilation_rate, padding, data_format, rank, owner):
    size = checks.int_tuple(size, rank, "size", owner=owner)
    strides = checks.int_tuple(size if not strides else strides, rank, "strides", owner=owner)
    dilation = checks.int_tuple(dilation_rate, rank, "dilation_rate", owner=owner)
    padding = checks.padding(padding, owner=owner)
    first = standardize_data_format(data_format, owner) == "channels_first"
    images = to_tensor(images)
    if len(images.shape) not in (rank + 1, rank + 2):
        raise ValueError(
            f"{owner}: `images` must have {rank + 1} or {rank + 2} axes. "
            f"Received: images.shape={tuple(images.shape)}"
        )
    single = len(images.shape) == rank + 1
    if single:
        images = expand_dims(images, 0)
    if first:
        images = moveaxis(images, 1, -1)
    places = [
        window_output(n, window, step, apart, padding)
        for n, window, step, apart in zip(images.shape[1:-1], size, strides, dilation, strict=True)
    ]
    if any(out is not None and out < 1 for out, _ in places):
        raise ValueError(
            f"{owner}: `size` must fit into the images. "
            f"Received: size={size}, images.shape={tuple(images.shape)}"
        )
    patches = _patches(
        images,
        size=size,
        strides=strides,
        dilation=dilation,
        out=tuple(out for out, _ in places),
        pads=tuple(pad for _, pad in places),
    )
    if first:
        patches = moveaxis(patches, -1, 1)
    return squeeze(patches, 0) if single else patches


def _patches_spec(x, *, size, strides, dilation, out, pads):
    channels = x.shape[-1]
    depth = None if channels is None else int(np.prod(size)) * channels
    return (x.shape[0], *out, depth), x.dtype


@primitive("extract_patches", spec=_patches_spec, tangent=tangents.linear)
def _patches(k, x, *, size, strides, dilation, out, pads):
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    y = np.empty((x.shape[0], *out, *size, x.shape[-1]), x.dtype)
    windows = [
        (
            (slice(None), *(
                slice(o * d, o * d + (n - 1) * s + 1, s)
                for o, d, n, s in zip(offset, dilation, out, strides, strict=True)
            )),
            (slice(None), *(slice(None),) * len(out), *offset),
        )
        for offset in np.ndindex(*size)
    ]  # fmt: skip
    for source, target in windows:
        y[target] = padded[source]
    y = y.reshape(x.shape[0], *out, -1)

    def backward(dy, needs):
        parts = dy.reshape(x.shape[0], *out, *size, x.shape[-1])
        dx = np.zeros(padded.shape, dy.dtype)
        for source, target in windows:
            dx[source] += parts[target]
        inner = tuple(
            slice(before, before + n) for (before, _), n in zip(pads, x.shape[1:-1], strict=True)
        )
        return (np.ascontiguousarray(dx[(slice(None), *inner)]),)

    return y, backward
