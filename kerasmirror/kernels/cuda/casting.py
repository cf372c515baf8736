"""Values of one dtype as those of another: see `cast`."""

from __future__ import annotations

import numpy as np

from . import device, half, memory
from .indices import grid_index
from .kernel import CODES, kernel
from .launch import blocks_for, launch, unsupported

__all__ = ["cast"]

_FLOATS = ("f4", "f8")
_MAIN = ("u1", "i4", "i8", "f4", "f8")  # cast to each other at once
_OTHER = ("i1", "i2", "u2", "u4", "u8")  # by way of int64
_PAIRS = [f"{a}* {b}* i4" for a in _MAIN for b in _MAIN if a != b]
_PAIRS += [words for other in _OTHER for words in (f"{other}* i8* i4", f"i8* {other}* i4")]
_TO_NARROW = [f"{a}* u1* i4" for a in _FLOATS]


@kernel(*[pair for pair in _PAIRS if pair not in _TO_NARROW], traffic="r w 0f")
def _cast(x, y, n):
    i = grid_index()
    if i < n:
        y[i] = x[i]


@kernel(*_TO_NARROW, traffic="r w 0f")
def _cast_to_byte(x, y, n):
    # By int64, so that what is not within 0 to 255 wraps around as on the CPU.
    i = grid_index()
    if i < n:
        y[i] = int(x[i])


@kernel("T* u1* i4", T="u1 i1 i2 u2 i4 u4 i8 u8 f4 f8", traffic="r w 0f")
def _is_not_zero(x, y, n):
    i = grid_index()
    if i < n:
        y[i] = x[i] != type(x[i])(0)


def cast(x, dtype):
    """x with its values as `dtype`: towards zero from floats to whole numbers.

    Floats beyond int32 or int64 become the nearest of these, NaN 0 or the lowest one: NumPy leaves
    them to the CPU, x86's gives the lowest number for all. Narrower types take the lower bits of
    the int64, as NumPy does.
    """
    dtype = np.dtype(dtype)
    y = memory.empty(x.shape, dtype)
    if x.dtype == dtype:
        if x.size:
            device.current().copy(y.address, x.address, x.nbytes)
        return y
    return _into(x, y)


def as_dtype(x, dtype):
    """x itself where it is of `dtype`, else `cast`."""
    return x if x.dtype == dtype else cast(x, dtype)


def _into(x, y):
    if x.dtype.name in half.CONVERSIONS:
        return _from_half(x, y)
    if y.dtype.name in half.CONVERSIONS:
        return _to_half(x, y)
    if y.dtype == bool:
        kernel_ = _is_not_zero
    elif y.code == "u1" and x.code in _FLOATS:
        kernel_ = _cast_to_byte
    elif (x.code, y.code) in _CASTS:
        kernel_ = _cast
    elif x.code == y.code:  # bool to uint8
        device.current().copy(y.address, x.address, x.nbytes)
        return y
    elif x.code in CODES.values() and x.code != "i8":
        return _into(cast(x, np.int64), y)
    else:
        raise NotImplementedError(unsupported("cast", (x.code, y.code)))
    launch(kernel_, blocks_for(x.size), x, y, x.size)
    return y


def _from_half(x, y):
    wide = y if y.dtype == np.float32 else memory.empty(x.shape, np.float32)
    launch(half.CONVERSIONS[x.dtype.name][0], blocks_for(x.size), x, wide, x.size)
    return y if wide is y else _into(wide, y)


def _to_half(x, y):
    if y.dtype == np.float16 and x.dtype == np.float64:
        launch(half.FROM_DOUBLE, blocks_for(x.size), x, y, x.size)
        return y
    single = as_dtype(x, np.dtype(np.float32))
    launch(half.CONVERSIONS[y.dtype.name][1], blocks_for(x.size), single, y, x.size)
    return y


_CASTS = set(_cast.signatures)
