"""Making, moving and joining tensors, with TensorFlow's argument names."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import Tensor  # noqa: F401 - tf.Tensor
from kerasmirror.core.variable import Variable as _Variable

newaxis = None


class Variable(_Variable):
    """`tf.Variable(initial_value)`: a variable of this package, whose value may be a function's."""

    def __init__(self, initial_value=None, trainable=None, name=None, dtype=None, shape=None):
        if initial_value is None:
            raise ValueError(
                "tf.Variable: `initial_value` must be given. Received: initial_value=None"
            )
        value = initial_value() if callable(initial_value) else initial_value
        value = ops.convert_to_tensor(value, dtype)
        if shape is not None and tuple(shape) != value.shape:
            raise ValueError(
                f"tf.Variable: `shape` must be that of the value, {value.shape}. "
                f"Received: shape={shape}"
            )
        name = name.replace("/", "_").replace(":", "_") if name else None
        super().__init__(value, dtype=value.dtype, trainable=trainable is not False, name=name)

    def read_value(self):
        return self.value


def convert_to_tensor(value, dtype=None, name=None):
    return ops.convert_to_tensor(value, dtype)


def constant(value, dtype=None, shape=None, name="Const"):
    tensor = ops.convert_to_tensor(value, dtype)
    return tensor if shape is None else fill_or_reshape(tensor, shape)


def fill_or_reshape(tensor, shape):
    """As `tf.constant` reads `shape`: one value fills it, several are laid out in it."""
    shape = as_shape(shape)
    return ops.broadcast_to(tensor, shape) if tensor.size == 1 else ops.reshape(tensor, shape)


def as_shape(shape):
    """A shape, given as integers or tensors of them, as a tuple of integers."""
    if isinstance(shape, (int, np.integer)) or getattr(shape, "ndim", None) == 0:
        return (int(shape),)
    return tuple(None if extent is None else int(extent) for extent in shape)


def shape(input, out_type="int32", name=None):
    """Whole numbers in a tensor; for a placeholder its static shape, in which None may stand."""
    if isinstance(input, KerasTensor):
        return ops.shape(input)
    return ops.convert_to_tensor(np.array(ops.shape(input), out_type))


def size(input, out_type="int32", name=None):
    return ops.cast(ops.size(input), out_type)


def rank(input, name=None):
    return ops.convert_to_tensor(ops.ndim(input), "int32")


def zeros(shape, dtype="float32", name=None):
    return ops.zeros(as_shape(shape), dtype)


def ones(shape, dtype="float32", name=None):
    return ops.ones(as_shape(shape), dtype)


def fill(dims, value, name=None):
    value = ops.convert_to_tensor(value)
    return ops.broadcast_to(value, as_shape(dims))


def zeros_like(input, dtype=None, name=None):
    return ops.zeros_like(input, dtype)


def ones_like(input, dtype=None, name=None):
    return ops.ones_like(input, dtype)


def eye(num_rows, num_columns=None, dtype="float32", name=None):
    return ops.eye(int(num_rows), None if num_columns is None else int(num_columns), dtype=dtype)


def range(start, limit=None, delta=1, dtype=None, name="range"):
    if limit is None:
        start, limit = 0, start
    if limit is None:
        raise ValueError("tf.range: `limit` must be a number. Received: limit=None")
    return ops.arange(_plain(start), _plain(limit), _plain(delta), dtype)


def linspace(start, stop, num, name=None, axis=0):
    return ops.linspace(start, stop, int(num), axis=axis)


def _plain(value):
    return value.item() if hasattr(value, "item") else value


def cast(x, dtype, name=None):
    return ops.cast(x, dtype)


def identity(input, name=None):
    return ops.copy(input)


def stop_gradient(input, name=None):
    return ops.stop_gradient(input)


def reshape(tensor, shape, name=None):
    return ops.reshape(tensor, as_shape(shape))


def transpose(a, perm=None, conjugate=False, name=None):
    return ops.transpose(ops.conj(a) if conjugate else a, perm)


def expand_dims(input, axis, name=None):
    return ops.expand_dims(input, axis)


def squeeze(input, axis=None, name=None):
    return ops.squeeze(input, tuple(axis) if isinstance(axis, list) else axis)


def broadcast_to(input, shape, name=None):
    return ops.broadcast_to(input, as_shape(shape))


def concat(values, axis, name="concat"):
    return ops.concatenate(values, axis)


def stack(values, axis=0, name="stack"):
    return ops.stack(values, axis)


def unstack(value, num=None, axis=0, name="unstack"):
    return ops.unstack(value, num, axis)


def split(value, num_or_size_splits, axis=0, num=None, name="split"):
    """Equal parts for a number; for a list, parts of these sizes."""
    if isinstance(num_or_size_splits, (int, np.integer)):
        return ops.split(value, int(num_or_size_splits), axis)
    sizes = [int(part) for part in num_or_size_splits]
    return ops.split(value, list(np.cumsum(sizes)[:-1]), axis)


def tile(input, multiples, name=None):
    return ops.tile(input, as_shape(multiples))


def repeat(input, repeats, axis=None, name=None):
    return ops.repeat(input, repeats, axis)


def reverse(tensor, axis, name=None):
    return ops.flip(tensor, axis)


def sort(values, axis=-1, direction="ASCENDING", name=None):
    ordered = ops.sort(values, axis)
    return ops.flip(ordered, axis) if direction == "DESCENDING" else ordered


def argsort(values, axis=-1, direction="ASCENDING", stable=False, name=None):
    if direction == "DESCENDING":
        values = ops.negative(values)
    return ops.argsort(values, axis)


def roll(input, shift, axis, name=None):
    return ops.roll(input, shift, axis)


def pad(tensor, paddings, mode="CONSTANT", constant_values=0, name=None):
    widths = [tuple(int(n) for n in pair) for pair in paddings]
    if mode.upper() == "CONSTANT":
        return ops.pad(tensor, widths, constant_values=constant_values)
    return ops.pad(tensor, widths, mode.lower())


def gather(params, indices, axis=0, name=None):
    return ops.take(params, indices, axis)


def where(condition, x=None, y=None, name=None):
    """With x and y, elements of either; without, the places of what is true, a row for each."""
    if x is None and y is None:
        places = np.argwhere(ops.convert_to_numpy(condition))
        return ops.convert_to_tensor(places.astype("int64"))
    return ops.where(condition, x, y)


def boolean_mask(tensor, mask, axis=0, name="boolean_mask"):
    (places,) = np.nonzero(ops.convert_to_numpy(mask))
    return ops.take(tensor, places, axis)


def one_hot(indices, depth, on_value=None, off_value=None, axis=-1, dtype=None, name=None):
    on = 1 if on_value is None else on_value
    off = 0 if off_value is None else off_value
    chosen = ops.one_hot(indices, int(depth), axis=axis, dtype="bool")
    return ops.cast(ops.where(chosen, on, off), dtype or "float32")


def meshgrid(*args, indexing="xy", **kwargs):
    return ops.meshgrid(*args, indexing=indexing)


def tensor_scatter_nd_update(tensor, indices, updates, name=None):
    return ops.scatter_update(tensor, indices, updates)


def is_tensor(x):
    return isinstance(x, (Tensor, _Variable, KerasTensor))
