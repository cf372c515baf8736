"""Which algorithm a convolution goes by when nobody says.

x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F). The rules count arithmetic and memory;
none of them was timed on a GPU. They depend on shapes alone, so that results do not depend on the
card.
"""

import functools

import numpy as np

from . import conv_depthwise, conv_winograd

_FEWEST_FILTERS = 8  # of a group, below which a tile of a matrix product is mostly waste


@functools.lru_cache(4096)
def best(step, x_shape, w_shape, geometry, dtype):
    """The name of the algorithm for a pass: "forward", "grad_input" or "grad_kernel"."""
    outputs = x_shape[0] * geometry.out_size[0] * geometry.out_size[1]
    if not outputs * w_shape[2] * w_shape[3]:
        return "direct"
    if conv_depthwise.is_depthwise(w_shape, geometry):
        return "depthwise"
    if dtype != np.float32:
        return "direct"
    if geometry.groups > 1 and w_shape[3] // geometry.groups < _FEWEST_FILTERS:
        return "direct"
    return "winograd" if conv_winograd.tile_size(x_shape, w_shape, geometry) else "gemm"
