"""Order of values along the last axis: sort, argsort, top_k, searchsorted.

Sorting is stable, and NaN counts as larger than every number.
"""

from __future__ import annotations

import numpy as np

__all__ = ["argsort", "searchsorted", "sort", "top_k"]


def sort(x: np.ndarray) -> np.ndarray:
    """x with its values in ascending order along the last axis."""
    return np.sort(x, axis=-1, kind="stable")


def argsort(x: np.ndarray) -> np.ndarray:
    """Positions (int32) along the last axis that put x in ascending order; ties stay in order."""
    return np.argsort(x, axis=-1, kind="stable").astype(np.int32)


def top_k(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest values along the last axis, largest first, and their positions (int32).

    Of equal values the one with the lower position comes first, as in TensorFlow.
    """
    n = x.shape[-1]
    # Ascending and stable on the reversed axis puts, read backwards, lower positions first.
    order = n - 1 - np.argsort(x[..., ::-1], axis=-1, kind="stable")[..., ::-1][..., :k]
    return np.take_along_axis(x, order, axis=-1), order.astype(np.int32)


def searchsorted(edges: np.ndarray, values: np.ndarray, side: str = "left") -> np.ndarray:
    """Where in the ascending `edges` each value belongs (int32), before or after its equals."""
    return np.asarray(np.searchsorted(edges, values, side=side)).astype(np.int32)
