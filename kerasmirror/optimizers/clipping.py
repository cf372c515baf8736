"""Clipping of gradients: each by its norm, all by their common norm, or elementwise."""

from __future__ import annotations

import math

from kerasmirror.core.device import copied, kernels_at, overwrite
from kerasmirror.core.tensor import Tensor
from kerasmirror.core.variable import array_of


def check(owner, clipnorm, clipvalue, global_clipnorm):
    """Raise ValueError when more than one way to clip is asked for."""
    if sum(option is not None for option in (clipnorm, clipvalue, global_clipnorm)) > 1:
        raise ValueError(
            f"{owner}: Only one of `clipnorm`, `clipvalue` and `global_clipnorm` can be set. "
            f"Received: clipnorm={clipnorm}, clipvalue={clipvalue}, "
            f"global_clipnorm={global_clipnorm}"
        )


def clip(k, options, blocks):
    """Clip the blocks' gradients in place, as the optimizer's three options say."""
    if options.clipnorm and options.clipnorm > 0:
        for block in blocks:
            for part in block.gradient_parts():
                _clip_by_norm(k, part.reshape(-1), options.clipnorm)
    elif options.global_clipnorm and options.global_clipnorm > 0:
        squares = [k.squared_norm(block.gradient.data) for block in blocks]
        norm = math.sqrt(sum(squares))
        # A norm that is not finite makes every gradient NaN, as it does in Keras.
        factor = _factor(norm, options.global_clipnorm) if math.isfinite(norm) else math.nan
        for block in blocks:
            k.scale(block.gradient.data, factor)
    elif options.clipvalue and options.clipvalue > 0:
        for block in blocks:
            gradient = block.gradient.data
            overwrite(gradient, k.clip(gradient, -options.clipvalue, options.clipvalue))


def clipped(options, gradients):
    """The same for a list of gradients, of which some may be None, that stay as they are."""
    arrays = [None if g is None else copied(array_of(g)) for g in gradients]
    given = [array for array in arrays if array is not None]
    if given:
        clip(kernels_at(given[0]), options, [_Gradient(array) for array in given])
    return [None if array is None else Tensor(array) for array in arrays]


class _Gradient:
    """One gradient in the place of a block."""

    def __init__(self, array):
        self._array = array
        self.gradient = Tensor(array.reshape(-1))

    def gradient_parts(self):
        return [self._array]


def _clip_by_norm(k, gradient, limit):
    k.scale(gradient, _factor(math.sqrt(k.squared_norm(gradient)), limit))


def _factor(norm, limit):
    """What makes a gradient of this norm no longer than `limit`."""
    return limit / max(norm, limit)
