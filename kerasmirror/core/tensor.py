"""Tensor: an array on a device, with its place on the gradient tape."""

from __future__ import annotations

import numpy as np

from kerasmirror.core import dtypes
from kerasmirror.core.device import GPU, copied, host, placed


class Tensor:
    """A dense array: `data` holds it, `shape` and `dtype` describe it.

    `data` is a NumPy array on the CPU, the kernels' DeviceArray on a GPU; where a GPU is the
    current device, a NumPy array given to the constructor is copied there.

    Arithmetic, indexing and comparisons are `keras.ops` (installed by ops/operators.py).
    `key` is its number on the gradient tape, None where nothing is recorded. `logits` holds what
    a softmax or sigmoid was computed from (ARCHITECTURE: cross-entropy), `mask` a Keras mask.
    """

    __slots__ = ("data", "key", "logits", "mask", "__weakref__")
    # NumPy must leave `array + tensor` to Tensor.__radd__.
    __array_priority__ = 100

    def __init__(self, data, key=None):
        if GPU.used and isinstance(data, np.ndarray):
            data = placed(data)
        self.data = data
        self.key = key

    @property
    def shape(self):
        return self.data.shape

    @property
    def ndim(self):
        return self.data.ndim

    @property
    def size(self):
        return self.data.size

    @property
    def dtype(self):
        dtype = self.data.dtype
        return _NAMES.get(dtype) or dtypes.standardize_dtype(dtype)

    @property
    def device(self):
        return "cpu:0" if isinstance(self.data, np.ndarray) else self.data.device

    @property
    def _keras_mask(self):  # its name in Keras's guide to masking
        return getattr(self, "mask", None)

    @_keras_mask.setter
    def _keras_mask(self, mask):
        self.mask = mask

    def numpy(self):
        """A copy of the values as a NumPy array."""
        return np.array(host(self.data))

    def item(self):
        """The single value as a Python number."""
        return self.data.item()

    def tolist(self):
        """The values as nested Python lists."""
        return self.data.tolist()

    def __array__(self, dtype=None, copy=None):
        data = host(self.data)
        if dtype is not None and data.dtype != dtype:
            return data.astype(dtype)
        # A view would let NumPy code write into residuals of the tape.
        return np.array(data) if copy is not False else data

    def __dlpack__(self, *, stream=None, **options):
        """The memory, for another package's `from_dlpack`; it is shared, nobody may write to it."""
        if isinstance(self.data, np.ndarray):
            return self.data.__dlpack__(**options)
        return GPU.kernels.exchange.to_dlpack(self.data, stream)

    def __dlpack_device__(self):
        return self.data.__dlpack_device__()

    @property
    def __cuda_array_interface__(self):
        return self.data.__cuda_array_interface__  # AttributeError on the CPU: there is none

    def __len__(self):
        if not self.data.ndim:
            raise TypeError("len() of a tensor without axes")
        return self.data.shape[0]

    def __bool__(self):
        return bool(self.data)

    def __int__(self):
        return int(self.data.item() if self.data.size == 1 else self.data)

    def __float__(self):
        return float(self.data.item() if self.data.size == 1 else self.data)

    def __index__(self):
        return self.data.__index__()

    def __format__(self, spec):
        return format(host(self.data) if self.data.ndim else self.data.item(), spec)

    def __repr__(self):
        values = np.array2string(host(self.data), separator=", ", threshold=100)
        return f"<Tensor shape={self.shape} dtype={self.dtype}>\n{values}"

    def __reduce__(self):
        return Tensor, (np.array(host(self.data)),)

    def __deepcopy__(self, memo):
        return Tensor(copied(self.data))


_NAMES = {np.dtype(n): n for n in (*dtypes.FLOAT_TYPES[1:], *dtypes.INT_TYPES, "bool")}


def get_keras_mask(value):
    """The mask attached to a tensor, or None."""
    return getattr(value, "mask", None)


def set_keras_mask(value, mask):
    """Attach a mask to a tensor."""
    value.mask = mask
