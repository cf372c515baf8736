"""DeviceArray: a contiguous array in a GPU's memory, with as much of NumPy's manner as rules need.

Arithmetic on it runs kernels; NumPy's functions that have one run it, others raise an error. Its
values come to the host by `to_host` alone: nothing moves silently.
"""

from __future__ import annotations

import math

import numpy as np

from .kernel import CODES


class _Flags:
    c_contiguous = True
    writeable = True
    owndata = False


_FLAGS = _Flags()


class DeviceArray:
    """`shape` and `dtype` of values that lie at `address`; `owner` keeps the memory."""

    __slots__ = ("address", "code", "dtype", "ndim", "owner", "shape", "size", "__weakref__")
    flags = _FLAGS
    # NumPy must leave `array + device_array` to __radd__.
    __array_priority__ = 1000

    def __init__(self, address, shape, dtype, owner):
        self.address = address
        self.shape = shape
        self.dtype = dtype
        self.code = CODES.get(dtype) or _half(dtype)
        self.ndim = len(shape)
        self.size = math.prod(shape)
        self.owner = owner

    @property
    def itemsize(self):
        return self.dtype.itemsize

    @property
    def nbytes(self):
        return self.size * self.dtype.itemsize

    @property
    def device(self):
        """The name of the device that holds it."""
        return self.owner.device.name

    # Views

    def view_at(self, first, shape):
        """The part of `shape` from the element `first` of the flat array on."""
        return DeviceArray(self.address + first * self.itemsize, shape, self.dtype, self.owner)

    def reshape(self, *shape):
        """The same values in another shape; one size may be -1."""
        if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)):
            shape = tuple(shape[0])
        if -1 in shape:
            known = -math.prod(shape)
            if known == 0 or self.size % known:
                raise ValueError(f"cannot reshape array of size {self.size} into shape {shape}")
            shape = tuple(self.size // known if size == -1 else size for size in shape)
        if math.prod(shape) != self.size:
            raise ValueError(f"cannot reshape array of size {self.size} into shape {shape}")
        return DeviceArray(self.address, tuple(shape), self.dtype, self.owner)

    def ravel(self):
        """The values in one axis."""
        return self.reshape(self.size)

    # The host

    def to_host(self):
        """The values as a NumPy array, when all that was launched has been computed."""
        self.owner.device.require_no_recording("a value is read back")
        values = np.empty(self.shape, self.dtype)
        if self.size:
            self.owner.device.copy_out(values.ctypes.data, self.address, self.nbytes)
        return values

    def item(self):
        """The single value as a Python number."""
        return self.to_host().item()

    def tolist(self):
        """The values as nested Python lists."""
        return self.to_host().tolist()

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            f"kerasmirror: an array on {self.device} does not become a NumPy array by itself. Use "
            "`keras.ops.convert_to_numpy`, or run this part on the CPU: "
            'with keras.device("cpu:0"): ...'
        )

    @property
    def __cuda_array_interface__(self):
        """Of version 3: CuPy, PyTorch and numba read the memory where it is."""
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.address, False),
            "strides": None,
            "stream": self.owner.device.stream_number(),
            "version": 3,
        }

    def __dlpack_device__(self):
        return 2, self.owner.device.number  # kDLCUDA

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __bool__(self):
        return bool(self.to_host())

    def __float__(self):
        return float(self.to_host())

    def __int__(self):
        return int(self.to_host())

    def __index__(self):
        return self.to_host().__index__()

    def __repr__(self):
        return f"DeviceArray(shape={self.shape}, dtype={self.dtype}, device={self.device})"


def axis_in(axis, rank):
    """An axis counted from the first one. Raises: AxisError, as NumPy does, where there is none."""
    if not -rank <= axis < rank:
        raise np.exceptions.AxisError(axis, rank)
    return int(axis) % rank


def _half(dtype):
    if dtype.name == "bfloat16":
        return "u2"
    raise NotImplementedError(
        f"kerasmirror: values of {dtype} cannot lie on a GPU: there are no CUDA kernels for them. "
        'Run this part on the CPU: with keras.device("cpu:0"): ...'
    )
