"""GPTQ: weights rounded one input after the other, the later ones corrected for each error.

Source: Frantar et al. 2022, https://arxiv.org/abs/2210.17323, Algorithm 1. Keras 3.15 takes the
inverse Hessian where the paper has its Cholesky factor; the two agree where inputs are independent.
"""

from __future__ import annotations

import numpy as np

from kerasmirror.quantizers.zero_point import levels_of, parameters_of, values_of

_BLOCK = 128


class Hessian:
    """2 / n * X^T X over the rows that were added: the second derivative of the squared error."""

    def __init__(self, size):
        self.matrix = np.zeros((size, size))
        self.rows = 0

    def add(self, x):
        """Take rows into the mean. Shapes: x (rows, size)."""
        x = np.asarray(x, np.float32)
        total = self.rows + len(x)
        self.matrix *= self.rows / total
        self.matrix += (2 / total) * (x.T @ x)
        self.rows = total


def gptq_values(kernel, hessian, config):
    """What the variables of a GPTQ layer hold, for a kernel (inputs, outputs).

    Rounding input i makes an error e_i for each output. With the Hessian's inverse = U^T U and U
    upper triangular, the best correction of the inputs j > i is -e_i / U_ii * U_ij.
    """
    w = np.array(kernel.T)
    inputs = w.shape[1]
    diagonal = hessian.diagonal()
    order = np.arange(inputs)
    if config.activation_order:
        order = np.argsort(-diagonal, kind="stable")
    factor = _inverse_factor(hessian[np.ix_(order, order)], config.hessian_damping)
    factor = factor.astype(w.dtype)
    w = w[:, order]
    group = inputs if config.group_size == -1 else config.group_size
    levels = np.zeros(w.shape, np.uint8)
    scales, zeros = [], []
    for start in range(0, inputs, _BLOCK):
        end = min(start + _BLOCK, inputs)
        errors = np.empty((len(w), end - start), w.dtype)
        for i in range(start, end):
            if i % group == 0:
                scale, zero, top = parameters_of(
                    w[:, i : i + group], config.weight_bits, config.symmetric, config.per_channel
                )
                scales.append(scale)
                zeros.append(zero)
            column = w[:, i : i + 1]
            level = levels_of(column, scale, zero, top)
            levels[:, i] = level[:, 0]
            error = (column - values_of(level, scale, zero)) / factor[i, i]
            w[:, i + 1 : end] -= error * factor[i, i + 1 : end]
            errors[:, i - start] = error[:, 0]
        w[:, end:] -= errors @ factor[start:end, end:]
    back = np.argsort(order)
    return {
        "quantized_kernel": levels[:, back],
        "kernel_scale": np.concatenate(scales, axis=1),
        "kernel_zero": np.concatenate(zeros, axis=1),
        "g_idx": (np.arange(inputs) // group)[back].astype(np.float32),
    }


def _inverse_factor(hessian, damping):
    """U, upper triangular, with U^T U the inverse of the damped Hessian."""
    matrix = np.array(hessian, np.float64)
    diagonal = matrix.diagonal().copy()
    diagonal[diagonal == 0] = 1  # inputs that were never other than 0
    np.fill_diagonal(matrix, diagonal + damping * diagonal.mean())
    return np.linalg.cholesky(np.linalg.inv(matrix)).T
