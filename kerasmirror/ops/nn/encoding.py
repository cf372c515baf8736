"""Class numbers as vectors of zeros and ones."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks, dtypes
from kerasmirror.core.device import contiguous
from kerasmirror.ops import shapes
from kerasmirror.ops.tensor import to_tensor


@export("ops.one_hot", "ops.nn.one_hot")
def one_hot(x, num_classes, axis=-1, dtype=None, sparse=False):
    """1 at place x of a new axis of size `num_classes`, else 0; all 0 where x is outside it.

    Shapes: x (...), result (..., num_classes), or the new axis at `axis`.
    Raises: ValueError for `sparse=True` (all tensors here are dense) or a bad axis.
    Source: Keras 3.15 `keras.ops.one_hot`.
    """
    owner = "ops.one_hot"
    _refuse_sparse(sparse, owner)
    num_classes = checks.positive_int(num_classes, "num_classes", owner=owner)
    x = to_tensor(x)
    axis = shapes.canonical_axis(axis, len(x.shape) + 1, owner)
    return _one_hot(x, num_classes=num_classes, axis=axis, dtype=dtypes.standardize_dtype(dtype))


@export("ops.multi_hot", "ops.nn.multi_hot")
def multi_hot(inputs, num_classes=None, axis=-1, dtype=None, sparse=False, **kwargs):
    """1 at every class that a sample names, else 0: the largest `one_hot` over each sample.

    Shapes: inputs (N, L) or (L,), result (N, num_classes) or (num_classes,).
    `num_tokens` is an old name of `num_classes`.
    Source: Keras 3.15 `keras.ops.multi_hot`.
    """
    owner = "ops.multi_hot"
    if num_classes is None and "num_tokens" in kwargs:
        num_classes = kwargs.pop("num_tokens")
    if kwargs:
        raise TypeError(f"{owner}: unknown arguments {sorted(kwargs)}")
    _refuse_sparse(sparse, owner)
    num_classes = checks.positive_int(num_classes, "num_classes", owner=owner)
    x = to_tensor(inputs)
    axis = shapes.canonical_axis(axis, len(x.shape) + 1, owner)
    return _multi_hot(x, num_classes=num_classes, axis=axis, dtype=dtypes.standardize_dtype(dtype))


def _refuse_sparse(sparse, owner):
    if sparse:
        checks.fail(owner, "sparse", "False, kerasmirror has dense tensors only", sparse)


def _one_hot_spec(x, *, num_classes, axis, dtype):
    return (*x.shape[:axis], num_classes, *x.shape[axis:]), dtype


@primitive(
    "one_hot", spec=_one_hot_spec, tangent=tangents.without_gradient("it takes whole numbers")
)
def _one_hot(k, x, *, num_classes, axis, dtype):
    return _dense_one_hot(k, x, num_classes, axis, dtype), None


def _multi_hot_spec(x, *, num_classes, axis, dtype):
    shape, _ = _one_hot_spec(x, num_classes=num_classes, axis=axis, dtype=dtype)
    return shapes.reduced(shape, (1 if len(x.shape) > 1 else 0,)), dtype


@primitive(
    "multi_hot", spec=_multi_hot_spec, tangent=tangents.without_gradient("it takes whole numbers")
)
def _multi_hot(k, x, *, num_classes, axis, dtype):
    y = _dense_one_hot(k, x, num_classes, axis, dtype)
    return y.max(axis=1 if x.ndim > 1 else 0), None


def _dense_one_hot(k, x, num_classes, axis, dtype):
    with np.errstate(invalid="ignore"):
        x = x.astype(np.int64)
    if not isinstance(x, np.ndarray):
        # Compared with every class: which places are ones, the host would have to wait for.
        classes = k.cumsum(k.zeros((num_classes,), np.int64) + 1) - 1
        classes = classes.reshape(num_classes, *[1] * (x.ndim - axis))
        equal = x.reshape(*x.shape[:axis], 1, *x.shape[axis:]) == classes
        return equal.astype(dtypes.numpy_dtype(dtype))
    y = np.zeros((x.size, num_classes), dtypes.numpy_dtype(dtype))
    flat = x.reshape(-1)
    rows = np.flatnonzero((flat >= 0) & (flat < num_classes))
    y[rows, flat[rows]] = 1
    y = y.reshape(*x.shape, num_classes)
    return y if axis == x.ndim else contiguous(np.moveaxis(y, -1, axis))
