"""Layers that put zeros around sequences, images and volumes, or cut their borders off."""

from __future__ import annotations

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.config import standardize_data_format
from kerasmirror.layers.input_spec import InputSpec
from kerasmirror.layers.layer import Layer


def margin_pairs(value, rank, name, owner):
    """`value` as a (before, after) pair for each of `rank` axes.

    One int stands for all of them; in the place of a pair stands one int for both sides. A single
    axis takes its pair as it is.
    Raises: ValueError for anything else.
    """
    if rank == 1:
        return (checks.int_tuple(value, 2, name, owner=owner, minimum=0),)
    if isinstance(value, int):
        value = (value,) * rank
    if not hasattr(value, "__len__") or isinstance(value, str) or len(value) != rank:
        sizes = {2: "two", 3: "3"}[rank]
        raise ValueError(
            f"{owner}: `{name}` should be either an int or have {sizes} elements, each an int or "
            f"a (before, after) pair of ints. Received: {name}={value!r}"
        )
    return tuple(
        [
            checks.int_tuple(one, 2, f"{name}[{i}]", owner=owner, minimum=0)
            for i, one in enumerate(value)
        ]
    )


class _Margins(Layer):
    """Layers with a pair of margins for each of `rank` spatial axes."""

    def _keep(self, rank, data_format):
        self.input_spec = InputSpec(ndim=rank + 2)
        if data_format is not False:
            self.data_format = standardize_data_format(data_format, type(self).__name__)
        self._first = getattr(self, "data_format", "channels_last") == "channels_first"

    def _on_all_axes(self, pairs):
        if self._first:
            return ((0, 0), (0, 0), *pairs)
        return ((0, 0), *pairs, (0, 0))


class BaseZeroPadding(_Margins):
    """Zeros before and after each spatial axis."""

    def __init__(self, rank, padding, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self._keep(rank, data_format)
        self._pairs = margin_pairs(padding, rank, "padding", type(self).__name__)
        self.padding = self._pairs[0] if rank == 1 else self._pairs

    def call(self, inputs):
        return ops.pad(inputs, self._on_all_axes(self._pairs))

    def compute_output_shape(self, input_shape):
        margins = self._on_all_axes(self._pairs)
        sizes = zip(input_shape, margins, strict=True)
        return tuple([None if size is None else size + sum(pair) for size, pair in sizes])


@export("layers.ZeroPadding1D")
class ZeroPadding1D(BaseZeroPadding):
    """Zeros before and after the steps of (N, W, C).

    `padding` is one int for both sides or a (before, after) pair.
    Source: Keras 3.15 `keras.layers.ZeroPadding1D`.
    """

    def __init__(self, padding=1, data_format=None, **kwargs):
        super().__init__(1, padding, data_format, **kwargs)


@export("layers.ZeroPadding2D")
class ZeroPadding2D(BaseZeroPadding):
    """Zeros around the images of (N, H, W, C).

    `padding` is one int, a pair of them for (H, W), or ((top, bottom), (left, right)).
    Source: Keras 3.15 `keras.layers.ZeroPadding2D`.
    """

    def __init__(self, padding=(1, 1), data_format=None, **kwargs):
        super().__init__(2, padding, data_format, **kwargs)


@export("layers.ZeroPadding3D")
class ZeroPadding3D(BaseZeroPadding):
    """Zeros around the volumes of (N, D, H, W, C).

    `padding` is one int, three of them, or three (before, after) pairs.
    Source: Keras 3.15 `keras.layers.ZeroPadding3D`.
    """

    def __init__(self, padding=((1, 1), (1, 1), (1, 1)), data_format=None, **kwargs):
        super().__init__(3, padding, data_format, **kwargs)


class BaseCropping(_Margins):
    """The spatial axes without their borders."""

    def __init__(self, rank, cropping, data_format=None, **kwargs):
        super().__init__(**kwargs)
        self._keep(rank, data_format)
        self._pairs = margin_pairs(cropping, rank, "cropping", type(self).__name__)
        self.cropping = self._pairs[0] if rank == 1 else self._pairs

    def call(self, inputs):
        self.compute_output_shape(inputs.shape)  # raises where nothing would be left
        margins = self._on_all_axes(self._pairs)
        return inputs[tuple([slice(before, -after or None) for before, after in margins])]

    def compute_output_shape(self, input_shape):
        result = []
        for size, pair in zip(input_shape, self._on_all_axes(self._pairs), strict=True):
            if size is not None and sum(pair) >= size and pair != (0, 0):
                raise ValueError(
                    f"{type(self).__name__}: {self._too_large()} "
                    f"Received: inputs of shape {tuple(input_shape)}, cropping={self.cropping}"
                )
            result.append(None if size is None else size - sum(pair))
        return tuple(result)

    def _too_large(self):
        return (
            "Values in `cropping` argument should be smaller than the corresponding spatial "
            "dimension of the input."
        )


@export("layers.Cropping1D")
class Cropping1D(BaseCropping):
    """(N, W, C) without the first and last steps.

    `cropping` is one int for both sides or a (before, after) pair.
    Raises: ValueError when no step would be left.
    Source: Keras 3.15 `keras.layers.Cropping1D`.
    """

    def __init__(self, cropping=(1, 1), **kwargs):
        super().__init__(1, cropping, False, **kwargs)

    def _too_large(self):
        return "`cropping` parameter of `Cropping1D` layer must be smaller than the input length."


@export("layers.Cropping2D")
class Cropping2D(BaseCropping):
    """The images of (N, H, W, C) without their borders.

    `cropping` is one int, a pair of them for (H, W), or ((top, bottom), (left, right)).
    Raises: ValueError when nothing would be left.
    Source: Keras 3.15 `keras.layers.Cropping2D`.
    """

    def __init__(self, cropping=((0, 0), (0, 0)), data_format=None, **kwargs):
        super().__init__(2, cropping, data_format, **kwargs)


@export("layers.Cropping3D")
class Cropping3D(BaseCropping):
    """The volumes of (N, D, H, W, C) without their borders.

    `cropping` is one int, three of them, or three (before, after) pairs.
    Raises: ValueError when nothing would be left.
    Source: Keras 3.15 `keras.layers.Cropping3D`.
    """

    def __init__(self, cropping=((1, 1), (1, 1), (1, 1)), data_format=None, **kwargs):
        super().__init__(3, cropping, data_format, **kwargs)
