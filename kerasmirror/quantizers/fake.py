"""Fake quantization: values go through a grid of 2**num_bits levels and stay floats."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks


@export("quantizers.fake_quant_with_min_max_vars")
def fake_quant_with_min_max_vars(
    inputs, min_vals, max_vals, num_bits=8, narrow_range=False, axis=None
):
    """The nearest of `2**num_bits` levels between `min_vals` and `max_vals`, both moved to have 0.

    With `axis` each place on it has its own range. `narrow_range` leaves the lowest level out.
    Gradients: the inputs' pass through where they are within the range; what lies below goes to
    `min_vals`, above to `max_vals`. Computed in float32, as TensorFlow does.
    Raises: ValueError for `num_bits` that are not 2 to 16, or ranges that do not fit the axis.
    Source: Keras 3.15 `keras.quantizers.fake_quant_with_min_max_vars`; Jacob et al. 2017,
    https://arxiv.org/abs/1712.05877, Section 3.
    """
    owner = "keras.quantizers.fake_quant_with_min_max_vars"
    inputs = ops.convert_to_tensor(inputs)
    low, high = (ops.convert_to_tensor(value, "float32") for value in (min_vals, max_vals))
    num_bits = int(num_bits)
    if not 2 <= num_bits <= 16:
        checks.fail(owner, "num_bits", "an int of 2 to 16", num_bits)
    if axis is not None:
        rank = len(inputs.shape)
        if not -rank <= axis < rank:
            checks.fail(owner, "axis", f"an axis of {rank}", axis)
        axis %= rank
    size = 1 if axis is None else inputs.shape[axis]
    for name, value in (("min_vals", low), ("max_vals", high)):
        count = int(np.prod(value.shape))
        # A placeholder's range may be given as one number for all places on the axis.
        if size is not None and count not in (1, size):
            expected = f"of {size} value(s)"
            raise ValueError(
                f"{owner}: `{name}` must be {expected}. Received: {name}.shape={value.shape}"
            )
    return _fake_quant(inputs, low, high, num_bits=num_bits, narrow=bool(narrow_range), axis=axis)


def _same(x, low, high, **options):
    return x.shape, x.dtype


@primitive("fake_quant", spec=_same)
def _fake_quant(k, x, low, high, *, num_bits, narrow, axis):
    values = x.astype(np.float32)
    shape = [1] * x.ndim
    if axis is not None:
        shape[axis] = -1
    least, most, scale, inverse = (
        part.reshape(shape) for part in _nudged(low.ravel(), high.ravel(), num_bits, narrow)
    )
    half = np.float32(0.5)
    # The level of 0, so that 0 itself comes out exactly.
    zero = np.floor(half - least * inverse)
    level = np.floor((np.clip(values, least, most) - least) * inverse - zero + half)
    y = (level * scale).astype(x.dtype)

    def backward(dy, needs):
        below, above = values < least, values > most
        axes = tuple(i for i in range(x.ndim) if i != axis)
        dx = np.where(below | above, 0, dy).astype(x.dtype, copy=False) if needs[0] else None
        sides = []
        for side, bound, need in ((below, low, needs[1]), (above, high, needs[2])):
            total = np.where(side, dy, 0).sum(axis=axes, dtype=np.float32) if need else None
            if need and bound.size == 1:
                total = total.sum()
            sides.append(total.reshape(bound.shape).astype(bound.dtype) if need else None)
        return dx, *sides

    return y, backward


@_fake_quant.forward
def _fake_quant_tangent(k, inputs, changes, y, **options):
    # As backward: straight through the rounding; the range's ends stand for what they cut.
    (x, low, high), axis = inputs, options["axis"]
    shape = [-1 if i == axis else 1 for i in range(x.ndim)]
    dx, dlow, dhigh = (np.zeros(1, x.dtype) if change is None else change for change in changes)
    dlow, dhigh = (np.broadcast_to(change.reshape(shape), x.shape) for change in (dlow, dhigh))
    values, low, high = x.astype(np.float32), low.reshape(shape), high.reshape(shape)
    return np.where(values < low, dlow, np.where(values > high, dhigh, dx))


def _nudged(low, high, num_bits, narrow):
    """(least level, greatest level, step, 1 / step), moved so that one level is 0."""
    bottom, top = np.float32(narrow), np.float32((1 << num_bits) - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (high - low) / (top - bottom)
        start = bottom - low / scale
        inverse = (top - bottom) / (high - low)
    # Halves are rounded away from 0, unlike by np.round.
    start = np.where(start < bottom, bottom, np.where(start > top, top, np.floor(start + 0.5)))
    start = start.astype(np.float32)
    return (bottom - start) * scale, (top - start) * scale, scale, inverse
