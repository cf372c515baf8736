"""How much memory the variables of a model may take that a file describes.

A file of a few bytes can ask for a layer of a billion units. While a file is read, every variable
takes its size from what the file's own weights justify, before anything is allocated.
"""

from __future__ import annotations

import contextlib
import math
import threading

from kerasmirror.core import dtypes


class _Left(threading.local):
    def __init__(self):
        self.bytes = None


_LEFT = _Left()


@contextlib.contextmanager
def limited_to(n_bytes):
    """Within it, new variables may take `n_bytes` together."""
    before, _LEFT.bytes = _LEFT.bytes, n_bytes
    try:
        yield
    finally:
        _LEFT.bytes = before


def spend(shape, dtype, path):
    """Take a variable's size from what is left.

    Raises: ValueError where it is too large.
    """
    if _LEFT.bytes is None:
        return
    size = math.prod(shape) * dtypes.numpy_dtype(dtype).itemsize
    if size > _LEFT.bytes:
        raise ValueError(
            "keras.saving.load_model: the file describes larger weights than it holds; it is not "
            f"loaded. Received: the variable {path!r} of shape {tuple(shape)}, {size} bytes"
        )
    _LEFT.bytes -= size
