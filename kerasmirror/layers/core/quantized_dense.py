"""How Dense and EinsumDense contract, for the quantized kinds of it."""

from __future__ import annotations

import functools
import math
import string

import numpy as np

from kerasmirror import ops
from kerasmirror.core.tensor import Tensor
from kerasmirror.layers.core.quantized_kernel import MOST_TERMS, QuantizedKernel
from kerasmirror.ops.nn.dense import affine, affine_over


class QuantizedDense(QuantizedKernel):
    """`inputs @ kernel`: scales are those of the last axis."""

    # How many axes are summed where inputs and kernel are matrices as they lie; else None.
    _summed = 1

    def _contract(self, inputs, kernel):
        return affine(inputs, kernel, None)

    def _contract_back(self, dy, kernel):
        return ops.matmul(dy, ops.transpose(kernel))

    def _whole_product(self, x, kernel):
        rows, columns = self._matrix_shape(kernel.shape)
        if rows <= MOST_TERMS or self._summed is None:
            return super()._whole_product(x, kernel)
        total = np.zeros((x.size // rows, columns))
        x_rows, matrix = x.reshape(-1, rows), kernel.reshape(rows, columns)
        for start in range(0, rows, MOST_TERMS):
            part = slice(start, start + MOST_TERMS)
            left = Tensor(np.ascontiguousarray(x_rows[:, part], np.float32))
            total += affine(left, Tensor(matrix[part].astype(np.float32)), None).data
        shape = (*x.shape[: x.ndim - self._summed], *kernel.shape[self._summed :])
        return Tensor(total.astype(np.float32).reshape(shape))

    def inputs_are_rows(self, inputs, size):
        """Whether inputs, as rows of `size`, are what the kernel's rows are multiplied by."""
        if self._summed is None:
            return False
        return math.prod(inputs.shape[inputs.ndim - self._summed :]) == size

    def _summed_axes(self):
        return (0,)

    def _summed_input_axes(self):
        return -1

    def _to_outputs(self, scale, of):
        return scale.reshape(-1) if of == "kernel" else scale

    def _from_outputs(self, scale):
        return scale

    @property
    def _orig_output_dim(self):
        return self._int4_unpacked_column_size


class QuantizedEinsum(QuantizedDense):
    """`einsum(equation, inputs, kernel)`: scales have the outputs' axes, 1 where they vary not."""

    _zero_name = "zero_point"

    def _letters(self):
        """Letters of inputs, kernel and outputs, spare ones in the place of "..."."""
        return _letters_of(self.equation, self.input_spec.ndim)

    def _contract(self, inputs, kernel):
        if self._summed is not None:
            return affine_over(inputs, kernel, None, summed=self._summed)
        x, w, y = self._letters()
        return ops.einsum(f"{x},{w}->{y}", inputs, kernel)

    def _contract_back(self, dy, kernel):
        x, w, y = self._letters()
        return ops.einsum(f"{y},{w}->{x}", dy, kernel)

    def _summed_axes(self):
        _, w, y = self._letters()
        return tuple(axis for axis, letter in enumerate(w) if letter not in y)

    def _summed_input_axes(self):
        x, _, y = self._letters()
        return tuple(axis for axis, letter in enumerate(x) if letter not in y)

    def _to_outputs(self, scale, of):
        x, w, y = self._letters()
        letters = w if of == "kernel" else x
        return _rearranged(scale, letters, y)

    def _from_outputs(self, scale):
        _, w, y = self._letters()
        return _rearranged(scale, y, w)

    def _block_size(self, config):
        block_size = super()._block_size(config)
        return None if block_size == -1 else block_size

    def _add_low_rank(self, outputs, inputs):
        first, second = self._lora_factors()
        product = ops.multiply(ops.matmul(first, second), self._lora_scale())
        return ops.add(outputs, ops.cast(self._contract(inputs, product), outputs.dtype))


@functools.cache
def _letters_of(equation, rank):
    """The three parts of an equation for inputs of `rank` axes, without "..."."""
    x, rest = equation.split(",")
    w, y = rest.split("->")
    count = rank - len(x.replace("...", ""))
    spare = [c for c in string.ascii_letters if c not in equation][:count]
    # Without "..." in the equation, axes that have no letter are behind, as in Keras.
    return tuple(part.replace("...", "".join(spare)) for part in (x, w, y))


def _rearranged(array, letters, wanted):
    """`array` with axes in the order of `wanted`, 1 for letters it has not.

    Letters that are not wanted have size 1.
    """
    kept = [letter for letter in letters if letter in wanted]
    array = array.reshape([n for n, c in zip(array.shape, letters, strict=True) if c in wanted])
    order = sorted(range(len(kept)), key=lambda i: wanted.index(kept[i]))
    array = array.transpose(order)
    sizes = dict(zip([kept[i] for i in order], array.shape, strict=True))
    return array.reshape([sizes.get(letter, 1) for letter in wanted])
