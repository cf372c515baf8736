"""Two numbers of 4 bits in one byte."""

from __future__ import annotations

import functools

import numpy as np

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks
from kerasmirror.core.tensor import Tensor

_DTYPES = ("int8", "uint8")


@export("quantizers.pack_int4")
def pack_int4(arr, axis=0, dtype="int8"):
    """(packed, its shape, the length on `axis` before): neighbours on `axis` share a byte.

    The first of the two is in the low bits; an odd length is padded with a zero.
    Raises: ValueError for a dtype that is not int8 or uint8 or an axis that is not there, TypeError
    for an array of another dtype.
    Source: Keras 3.15 `keras.quantizers.pack_int4`.
    """
    checks.one_of(dtype, _DTYPES, "dtype", owner="keras.quantizers.pack_int4")
    arr = ops.convert_to_tensor(arr)
    if arr.dtype != dtype:
        raise TypeError(
            f"keras.quantizers.pack_int4: `arr` must have the dtype {dtype}. "
            f"Received: an array of dtype {arr.dtype}"
        )
    axis = _checked_axis(axis, len(arr.shape), "keras.quantizers.pack_int4")
    values = np.moveaxis(arr.data, axis, 0)
    length = values.shape[0]
    nibbles = values.view(np.uint8) & 0xF
    packed = np.array(nibbles[::2])
    packed[: length // 2] |= nibbles[1::2] << 4
    packed = np.ascontiguousarray(np.moveaxis(packed, 0, axis)).view(dtype)
    return Tensor(packed), packed.shape, length


@export("quantizers.unpack_int4")
def unpack_int4(packed, orig_len, axis=0, dtype="int8"):
    """What `pack_int4` packed: `orig_len` numbers of 4 bits on `axis`, signed for int8.

    Raises: ValueError for a dtype that is not int8 or uint8, an axis that is not there, or a length
    that is not packed; TypeError for an array of another dtype.
    Source: Keras 3.15 `keras.quantizers.unpack_int4`.
    """
    owner = "keras.quantizers.unpack_int4"
    checks.one_of(dtype, _DTYPES, "dtype", owner=owner)
    packed = ops.convert_to_tensor(packed)
    if packed.dtype not in _DTYPES:
        raise TypeError(
            f"{owner}: `packed` must have the dtype int8 or uint8. "
            f"Received: an array of dtype {packed.dtype}"
        )
    axis = _checked_axis(axis, len(packed.shape), owner)
    size = packed.shape[axis]
    if size is not None and not 0 <= orig_len <= 2 * size:
        checks.fail(owner, "orig_len", f"within 0 and {2 * size}, twice the size", orig_len)
    return _unpack(packed, length=orig_len, axis=axis, dtype=dtype)


def _checked_axis(axis, rank, owner):
    if not -rank <= axis < rank:
        checks.fail(owner, "axis", f"within [{-rank}, {rank})", axis)
    return axis % rank


def _unpack_spec(packed, *, length, axis, dtype):
    return (*packed.shape[:axis], length, *packed.shape[axis + 1 :]), dtype


@primitive(
    "unpack_int4", spec=_unpack_spec, tangent=tangents.without_gradient("it takes whole numbers")
)
def _unpack(k, packed, *, length, axis, dtype):
    return unpacked(packed, length, axis, dtype), None


def unpacked(packed, length, axis=0, dtype="int8"):
    """`unpack_int4` of an array."""
    if axis == packed.ndim - 1:
        return unpacked_rows(packed, length, dtype)
    shape = (*packed.shape[:axis], 2 * packed.shape[axis], *packed.shape[axis + 1 :])
    out = np.empty(shape, dtype)
    low, high = np.moveaxis(out, axis, 0)[::2], np.moveaxis(out, axis, 0)[1::2]
    packed = np.moveaxis(packed, axis, 0).view(dtype)
    # Shifted up and down again, signed numbers repeat their highest bit, unsigned ones a zero.
    np.right_shift(np.left_shift(packed, 4), 4, out=low)
    np.right_shift(packed, 4, out=high)
    return out[(slice(None),) * axis + (slice(length),)]


def unpacked_rows(packed, length, dtype="int8", signed=None):
    """`unpack_int4` along the last axis, as numbers of `dtype`, which may be a float one."""
    signed = np.dtype(dtype) == np.int8 if signed is None else signed
    packed = np.ascontiguousarray(packed).view(np.uint8)
    out = _pairs(np.dtype(dtype).name, signed)[packed].view(dtype)
    return out if out.shape[-1] == length else np.ascontiguousarray(out[..., :length])


@functools.cache
def _pairs(dtype, signed):
    """The two numbers of each byte, as one element of twice the size."""
    byte = np.arange(256, dtype=np.uint8)
    numbers = np.stack([byte & 0xF, byte >> 4], axis=1).astype(np.int8)
    if signed:
        numbers = (numbers ^ 8) - 8
    numbers = numbers.astype(dtype)
    return numbers.view({1: np.uint16, 2: np.uint32, 4: np.uint64}[numbers.itemsize]).reshape(-1)
