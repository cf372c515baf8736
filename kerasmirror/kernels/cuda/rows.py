"""An array as (outer, places, inner): what kernels compute that read or write places of an axis."""

from __future__ import annotations

import functools
from typing import NamedTuple

from .indices import Divisor, add32, divisor, mul32, split32
from .kernel import flat, inlined

__all__ = []


class Rows(NamedTuple):
    """The form (outer, count, inner) that threads go through, and n, the axis of the other array.

    `size` is the number of threads, one for each element.
    """

    size: int
    n: int
    count: int
    inner: int
    by_n: Divisor
    by_count: Divisor
    by_inner: Divisor


@functools.lru_cache(maxsize=4096)
def rows(size, n, count, inner):
    """The arguments for a Rows."""
    return flat(Rows(size, n, count, inner, *map(divisor, (n, count, inner))))


@inlined
def row_and_column(i, r):
    """(outer, place, inner) of element i."""
    rest, c = split32(i, r.inner, r.by_inner)
    outer, s = split32(rest, r.count, r.by_count)
    return outer, s, c


@inlined
def place_in(outer, at, c, r):
    """Where (outer, at, c) lies in the array of (outer, n, inner)."""
    return add32(mul32(add32(mul32(outer, r.n), at), r.inner), c)


@inlined
def place_of_row(outer, s, c, r):
    """Where (outer, s, c) lies in the array of (outer, count, inner)."""
    return add32(mul32(add32(mul32(outer, r.count), s), r.inner), c)
