"""What the convolutions on whole arrays share: padding, inserted zeros, shares of the images.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). "Padded" images have the zeros that the
geometry puts around them, so that output (p, q) reads from (p * stride, q * stride) on.
"""

import numpy as np

from . import memory


def padded_size(extents, window, geometry):
    """(rows, columns) of an image with its padding, or of what the outputs read if that is more."""
    return tuple(
        max(before + extent + after, (outputs - 1) * step + (taps - 1) * apart + 1)
        for (before, after), extent, outputs, step, taps, apart in zip(
            geometry.pad,
            extents,
            geometry.out_size,
            geometry.stride,
            window,
            geometry.dilation,
            strict=True,
        )
    )


def padded(x, size, geometry):
    """x within images of `size` (rows, columns) of zeros, where its padding leaves it."""
    (top, _), (left, _) = geometry.pad
    out = memory.zeros((x.shape[0], *size, x.shape[3]), x.dtype)
    out[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    return out


def cut(images, extents, geometry):
    """The inside of padded images: `extents` (H, W)."""
    (top, _), (left, _) = geometry.pad
    return images[:, top : top + extents[0], left : left + extents[1]]


def spread(x, axis, steps, size):
    """x with its places on two axes from `axis` on `steps` apart in zeros; `size` of those axes."""
    shape = (*x.shape[:axis], *size, *x.shape[axis + 2 :])
    out = np.zeros(shape, x.dtype)
    rows, columns = x.shape[axis : axis + 2]
    ends = ((rows - 1) * steps[0] + 1, (columns - 1) * steps[1] + 1)
    places = (slice(0, ends[0], steps[0]), slice(0, ends[1], steps[1]))
    out[(*(slice(None),) * axis, *places)] = x
    return out


def every(x, steps, count):
    """Of axes 1 and 2 of x every steps-th place, `count` of them."""
    rows, columns = ((n - 1) * step + 1 for n, step in zip(count, steps, strict=True))
    return x[:, : rows : steps[0], : columns : steps[1]]


def shares(total, each, room):
    """Slices of `total` items of `each` bytes, as many at a time as take `room` bytes."""
    step = max(1, room // max(1, each))
    return [slice(first, min(total, first + step)) for first in range(0, total, step)]


def channels_of(w_shape, groups):
    """For each group its slices of x's channels and of the filters."""
    channels, filters = w_shape[2], w_shape[3] // groups
    return [
        (slice(g * channels, (g + 1) * channels), slice(g * filters, (g + 1) * filters))
        for g in range(groups)
    ]


def finished(y, bias, relu):
    """activation(y + bias), in place."""
    if bias is not None:
        np.add(y, bias, out=y)
    return np.maximum(y, 0, out=y) if relu else y
