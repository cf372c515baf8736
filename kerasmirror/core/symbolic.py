"""KerasTensor: shape and dtype without values, for building models before data is seen."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import dtypes, tree
from kerasmirror.core.names import auto_name


@export("KerasTensor")
class KerasTensor:
    """A placeholder with `shape` (None where unknown), `dtype` and `name`; it has no values.

    Source: Keras 3.15 `keras.KerasTensor`.
    """

    def __init__(
        self,
        shape,
        dtype="float32",
        sparse=False,
        ragged=False,
        record_history=True,
        name=None,
        **kwargs,
    ):
        if kwargs:
            raise TypeError(f"KerasTensor: unknown arguments. Received: {sorted(kwargs)}")
        if sparse and ragged:
            raise ValueError(
                "KerasTensor: a tensor cannot have `sparse=True` and `ragged=True` at once, and "
                f"here it can have neither. Received: sparse={sparse}, ragged={ragged}"
            )
        if sparse or ragged:
            raise ValueError(
                "KerasTensor: `sparse` and `ragged` must be False, kerasmirror has dense tensors "
                f"only. Received: sparse={sparse}, ragged={ragged}"
            )
        self._shape = standardize_shape(shape)
        self._dtype = dtypes.standardize_dtype(dtype)
        self.name = name or auto_name("keras_tensor")
        self.record_history = record_history

    @property
    def shape(self):
        return self._shape

    @shape.setter
    def shape(self, value):
        raise _immutable("shape")

    @property
    def dtype(self):
        return self._dtype

    @dtype.setter
    def dtype(self, value):
        raise _immutable("dtype")

    @property
    def sparse(self):
        return False

    @sparse.setter
    def sparse(self, value):
        raise _immutable("sparse")

    @property
    def ragged(self):
        return False

    @ragged.setter
    def ragged(self, value):
        raise _immutable("ragged")

    @property
    def ragged_rank(self):
        return None

    @property
    def row_splits_dtype(self):
        return None

    @property
    def ndim(self):
        return len(self._shape)

    @property
    def _keras_mask(self):  # its name in Keras's guide to masking, as in Tensor
        return getattr(self, "mask", None)

    @_keras_mask.setter
    def _keras_mask(self, mask):
        self.mask = mask

    def __array__(self, dtype=None, copy=None):
        raise ValueError(
            "KerasTensor: a placeholder doesn't have any actual numerical value, so NumPy cannot "
            "read it. Use `keras.ops` functions and layers on it instead of NumPy's."
        )

    def __jax_array__(self):
        raise self._no_input("JAX")

    def __tf_tensor__(self, dtype=None, name=None):
        raise self._no_input("TensorFlow")

    def _no_input(self, framework):
        return ValueError(
            f"A KerasTensor cannot be used as input to a {framework} function: it has no values. "
            f"Use `keras.ops` functions and layers on it instead. Received: {self!r}"
        )

    def __len__(self):
        if not self.shape or self.shape[0] is None:
            raise TypeError(f"len() of a KerasTensor whose first axis is unknown: {self}")
        return self.shape[0]

    def __bool__(self):
        raise TypeError("A symbolic KerasTensor cannot be used as a boolean. It has no value.")

    def __int__(self):
        raise ValueError("A KerasTensor has no value, so it cannot become an int.")

    def __float__(self):
        raise ValueError("A KerasTensor has no value, so it cannot become a float.")

    def __repr__(self):
        return (
            f"<KerasTensor shape={self.shape}, dtype={self.dtype}, sparse={self.sparse}, "
            f"ragged={self.ragged}, name={self.name}>"
        )


def _immutable(attribute):
    return AttributeError(
        f"The `{attribute}` attribute of KerasTensor is immutable. Make a new KerasTensor instead."
    )


def standardize_shape(shape, owner="keras"):
    """`shape` as a tuple of ints and Nones.

    Raises: ValueError for None or a negative entry, TypeError-like ones for other types.
    """
    if isinstance(shape, int) and not isinstance(shape, bool):
        shape = (shape,)
    if shape is None or not hasattr(shape, "__iter__"):
        raise ValueError(f"{owner}: `shape` must be a tuple of ints. Received: shape={shape!r}")
    clean = []
    for size in shape:
        if size is not None:
            try:
                size = size.__index__()
            except (AttributeError, TypeError):
                size = None if isinstance(size, KerasTensor) else _bad_entry(owner, shape, size)
            if size is not None and size < 0:
                _bad_entry(owner, shape, size)
        clean.append(size)
    return tuple(clean)


def _bad_entry(owner, shape, size):
    raise ValueError(
        f"{owner}: `shape` must hold ints of at least 0, or None. "
        f"Received: shape={shape!r}, whose entry {size!r} is not"
    )


@export("utils.is_keras_tensor", "backend.is_keras_tensor")
def is_keras_tensor(x):
    """Whether `x` is a KerasTensor."""
    return isinstance(x, KerasTensor)


def any_symbolic(structure):
    """Whether a KerasTensor stands anywhere in nested `structure`."""
    if isinstance(structure, KerasTensor):
        return True
    if isinstance(structure, (list, tuple, dict)):
        return any(isinstance(leaf, KerasTensor) for leaf in tree.flatten(structure))
    return False
