"""Arrays read by strides: broadcasts, slices and transposes as copies, and how axes are merged.

Strides count elements; that of a stretched axis is 0, that of a reversed one negative. Kernels
know four axes: on most arrays neighbouring axes that run on into each other are one.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from . import device, memory
from .array import DeviceArray
from .indices import Divisor, add32, divisor, grid_index, mul32, split32
from .kernel import flat, inlined, kernel
from .launch import blocks_for, launch

__all__ = []

_AXES = 4  # that a kernel takes
_WORDS = {1: np.dtype("u1"), 2: np.dtype("u2"), 4: np.dtype("u4"), 8: np.dtype("u8")}


def words(x):
    """The memory of `x` as unsigned whole numbers: what moves values has kernels for these."""
    return DeviceArray(x.address, x.shape, _WORDS[x.dtype.itemsize], x.owner)


def word_of(value, dtype):
    """A number of `dtype` as the unsigned whole number of the same bits."""
    return int(np.asarray(value, dtype).reshape(1).view(_WORDS[dtype.itemsize])[0])


def strides_of(shape):
    """The strides of a contiguous array."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(strides[::-1])


def broadcast_strides(shape, target):
    """The strides by which a contiguous array of `shape` is read as one of the shape `target`."""
    missing = len(target) - len(shape)
    steps = zip(shape, strides_of(shape), strict=True)
    own = tuple(0 if n == 1 else step for n, step in steps)
    return (0,) * missing + own


@functools.lru_cache(maxsize=4096)
def merged(shape, *strides):
    """(shape, *strides) with axes of size 1 dropped and those merged that run on in all arrays.

    All are tuples: what is settled once for certain shapes is found again.
    """
    sizes, steps = [], [[] for _ in strides]
    for i, n in enumerate(shape):
        if n == 1:
            continue
        runs_on = bool(sizes) and all(
            mine[-1] == theirs[i] * n for mine, theirs in zip(steps, strides, strict=True)
        )
        if runs_on:
            sizes[-1] *= n
        else:
            sizes.append(n)
        for mine, theirs in zip(steps, strides, strict=True):
            if runs_on:
                mine[-1] = theirs[i]
            else:
                mine.append(theirs[i])
    return tuple(sizes), *(tuple(own) for own in steps)


class Axes(NamedTuple):
    """The sizes of the last three of four axes, which tell an element's place on each."""

    d1: int
    d2: int
    d3: int
    by_1: Divisor
    by_2: Divisor
    by_3: Divisor


class Steps(NamedTuple):
    """An array's strides on four axes, or other numbers for these."""

    s0: int
    s1: int
    s2: int
    s3: int


@functools.lru_cache(maxsize=4096)
def four(sizes, *strides):
    """The arguments for an Axes and the Steps of each strides.

    `sizes` has at most four axes; missing ones are put in front.
    """
    missing = _AXES - len(sizes)
    _, *inner = [1] * missing + list(sizes)
    steps = [step for own in strides for step in [0] * missing + list(own)]
    return *flat(Axes(*inner, *map(divisor, inner))), *steps


@inlined
def places(i, axes):
    """The places on four axes of the element `i` of a contiguous array."""
    rest, d = split32(i, axes.d3, axes.by_3)
    rest, c = split32(rest, axes.d2, axes.by_2)
    a, b = split32(rest, axes.d1, axes.by_1)
    return a, b, c, d


@inlined
def offset(at, steps):
    """Where the element at four places lies, by the strides of an array."""
    front = add32(mul32(at[0], steps.s0), mul32(at[1], steps.s1))
    return add32(front, add32(mul32(at[2], steps.s2), mul32(at[3], steps.s3)))


_TYPES = "u1 u2 u4 u8"


@kernel("T* T* i4 i4 A S", T=_TYPES, A=Axes, S=Steps, traffic="r w 0f")
def _read(x, y, n, first, axes, steps):
    i = grid_index()
    if i < n:
        y[i] = x[add32(first, offset(places(i, axes), steps))]


@kernel("T* T* i4 i4 A S", T=_TYPES, A=Axes, S=Steps, traffic="r w 0f")
def _write(x, y, n, first, axes, steps):
    i = grid_index()
    if i < n:
        y[add32(first, offset(places(i, axes), steps))] = x[i]


@kernel(
    *(f"u{b}* {'u8' if b == 8 else 'u4'} i4 i4 A S" for b in (1, 2, 4, 8)),
    A=Axes,
    S=Steps,
    traffic="w 0f",
)
def _write_value(y, value, n, first, axes, steps):
    i = grid_index()
    if i < n:
        y[add32(first, offset(places(i, axes), steps))] = value


def read(x, shape, strides, first=0):
    """A fresh array of `shape`: x from its element `first` on, by `strides`."""
    y = memory.empty(shape, x.dtype)
    sizes, steps = merged(tuple(shape), tuple(strides))
    if steps in ((), (1,)):
        if y.size:
            step = first * x.itemsize
            device.current().copy(y.address, x.address + step, y.nbytes)
        return y
    wide = widest((x, y), (sizes[-1], first, *steps[:-1]), steps[-1] == 1)
    _slabs(_read, (x, y), wide, sizes, steps, first, reads=True)
    return y


def write(y, x, strides, first=0):
    """Write x into y from its element `first` on, by `strides`."""
    sizes, steps = merged(x.shape, tuple(strides))
    if steps in ((), (1,)):
        if x.size:
            step = first * x.itemsize
            device.current().copy(y.address + step, x.address, x.nbytes)
        return
    wide = widest((x, y), (sizes[-1], first, *steps[:-1]), steps[-1] == 1)
    _slabs(_write, (x, y), wide, sizes, steps, first, reads=False)


def write_value(y, value, shape, strides, first=0):
    """Write a number into the part of `shape` of y, by `strides`."""
    sizes, steps = merged(tuple(shape), tuple(strides))
    n = math.prod(sizes)
    word, target = word_of(value, y.dtype), words(y)
    for more, rest, own in _within(sizes, steps):
        count = math.prod(rest)
        launch(_write_value, blocks_for(count), target, word, count, first + more, *four(rest, own))
    return n


def widest(arrays, numbers, runs_on=True):
    """How many elements are one word of a kernel that moves runs of elements.

    Args: arrays of one dtype, the numbers that all must be multiples of it (a run's length, places
    and strides), and whether the elements of a run lie side by side at all.
    """
    itemsize = arrays[0].itemsize
    common = math.gcd(8 // itemsize, *numbers) if runs_on else 1
    return 1 if any(a.address % (common * itemsize) for a in arrays) else common


def in_words(x, wide):
    """The memory of `x` as one axis of words of `wide` elements."""
    size = wide * x.itemsize
    return DeviceArray(x.address, (x.nbytes // size,), _WORDS[size], x.owner)


def fill(y, value):
    """Write a number into all of y."""
    word = word_of(value, y.dtype)
    if word == 0:
        if y.size:
            device.current().fill_bytes(y.address, 0, y.nbytes)
    else:
        write_value(y, value, (y.size,), [1])


def _slabs(kernel_, arrays, wide, sizes, steps, first, reads):
    x, y = (in_words(a, wide) for a in arrays)
    if wide > 1:
        sizes = *sizes[:-1], sizes[-1] // wide
        steps, first = (*(step // wide for step in steps[:-1]), 1), first // wide
    done = 0
    for more, rest, own in _within(sizes, steps):
        count = math.prod(rest)
        a = x if reads else x.view_at(done, (count,))
        b = y.view_at(done, (count,)) if reads else y
        launch(kernel_, blocks_for(count), a, b, count, first + more, *four(rest, own))
        done += count


def _within(sizes, steps):
    """(where it begins, its sizes, its strides) of each part with no more axes than kernels take.

    That is all at once, but for arrays of five axes and more none of which can be merged.
    """
    front = max(0, len(sizes) - _AXES)
    for at in np.ndindex(*sizes[:front]):
        more = sum(i * step for i, step in zip(at, steps[:front], strict=True))
        yield more, sizes[front:], steps[front:]
