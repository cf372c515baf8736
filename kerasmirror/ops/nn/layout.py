"""Images as the kernels want them: (N, H, W, C), whatever their rank and layout."""

from __future__ import annotations


def to_2d(k, x, channels_first):
    """(N, [H,] W, C) or (N, C, [H,] W) as (N, H, W, C), H = 1 where there is none."""
    if channels_first:
        x = k.transpose(x, (0, *range(2, x.ndim), 1))
    return x[:, None] if x.ndim == 3 else x


def from_2d(k, y, rank, channels_first):
    """The way back, to `rank` spatial axes."""
    if rank == 1:
        y = y[:, 0]
    return k.transpose(y, (0, y.ndim - 1, *range(1, y.ndim - 1))) if channels_first else y
