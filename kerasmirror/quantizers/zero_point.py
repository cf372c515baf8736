"""Unsigned levels with a scale and a zero point for each group: `w ~ (level - zero) * scale`.

Arrays in, arrays out; matrices are (outputs, inputs), groups lie along the inputs.
"""

from __future__ import annotations

import numpy as np


def parameters_of(w, bits, symmetric=False, per_channel=True, group_size=-1):
    """(scale, zero, highest level) that cover the range of each group of `w`.

    Shapes: scale and zero (outputs, groups); `per_channel` False repeats one pair for all outputs.
    """
    outputs, inputs = w.shape
    groups = -(-inputs // group_size) if per_channel and group_size > 0 else 1
    if groups > 1:
        padded = np.zeros((outputs, groups * group_size), w.dtype)
        padded[:, :inputs] = w
        parts = padded.reshape(outputs, groups, group_size)
    else:
        parts = w.reshape(outputs if per_channel else 1, 1, -1)
    low, high = parts.min(axis=2), parts.max(axis=2)
    if symmetric:
        level = (low == high) & (low >= 0)  # widened below
        high = np.maximum(np.abs(low), high)
        low = np.where(level, low, -high)
    flat = low == high
    low, high = np.where(flat, low - 1, low), np.where(flat, high + 1, high)
    top = w.dtype.type(2**bits - 1)
    scale, zero = _scale_and_zero(low, high, top)
    # A zero point is a byte. Where 0 is too far below or above the range, the range is made to have
    # it; Keras lets the byte wrap there, and the weights come out as something else.
    far = (zero < 0) | (zero > 255)
    low, high = np.where(far, np.minimum(low, 0), low), np.where(far, np.maximum(high, 0), high)
    scale, zero = _scale_and_zero(low, high, top)
    if symmetric:
        zero = np.full_like(scale, (top + 1) / 2)
    zero = zero.astype(np.uint8)
    if not per_channel:
        scale, zero = np.repeat(scale, outputs, axis=0), np.repeat(zero, outputs, axis=0)
    return scale, zero, top


def _scale_and_zero(low, high, top):
    scale = (high - low) / top
    scale = np.where(scale <= 0, scale.dtype.type(1e-8), scale)
    return scale, np.round(-low / scale)


def levels_of(w, scale, zero, top):
    """The levels of `w`, as floats; scale and zero fit it by broadcasting."""
    safe = np.where(scale == 0, scale.dtype.type(1e-8), scale)
    return np.clip(np.round(w / safe + zero.astype(scale.dtype)), 0, top)


def values_of(levels, scale, zero):
    """What levels stand for."""
    return (levels.astype(scale.dtype) - zero.astype(scale.dtype)) * scale


def spread(array, group_of, axis=-1):
    """A scale or zero point for each input, from those of the groups (`group_of` each input)."""
    return np.take(array, group_of.astype(np.int64), axis=axis)


def values_of_rows(levels, scale, zero, group_of):
    """`(levels - zero) * scale` in place, rows of a group having one scale and zero point.

    Shapes: levels (rows, columns), floats; scale and zero (groups, columns); group_of (rows,).
    """
    group_of = group_of.astype(np.int64)
    starts = np.flatnonzero(np.diff(group_of, prepend=-1))
    for start, end in zip(starts, [*starts[1:], len(levels)], strict=True):
        part = levels[start:end]
        part -= zero[group_of[start]]
        part *= scale[group_of[start]]
    return levels
