"""Arrays read by strides: broadcasts, slices and transposes as copies, and how axes are merged.

Strides count elements; that of a stretched axis is 0, that of a reversed one negative. Kernels
know four axes: on most arrays neighbouring axes that run on into each other are one.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numba import int32

from . import device, memory
from .array import DeviceArray
from .indices import add32, grid_index, mul32, quotient
from .kernel import inlined, kernel
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


@functools.lru_cache(maxsize=4096)
def four(sizes, *strides):
    """The arguments of `places` and `offset`: (is it deep, three sizes, four strides of each).

    `sizes` has at most four axes; missing ones are put in front.
    """
    missing = _AXES - len(sizes)
    _, *inner = [1] * missing + list(sizes)
    steps = [step for own in strides for step in [0] * missing + list(own)]
    return (int(len(sizes) > 2), *inner, *steps)


@inlined
def places(i, deep, d1, d2, d3):
    """The places on four axes of the element `i` of a contiguous array; two axes if not `deep`."""
    row = quotient(i, d3)
    c = add32(i, mul32(row, -d3))
    b, a, top = row, int32(0), int32(0)
    if deep != 0:
        plane = quotient(row, d2)
        b = add32(row, mul32(plane, -d2))
        top = quotient(plane, d1)
        a = add32(plane, mul32(top, -d1))
    return top, a, b, c


@inlined
def offset(at, s0, s1, s2, s3):
    """Where the element at four places lies, by the strides of an array."""
    front = add32(mul32(at[0], s0), mul32(at[1], s1))
    return add32(front, add32(mul32(at[2], s2), mul32(at[3], s3)))


_TYPES = "u1 u2 u4 u8"
_PLAN = "i4 i4 i4 i4 i4 i4 i4 i4"  # deep, d1 to d3, s0 to s3


@kernel(f"T* T* i4 i4 {_PLAN}", T=_TYPES, traffic="r w 0f")
def _read(x, y, n, first, deep, d1, d2, d3, s0, s1, s2, s3):
    i = grid_index()
    if i < n:
        y[i] = x[add32(first, offset(places(i, deep, d1, d2, d3), s0, s1, s2, s3))]


@kernel(f"T* T* i4 i4 {_PLAN}", T=_TYPES, traffic="r w 0f")
def _write(x, y, n, first, deep, d1, d2, d3, s0, s1, s2, s3):
    i = grid_index()
    if i < n:
        y[add32(first, offset(places(i, deep, d1, d2, d3), s0, s1, s2, s3))] = x[i]


@kernel(
    f"T* V i4 i4 {_PLAN}".replace("T", "u1").replace("V", "u4"),
    f"T* V i4 i4 {_PLAN}".replace("T", "u2").replace("V", "u4"),
    f"T* V i4 i4 {_PLAN}".replace("T", "u4").replace("V", "u4"),
    f"T* V i4 i4 {_PLAN}".replace("T", "u8").replace("V", "u8"),
    traffic="w 0f",
)
def _write_value(y, value, n, first, deep, d1, d2, d3, s0, s1, s2, s3):
    i = grid_index()
    if i < n:
        y[add32(first, offset(places(i, deep, d1, d2, d3), s0, s1, s2, s3))] = value


def read(x, shape, strides, first=0):
    """A fresh array of `shape`: x from its element `first` on, by `strides`."""
    y = memory.empty(shape, x.dtype)
    sizes, steps = merged(tuple(shape), tuple(strides))
    if steps in ((), (1,)):
        if y.size:
            step = first * x.itemsize
            device.current().copy(y.address, x.address + step, y.nbytes)
        return y
    _slabs(_read, words(x), words(y), sizes, steps, first, reads=True)
    return y


def write(y, x, strides, first=0):
    """Write x into y from its element `first` on, by `strides`."""
    sizes, steps = merged(x.shape, tuple(strides))
    if steps in ((), (1,)):
        if x.size:
            step = first * x.itemsize
            device.current().copy(y.address + step, x.address, x.nbytes)
        return
    _slabs(_write, words(x), words(y), sizes, steps, first, reads=False)


def write_value(y, value, shape, strides, first=0):
    """Write a number into the part of `shape` of y, by `strides`."""
    sizes, steps = merged(tuple(shape), tuple(strides))
    n = math.prod(sizes)
    word, target = word_of(value, y.dtype), words(y)
    for more, rest, own in _within(sizes, steps):
        count = math.prod(rest)
        launch(_write_value, blocks_for(count), target, word, count, first + more, *four(rest, own))
    return n


def fill(y, value):
    """Write a number into all of y."""
    word = word_of(value, y.dtype)
    if word == 0:
        if y.size:
            device.current().fill_bytes(y.address, 0, y.nbytes)
    else:
        write_value(y, value, (y.size,), [1])


def _slabs(kernel_, x, y, sizes, steps, first, reads):
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
