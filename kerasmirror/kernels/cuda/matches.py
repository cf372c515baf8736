"""How many rows of scores have their largest entry where it should be."""

from __future__ import annotations

import numpy as np

from . import memory, reduce
from .casting import as_dtype
from .indices import grid_index
from .kernel import kernel
from .launch import blocks_for, launch

__all__ = ["count_matches"]


@kernel("i4* L* i4* i4", L="i4 i8", traffic="r r w 0f")
def _equal(places, labels, hits, n):
    i = grid_index()
    if i < n:
        hits[i] = 1 if places[i] == labels[i] else 0


def count_matches(scores, labels):
    """The number of rows n with argmax(scores[n]) == labels[n], an int32 array of no axes.

    Shapes: scores (N, K) with K > 0, labels N whole numbers. As in NumPy, the first of several
    largest values counts, and the first NaN is larger than all else. It is on the device: to know
    it, the host would have to wait.
    """
    places = reduce.argmax(scores, 1)
    if labels.code not in ("i4", "i8"):
        labels = as_dtype(labels, np.dtype(np.int64))
    hits = memory.empty((len(scores),), np.int32)
    launch(_equal, blocks_for(hits.size), places, labels, hits, hits.size)
    return reduce.sum(hits)
