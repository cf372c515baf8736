"""AWQ: inputs with large values get finer levels, by scaling the weights before they are rounded.

Source: Lin et al. 2023, https://arxiv.org/abs/2306.00978, Section 3.2, with the largest input in
the place of the mean one, as Keras 3.15 has it.
"""

from __future__ import annotations

import numpy as np

from kerasmirror.quantizers.zero_point import levels_of, parameters_of, spread, values_of

_BITS = 4


class Magnitudes:
    """max(|x|) of each input over the rows that were added."""

    def __init__(self, size):
        self.values = np.zeros(size, np.float32)
        self.rows = 0

    def add(self, x):
        """Take rows into the maximum. Shapes: x (rows, size)."""
        np.maximum(self.values, np.abs(np.asarray(x, np.float32)).max(axis=0), out=self.values)
        self.rows += len(x)


def awq_values(kernel, magnitudes, config):
    """What the variables of an AWQ layer hold, for a kernel (inputs, outputs).

    Of the scales s = magnitudes**a, a = 0, ..., 1 on a grid, those with the least mean of
    ((w - rounded(w s) / s) * magnitudes)**2.
    """
    w = np.ascontiguousarray(kernel.T)
    inputs = w.shape[1]
    seen = np.where(magnitudes < 1e-8, 1, magnitudes).astype(np.float32)
    group = inputs if config.group_size == -1 else config.group_size
    groups = np.arange(inputs) // group
    best = None
    for step in range(config.num_grid_points + 1):
        scales = np.maximum(seen ** np.float32(step / config.num_grid_points), np.float32(1e-4))
        middle = np.sqrt(scales.max() * scales.min())
        scales = scales / np.maximum(middle, np.float32(1e-8))
        levels, scale, zero = _rounded(w * scales, groups, config.group_size)
        rebuilt = values_of(levels, spread(scale, groups), spread(zero, groups)) / scales
        loss = np.mean(((w - rebuilt) * seen) ** 2)
        if best is None or loss < best[0]:
            best = loss, levels, scale, zero, scales
    _, levels, scale, zero, scales = best
    return {
        "quantized_kernel": levels,
        "kernel_scale": scale,
        "kernel_zero": zero,
        "awq_scales": scales,
        "g_idx": groups.astype(np.float32),
    }


def _rounded(w, groups, group_size):
    scale, zero, top = parameters_of(w, _BITS, group_size=group_size)
    return levels_of(w, spread(scale, groups), spread(zero, groups), top), scale, zero
