"""Layers that make one tensor of several: Add, Subtract, Multiply, Average, Maximum, Minimum,
Concatenate, Dot, and a function for each."""

from __future__ import annotations

import functools
from numbers import Integral

from kerasmirror import ops
from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import get_keras_mask, set_keras_mask
from kerasmirror.layers.layer import Layer


class Merge(Layer):
    """Base of the merging layers: checks a list of inputs and applies `_merge` to it.

    Where ranks differ, axes of size 1 behind the batch axis make them equal.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.supports_masking = True

    def _merge(self, inputs):
        raise NotImplementedError

    def build(self, input_shape):
        self._check_shapes(input_shape)
        self._merged_shape(input_shape)

    def _check_shapes(self, shapes, count=None):
        listed = isinstance(shapes, (list, tuple)) and len(shapes) > 0
        if not listed or not all(isinstance(s, (list, tuple, type(None))) for s in shapes):
            how_many = f"{count} tensors" if count else "at least one tensor"
            raise ValueError(
                f"{type(self).__name__}: `inputs` must be a list of {how_many}. "
                f"Received: inputs of shape {shapes}"
            )

    def call(self, inputs):
        if not isinstance(inputs, (list, tuple)):
            raise ValueError(
                f"{type(self).__name__}: `inputs` must be a list of at least one tensor. "
                f"Received: inputs of shape {tuple(inputs.shape)}"
            )
        ranks = [len(x.shape) for x in inputs]
        highest = max(ranks)
        if min(ranks) < highest:
            inputs = [_raised(x, highest - rank) for x, rank in zip(inputs, ranks, strict=True)]
        return self._merge(list(inputs))

    def _merged_shape(self, shapes):
        """The shapes broadcast against each other, apart from the batch axis.

        Raises: ValueError where two sizes differ and none is 1, or batch sizes differ.
        """
        batches = {shape[0] for shape in shapes if shape} - {None}
        if len(batches) > 1:
            raise self._unlike(shapes, "one batch size")
        merged = tuple(shapes[0][1:])
        for shape in shapes[1:]:
            rest = tuple(shape[1:])
            short, long = sorted((merged, rest), key=len)
            kept = len(long) - len(short)
            tail = [self._one_size(a, b, shapes) for a, b in zip(long[kept:], short, strict=True)]
            merged = (*long[:kept], *tail)
        return (batches.pop() if batches else None, *merged)

    def _one_size(self, a, b, shapes):
        if a is None or b is None:
            return None
        if a != b and 1 not in (a, b):
            raise self._unlike(shapes, "shapes that broadcast")
        return b if a == 1 else a

    def _unlike(self, shapes, expected):
        return ValueError(
            f"{type(self).__name__}: `inputs` must have {expected}. "
            f"Received: inputs of shapes {[tuple(shape) for shape in shapes]}"
        )

    def compute_output_shape(self, input_shape):
        """The shape of the merged tensor for a list of shapes."""
        return self._merged_shape(input_shape)

    def compute_output_spec(self, inputs):
        shape = self.compute_output_shape([x.shape for x in inputs])
        return KerasTensor(shape, self.compute_dtype, record_history=False)

    def compute_mask(self, inputs, previous_mask=None):
        """True where any input is; None as soon as one input has no mask."""
        if previous_mask is None:
            return None
        self._check_masks(inputs, previous_mask)
        if any(mask is None for mask in previous_mask):
            return None
        return functools.reduce(ops.logical_or, previous_mask)

    def _check_masks(self, inputs, masks):
        for name, value in (("mask", masks), ("inputs", inputs)):
            if not isinstance(value, (list, tuple)):
                checks.fail(type(self).__name__, name, "a list", value)
        if len(masks) != len(inputs):
            raise ValueError(
                f"{type(self).__name__}: `mask` must have one entry for each of the {len(inputs)} "
                f"inputs. Received: {len(masks)} masks"
            )

    def _by_pairs(self, operation, inputs):
        """`operation` from left to right; a masked value gives way to the other one.

        For operations without a neutral element: where only one side is valid, it is the result.
        """
        output, output_mask = None, None
        for x in inputs:
            mask = get_keras_mask(x)
            if mask is not None:
                mask = ops.broadcast_to(ops.expand_dims(mask, -1), x.shape)
            if output is None:
                output, output_mask = x, mask
                continue
            if mask is not None:
                x = ops.where(mask, x, output)
            if output_mask is not None:
                output = ops.where(output_mask, output, x)
            both = mask is not None and output_mask is not None
            output_mask = ops.logical_or(output_mask, mask) if both else None
            output = operation(output, x)
        if output_mask is not None:
            set_keras_mask(output, ops.any(output_mask, axis=-1))
        return output


def _raised(x, count):
    for _ in range(count):
        x = ops.expand_dims(x, axis=1)
    return x


@export("layers.Add")
class Add(Merge):
    """`x1 + x2 + ...`. Source: Keras 3.15 `keras.layers.Add`."""

    def _merge(self, inputs):
        return functools.reduce(ops.add, inputs)


@export("layers.Subtract")
class Subtract(Merge):
    """`x1 - x2`. Raises: ValueError unless there are two. Source: Keras 3.15."""

    def build(self, input_shape):
        super().build(input_shape)
        self._check_two(len(input_shape))

    def _check_two(self, count):
        if count != 2:
            raise ValueError(
                f"Subtract: `inputs` must be a list of 2 tensors. Received: {count} tensor(s)"
            )

    def _merge(self, inputs):
        self._check_two(len(inputs))
        return ops.subtract(inputs[0], inputs[1])


@export("layers.Multiply")
class Multiply(Merge):
    """`x1 * x2 * ...`, where a masked value counts as 1. Source: Keras 3.15."""

    def _merge(self, inputs):
        masks = [get_keras_mask(x) for x in inputs]
        valid = None
        factors = []
        for x, mask in zip(inputs, masks, strict=True):
            if mask is not None:
                mask = ops.broadcast_to(ops.expand_dims(mask, -1), x.shape)
                x = ops.where(mask, x, ops.cast(1, x.dtype))
            if not factors:
                valid = mask
            else:
                both = mask is not None and valid is not None
                valid = ops.logical_or(valid, mask) if both else None
            factors.append(x)
        output = functools.reduce(ops.multiply, factors)
        if valid is not None:
            # Masked in all inputs is 0, as it would be without the masks.
            output = ops.where(valid, output, ops.cast(0, output.dtype))
            set_keras_mask(output, ops.any(valid, axis=-1))
        return output


@export("layers.Average")
class Average(Merge):
    """`(x1 + x2 + ...) / count`. Source: Keras 3.15 `keras.layers.Average`."""

    def _merge(self, inputs):
        return ops.divide(functools.reduce(ops.add, inputs), len(inputs))


@export("layers.Maximum")
class Maximum(Merge):
    """The largest of the inputs, element by element. Source: Keras 3.15."""

    def _merge(self, inputs):
        return self._by_pairs(ops.maximum, inputs)


@export("layers.Minimum")
class Minimum(Merge):
    """The smallest of the inputs, element by element. Source: Keras 3.15."""

    def _merge(self, inputs):
        return self._by_pairs(ops.minimum, inputs)


@export("layers.Concatenate")
class Concatenate(Merge):
    """The inputs one after the other along `axis`; all other sizes are equal.

    Raises: ValueError when they are not.
    Source: Keras 3.15 `keras.layers.Concatenate`.
    """

    def __init__(self, axis=-1, **kwargs):
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, input_shape):
        self._check_shapes(input_shape)
        axis = self.axis
        others = []
        for shape in input_shape:
            shape = list(shape)
            if -len(shape) <= axis < len(shape):
                del shape[axis]
            others.append(shape)
        columns = list(zip(*others, strict=False))
        alike = len({len(other) for other in others}) == 1
        if not alike or any(len(set(sizes) - {None}) > 1 for sizes in columns):
            raise self._unlike(input_shape, f"equal sizes on all axes but axis {self.axis}")

    def call(self, inputs):
        if not isinstance(inputs, (list, tuple)):
            return super().call(inputs)
        return ops.concatenate(inputs, axis=self.axis)

    def compute_output_shape(self, input_shape):
        """The first shape, with the sizes on `axis` added up."""
        self._check_shapes(input_shape)
        sizes = [shape[self.axis] for shape in input_shape]
        merged = list(input_shape[0])
        merged[self.axis] = None if None in sizes else sum(sizes)
        return tuple(merged)

    def compute_mask(self, inputs, previous_mask=None):
        """The inputs' masks one after the other; an input without one counts as valid."""
        if previous_mask is None:
            return None
        self._check_masks(inputs, previous_mask)
        if all(mask is None for mask in previous_mask):
            return None
        masks = []
        for x, mask in zip(inputs, previous_mask, strict=True):
            if mask is None:
                mask = ops.ones_like(x, dtype="bool")
            elif len(mask.shape) < len(x.shape):
                mask = ops.logical_or(ops.expand_dims(mask, -1), ops.zeros_like(x, dtype="bool"))
            masks.append(mask)
        return ops.any(ops.concatenate(masks, axis=self.axis), axis=-1)


@export("layers.Dot")
class Dot(Merge):
    """For each sample, the products of two tensors added up over one axis of each.

    Args: `axes`, an int for both or a pair, never the batch axis; `normalize`, whether both are
    L2-normalized along that axis before, which gives the cosine.
    Shapes: (N, a, k) and (N, k, b) with axes (2, 1) give (N, a, b).
    Raises: TypeError or ValueError for bad `axes`, ValueError for sizes that differ.
    Source: Keras 3.15 `keras.layers.Dot`.
    """

    def __init__(self, axes, normalize=False, **kwargs):
        super().__init__(**kwargs)
        expected = "an int or a list of two ints"
        if not isinstance(axes, Integral):
            if not isinstance(axes, (list, tuple)):
                checks.fail("Dot", "axes", expected, axes, TypeError)
            if len(axes) != 2 or not all(isinstance(axis, Integral) for axis in axes):
                checks.fail("Dot", "axes", expected, axes)
        self.axes = axes
        self.normalize = normalize

    def _axes_of(self, shapes):
        """The two axes counted from the front.

        Raises: ValueError for anything but two shapes, the batch axis, or sizes that differ.
        """
        self._check_shapes(shapes, 2)
        if len(shapes) != 2:
            raise ValueError(
                "Dot: `inputs` must be a list of 2 tensors. "
                f"Received: inputs of shapes {[tuple(shape) for shape in shapes]}"
            )
        pair = (self.axes, self.axes) if isinstance(self.axes, Integral) else self.axes
        axes = []
        for axis, shape in zip(pair, shapes, strict=True):
            front = axis + len(shape) if axis < 0 else axis
            if not 0 < front < len(shape):
                raise ValueError(
                    "Dot: `axes` must name axes of the inputs, but not the batch axis. "
                    f"Received: axes={self.axes}, inputs of shapes {[tuple(s) for s in shapes]}"
                )
            axes.append(front)
        sizes = [shape[axis] for shape, axis in zip(shapes, axes, strict=True)]
        if None not in sizes and sizes[0] != sizes[1]:
            raise ValueError(
                f"Dot: `inputs` must have equal sizes on the axes {tuple(axes)}. "
                f"Received: inputs of shapes {[tuple(s) for s in shapes]}"
            )
        return axes

    def build(self, input_shape):
        self._axes_of(input_shape)

    def call(self, inputs):
        shapes = [x.shape for x in inputs] if isinstance(inputs, (list, tuple)) else inputs.shape
        axis1, axis2 = self._axes_of(shapes)
        x1, x2 = inputs
        if self.normalize:
            x1, x2 = ops.normalize(x1, axis=axis1), ops.normalize(x2, axis=axis2)
        # [n, rest1, k] [n, k, rest2] -> [n, rest1, rest2]
        free1 = [axis for axis in range(1, len(x1.shape)) if axis != axis1]
        free2 = [axis for axis in range(1, len(x2.shape)) if axis != axis2]
        batch, size = x1.shape[0], x1.shape[axis1]
        left = ops.reshape(ops.transpose(x1, (0, *free1, axis1)), (batch, -1, size))
        right = ops.reshape(ops.transpose(x2, (0, axis2, *free2)), (batch, size, -1))
        rest = [x1.shape[axis] for axis in free1] + [x2.shape[axis] for axis in free2]
        return ops.reshape(ops.matmul(left, right), (batch, *(rest or [1])))

    def compute_output_shape(self, input_shape):
        """The first shape without its axis, then the second without its axis and the batch."""
        axis1, axis2 = self._axes_of(input_shape)
        first, second = (list(shape) for shape in input_shape)
        del first[axis1]
        del second[axis2], second[0]
        return tuple((first + second) if len(first + second) > 1 else (*first, 1))

    def compute_mask(self, inputs, previous_mask=None):
        """None: the axes that masks speak of are gone."""
        return None


@export("layers.add")
def add(inputs, **kwargs):
    """`Add(**kwargs)(inputs)`."""
    return Add(**kwargs)(inputs)


@export("layers.subtract")
def subtract(inputs, **kwargs):
    """`Subtract(**kwargs)(inputs)`."""
    return Subtract(**kwargs)(inputs)


@export("layers.multiply")
def multiply(inputs, **kwargs):
    """`Multiply(**kwargs)(inputs)`."""
    return Multiply(**kwargs)(inputs)


@export("layers.average")
def average(inputs, **kwargs):
    """`Average(**kwargs)(inputs)`."""
    return Average(**kwargs)(inputs)


@export("layers.maximum")
def maximum(inputs, **kwargs):
    """`Maximum(**kwargs)(inputs)`."""
    return Maximum(**kwargs)(inputs)


@export("layers.minimum")
def minimum(inputs, **kwargs):
    """`Minimum(**kwargs)(inputs)`."""
    return Minimum(**kwargs)(inputs)


@export("layers.concatenate")
def concatenate(inputs, axis=-1, **kwargs):
    """`Concatenate(axis, **kwargs)(inputs)`."""
    return Concatenate(axis=axis, **kwargs)(inputs)


@export("layers.dot")
def dot(inputs, axes=-1, **kwargs):
    """`Dot(axes, **kwargs)(inputs)`."""
    return Dot(axes=axes, **kwargs)(inputs)
