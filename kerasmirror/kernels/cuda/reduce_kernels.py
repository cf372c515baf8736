"""Kernels that reduce the columns of an array (outer, n, inner): see blocks.py.

A lane merges every so many values into four results, which then meet in a tree, as lanes do.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from .blocks import column_of, highest, lane_of, lowest, shared_like, shared_out, step_of
from .indices import quotient, remainder
from .kernel import inlined, kernel


def _reduction(name, start, merge, template, **names):
    """A kernel: y[part, column] = the values of a part, merged two by two; of floats, / count."""

    def reduce(x, y, columns, n, inner, shift, length, count):
        a = start(x[0])
        b, c, d = a, a, a
        shared = shared_like(a)
        column, lane = column_of(inner, shift), lane_of(inner, shift)
        lanes = 1 << shift
        if column < columns:
            place = quotient(column, inner) * n * inner + remainder(column, inner)
            first = cuda.blockIdx.y * length
            last = min(first + length, n)
            i = first + lane
            while i + 3 * lanes < last:
                at = place + i * inner
                by = lanes * inner
                a = merge(a, x[at])
                b = merge(b, x[at + by])
                c = merge(c, x[at + 2 * by])
                d = merge(d, x[at + 3 * by])
                i += 4 * lanes
            while i < last:
                a = merge(a, x[place + i * inner])
                i += lanes
        a = merge(merge(a, b), merge(c, d))
        t, step = cuda.threadIdx.x, step_of(inner, shift)
        shared[t] = a
        half = lanes >> 1
        while half > 0:
            cuda.syncthreads()
            if lane < half:
                a = merge(a, shared[t + half * step])
                shared[t] = a
            half >>= 1
        if lane == 0 and column < columns:
            y[cuda.blockIdx.y * columns + column] = shared_out(a, count)

    reduce.__name__ = reduce.__qualname__ = name
    return kernel(f"{template} i4 i4 i4 i4 i4 i4", registers=64, traffic="r - 1f", **names)(reduce)


@inlined
def zero(v):
    """0 of the type of v."""
    return type(v)(0)


@inlined
def one(v):
    """1 of the type of v."""
    return type(v)(1)


@inlined
def plus(a, b):
    """a + b."""
    return a + b


@inlined
def times(a, b):
    """a * b."""
    return a * b


@inlined
def _larger(a, b):
    return b if b > a or b != b else a


@inlined
def _smaller(a, b):
    return b if b < a or b != b else a


SUM = _reduction("_sum", zero, plus, "T* T*", T="f4 f8 i4 i8")
SUM_BYTES = _reduction("_sum_bytes", zero, plus, "u1* i4*")
PROD = _reduction("_prod", one, times, "T* T*", T="f4 f8 i4 i8")
MAX = _reduction("_max", lowest, _larger, "T* T*", T="f4 f8 i4 i8 u1")
MIN = _reduction("_min", highest, _smaller, "T* T*", T="f4 f8 i4 i8 u1")


@inlined
def _before(v, i, w, j, sign):
    """Whether w at place j comes before v at place i: larger (smaller for -1), NaN, or earlier."""
    if v != v or w != w:
        return w != w and (v == v or j < i)
    return (w > v if sign > 0 else w < v) or (w == v and j < i)


@kernel(
    "T* i4* T* i4* i4 i4 i4 i4 i4 i4 i4", T="f4 f8 i4 i8 u1", registers=64, traffic="r - - - 1f"
)
def extremum_place(
    x, places, best, where, columns, n, inner, shift, length, sign, placed
):  # fmt: skip
    """Best and where[part, column] = the first largest or smallest value, and its place.

    With `placed` the values have places already, those of parts.
    """
    a = lowest(x[0]) if sign > 0 else highest(x[0])
    place_of_a = np.int32(2147483647)
    values, numbers = shared_like(a), shared_like(place_of_a)
    column, lane = column_of(inner, shift), lane_of(inner, shift)
    lanes = 1 << shift
    if column < columns:
        place = quotient(column, inner) * n * inner + remainder(column, inner)
        first = cuda.blockIdx.y * length
        last = min(first + length, n)
        i = first + lane
        while i < last:
            at = place + i * inner
            number = np.int32(places[at]) if placed else np.int32(i)
            if _before(a, place_of_a, x[at], number, sign):
                a, place_of_a = x[at], number
            i += lanes
    t, step = cuda.threadIdx.x, step_of(inner, shift)
    values[t], numbers[t] = a, place_of_a
    half = lanes >> 1
    while half > 0:
        cuda.syncthreads()
        if lane < half:
            other, number = values[t + half * step], numbers[t + half * step]
            if _before(a, place_of_a, other, number, sign):
                a, place_of_a = other, number
            values[t], numbers[t] = a, place_of_a
        half >>= 1
    if lane == 0 and column < columns:
        out = cuda.blockIdx.y * columns + column
        best[out], where[out] = a, place_of_a


@inlined
def _larger_or_first(m, other):
    return other if other > m else m


@inlined
def _exponentials(m, s, other, sums):
    """What s e^m + sums e^other is as a factor of e^max(m, other); no inf - inf."""
    if other == m:
        return s + sums
    if other > m:
        return s * math.exp(m - other) + sums
    return s + sums * math.exp(other - m)


@kernel("T* T* i4 i4 i4 i4 i4", T="f4 f8", registers=64, traffic="r - 4f")
def logsumexp(x, y, columns, n, inner, shift, length):
    """y[part, column] = log(sum of e^x) of a part."""
    m, s, single = lowest(x[0]), zero(x[0]), one(x[0])
    largest, sums = shared_like(m), shared_like(s)
    column, lane = column_of(inner, shift), lane_of(inner, shift)
    lanes = 1 << shift
    if column < columns:
        place = quotient(column, inner) * n * inner + remainder(column, inner)
        first = cuda.blockIdx.y * length
        last = min(first + length, n)
        i = first + lane
        while i < last:
            v = x[place + i * inner]
            s = _exponentials(m, s, v, single)
            m = _larger_or_first(m, v)
            i += lanes
    t, step = cuda.threadIdx.x, step_of(inner, shift)
    largest[t], sums[t] = m, s
    half = lanes >> 1
    while half > 0:
        cuda.syncthreads()
        if lane < half:
            other, more = largest[t + half * step], sums[t + half * step]
            s = _exponentials(m, s, other, more)
            m = _larger_or_first(m, other)
            largest[t], sums[t] = m, s
        half >>= 1
    if lane == 0 and column < columns:
        y[cuda.blockIdx.y * columns + column] = m + math.log(s)
