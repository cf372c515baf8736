"""How many rows of scores have their largest entry where it should be."""

from __future__ import annotations

import numpy as np

from . import threads
from .launch import kernel, launch

__all__ = ["count_matches"]


def count_matches(scores: np.ndarray, labels: np.ndarray) -> int:
    """The number of rows n with argmax(scores[n]) == labels[n].

    Shapes: scores (N, K) with K > 0, labels N whole numbers. As in NumPy, the first of several
    largest values counts, and the first NaN is larger than all else.
    """
    scores = np.ascontiguousarray(scores)
    labels = np.ascontiguousarray(labels, np.int64).reshape(-1)
    rows = min(len(scores), threads.chunk_of(4 * scores.shape[1])) or 1
    counts = np.empty(-(-len(scores) // rows), np.int64)
    launch(_count, len(counts), 1, scores, labels, counts, rows)
    return int(counts[0]) if len(counts) == 1 else int(counts.sum())


@kernel
def _count(lo, hi, thread, scores, labels, counts, rows):
    for item in range(lo, hi):  # one item owns `rows` rows
        found = 0
        for n in range(item * rows, min((item + 1) * rows, scores.shape[0])):
            row = scores[n]
            best, place = row[0], 0
            for i in range(1, row.size):
                if row[i] > best or (row[i] != row[i] and best == best):
                    best, place = row[i], i
            found += place == labels[n]
        counts[item] = found
