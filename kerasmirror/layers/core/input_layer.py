"""InputLayer and Input: where data enters a model."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import checks, dtypes
from kerasmirror.core.node import Node
from kerasmirror.core.symbolic import KerasTensor, standardize_shape
from kerasmirror.layers.layer import Layer


@export("layers.InputLayer")
class InputLayer(Layer):
    """The declared shape and dtype of a model's input; passes its input on.

    Args: `shape` without the batch axis, or `batch_shape` with it; None where any size is good.
    Raises: ValueError when not exactly one of the two is given.
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
        super().__init__(name=name, **kwargs)
        if sparse or ragged:
            raise ValueError(
                "Input: `sparse` and `ragged` must be False, kerasmirror has dense tensors only. "
                f"Received: sparse={sparse}, ragged={ragged}"
            )
        if input_tensor is not None:
            if not isinstance(input_tensor, KerasTensor):
                raise ValueError(
                    "Input: `input_tensor` must be a KerasTensor. "
                    f"Received: input_tensor={input_tensor!r}"
                )
            batch_shape, dtype = input_tensor.shape, dtype or input_tensor.dtype
        elif shape is not None and batch_shape is not None:
            raise ValueError(
                "Input: only one of `shape` and `batch_shape` can be given. "
                f"Received: shape={shape}, batch_shape={batch_shape}"
            )
        elif shape is None and batch_shape is None:
            raise ValueError("Input: `shape` must be given. Received: shape=None")
        for name, value in (("shape", shape), ("batch_shape", batch_shape)):
            if value is not None and not hasattr(value, "__iter__"):
                checks.fail("Input", name, "a tuple of ints and Nones, like (3,)", value)
        if batch_shape is None:
            batch_shape = (batch_size, *standardize_shape(shape, "Input"))
        elif batch_size is not None and input_tensor is None:
            raise ValueError(
                "Input: `batch_size` cannot go with `batch_shape`, which has it. "
                f"Received: batch_size={batch_size}, batch_shape={batch_shape}"
            )
        self._batch_shape = standardize_shape(batch_shape, "Input")
        self._dtype = dtypes.standardize_dtype(dtype)
        self.optional = optional
        if input_tensor is None:
            input_tensor = KerasTensor(self._batch_shape, self._dtype, name=self.name)
        Node(self, (), {}, [input_tensor])
        self.built = True

    def call(self, inputs):
        return inputs

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
            "sparse": False,
            "ragged": False,
            "name": self.name,
            "optional": self.optional,
        }


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
