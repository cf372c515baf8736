"""InputLayer and Input: where data enters a model."""

from __future__ import annotations

import warnings

from kerasmirror._export import export
from kerasmirror.core import checks, dtypes
from kerasmirror.core.node import Node
from kerasmirror.core.symbolic import KerasTensor, standardize_shape
from kerasmirror.layers.layer import Layer


@export("layers.InputLayer")
class InputLayer(Layer):
    """The declared shape and dtype of a model's input; passes its input on.

    Args: `shape` without the batch axis, or `batch_shape` with it; None where any size is good.
    Raises: ValueError when not exactly one of the two is given, or for an `input_tensor` that the
    other arguments do not describe.
    Source: Keras 3.15 `keras.layers.InputLayer`.
    """

    def __init__(
        self,
        shape=None,
        batch_size=None,
        dtype=None,
        sparse=None,
        ragged=None,
        batch_shape=None,
        input_tensor=None,
        optional=False,
        name=None,
        **kwargs,
    ):
        if "input_shape" in kwargs:
            warnings.warn(
                "InputLayer: Argument `input_shape` is deprecated. Use `shape` instead.",
                stacklevel=2,
            )
            shape = kwargs.pop("input_shape")
        batch_shape = kwargs.pop("batch_input_shape", batch_shape)
        super().__init__(name=name, **kwargs)
        for kind, value in (("sparse", sparse), ("ragged", ragged)):
            if value and input_tensor is None:
                raise ValueError(
                    f"Input: `{kind}=True` is not supported, kerasmirror has dense tensors only. "
                    f"Received: {kind}={value}"
                )
        for kind, value in (("shape", shape), ("batch_shape", batch_shape)):
            if value is not None and not hasattr(value, "__iter__"):
                checks.fail("Input", kind, "a tuple of ints and Nones, like (3,)", value)
        if input_tensor is not None:
            _check_tensor(input_tensor, shape, batch_size, batch_shape, dtype, sparse)
            batch_shape, dtype = input_tensor.shape, input_tensor.dtype
        else:
            batch_shape = _batch_shape(shape, batch_size, batch_shape)
        self._batch_shape = standardize_shape(batch_shape, "Input")
        self._dtype = dtypes.standardize_dtype(dtype)
        self.sparse = self.ragged = False
        self.optional = optional
        if input_tensor is None:
            input_tensor = KerasTensor(self._batch_shape, self._dtype, name=self.name)
        Node(self, (), {}, [input_tensor])
        self.built = True

    def call(self):
        return None

    @property
    def batch_shape(self):
        return self._batch_shape

    @property
    def dtype(self):
        return self._dtype

    def get_config(self):
        return {
            "batch_shape": self._batch_shape,
            "dtype": self._dtype,
            "sparse": self.sparse,
            "ragged": self.ragged,
            "name": self.name,
            "optional": self.optional,
        }


def _batch_shape(shape, batch_size, batch_shape):
    """The shape with the batch axis, of the two ways to give it.

    Raises: ValueError for both, none, or a batch size twice.
    """
    if shape is not None and batch_shape is not None:
        raise ValueError(
            "Input: you cannot pass both `shape` and `batch_shape`. "
            f"Received: shape={shape}, batch_shape={batch_shape}"
        )
    if batch_size is not None and batch_shape is not None:
        raise ValueError(
            "Input: you cannot pass both `batch_size` and `batch_shape`, which has it. "
            f"Received: batch_size={batch_size}, batch_shape={batch_shape}"
        )
    if shape is None and batch_shape is None:
        raise ValueError("Input: you must pass a `shape` argument. Received: shape=None")
    return (batch_size, *standardize_shape(shape, "Input")) if batch_shape is None else batch_shape


def _check_tensor(tensor, shape, batch_size, batch_shape, dtype, sparse):
    """Raise ValueError unless `input_tensor` is a placeholder that the other arguments describe."""
    if not isinstance(tensor, KerasTensor):
        raise ValueError(
            "Input: Argument `input_tensor` must be a KerasTensor. "
            f"Received: input_tensor={tensor!r} of type {type(tensor)}"
        )
    size = tensor.shape[0] if tensor.shape else ()
    described = (
        ("batch_size", batch_size, size),
        ("shape", None if shape is None else tuple(shape), tensor.shape[1:]),
        ("batch_shape", None if batch_shape is None else tuple(batch_shape), tensor.shape),
        ("dtype", None if dtype is None else dtypes.standardize_dtype(dtype), tensor.dtype),
        ("sparse", sparse, tensor.sparse),
    )
    for name, value, actual in described:
        if value is not None and value != actual:
            raise ValueError(
                f"Input: with `input_tensor` you cannot provide an incompatible `{name}`; it has "
                f"{actual}. Received: {name}={value}"
            )


@export("Input", "layers.Input")
def Input(  # noqa: N802 - Keras's name
    shape=None,
    batch_size=None,
    dtype=None,
    sparse=None,
    ragged=None,
    batch_shape=None,
    name=None,
    tensor=None,
    optional=False,
):
    """A placeholder for a model's input: shape without the batch axis, None for any size.

    Source: Keras 3.15 `keras.Input`.
    """
    layer = InputLayer(
        shape=shape,
        batch_size=batch_size,
        dtype=dtype,
        sparse=sparse,
        ragged=ragged,
        batch_shape=batch_shape,
        name=name,
        input_tensor=tensor,
        optional=optional,
    )
    return layer.output
