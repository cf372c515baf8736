"""Geometry of windows over images: settled once by ops, read by kernels.

Axes: N images, H W height and width, C channels, R S window, P Q output height and width,
F filters.
"""

from __future__ import annotations

from typing import NamedTuple


class ConvGeometry(NamedTuple):
    """A 2D convolution's shape: x (N, H, W, C), w (R, S, C / groups, F), y (N, P, Q, F).

    `pad` is ((top, bottom), (left, right)); padded zeros surround x.
    `y[n, p, q]` reads x rows `p * stride[0] + r * dilation[0] - pad[0][0]` for r in [0, R).
    """

    stride: tuple[int, int]
    pad: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int
    out_size: tuple[int, int]


class PoolGeometry(NamedTuple):
    """A 2D pooling's shape: x (N, H, W, C), y (N, P, Q, C); padded places take no part."""

    window: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[tuple[int, int], tuple[int, int]]
    out_size: tuple[int, int]


def window_output(size, window, stride, dilation, padding):
    """Output length and (before, after) padding of a window sliding over `size` places.

    `padding` is "valid" (no padding; 0 when the window does not fit), "same" (output
    `ceil(size / stride)`, the odd zero after, as TensorFlow pads) or "causal" (all before).
    `size` may be None: then so is the output, and the padding is (0, 0).
    """
    if size is None:
        return None, (0, 0)
    reach = (window - 1) * dilation + 1
    if padding == "valid":
        return max(0, (size - reach) // stride + 1), (0, 0)
    if padding == "causal":
        return (size - 1) // stride + 1, (reach - 1, 0)
    out = -(-size // stride)
    total = max(0, (out - 1) * stride + reach - size)
    return out, (total // 2, total - total // 2)
