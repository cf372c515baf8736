"""What a NumPy key of an array means: a part of it by strides, and index arrays for some axes."""

from __future__ import annotations

import operator
from typing import NamedTuple

import numpy as np

from . import memory
from .array import DeviceArray
from .strided import strides_of

__all__ = []


class Part(NamedTuple):
    """The values of an array that integers, slices and None in a key leave, by strides.

    `arrays` are the index arrays, each with the axis of the part that it is for; `place` is where
    their axes come in the result.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    first: int
    arrays: tuple[tuple[int, object], ...]
    place: int


def part_of(shape, key):
    """The Part of an array of `shape` that `key` asks for.

    Raises: IndexError as NumPy does; NotImplementedError for keys that are not known here.
    """
    items = _without_masks(key if isinstance(key, tuple) else (key,))
    items = _with_all_axes(items, shape)
    steps = strides_of(shape)
    axis, first, sizes, strides, arrays, chosen = 0, 0, [], [], [], []
    for number, item in enumerate(items):
        if item is None:
            sizes.append(1)
            strides.append(0)
            continue
        n, step = shape[axis], steps[axis]
        if isinstance(item, slice):
            start, stop, by = item.indices(n)
            count = len(range(start, stop, by))
            first += start * step if count else 0
            sizes.append(count)
            strides.append(by * step)
        elif _is_array(item):
            arrays.append((len(sizes), item))
            chosen.append((number, len(sizes)))
            sizes.append(n)
            strides.append(step)
        else:
            first += _place(item, n, axis) * step
            chosen.append((number, len(sizes)))
        axis += 1
    return Part(tuple(sizes), tuple(strides), first, tuple(arrays), _result_place(chosen))


def _is_array(item):
    return isinstance(item, (DeviceArray, np.ndarray, list))


def _place(item, n, axis):
    if isinstance(item, (bool, np.bool_)):
        raise NotImplementedError(
            "kerasmirror: an array on a GPU cannot be indexed by a single boolean. "
            f"Received: key={item}"
        )
    place = operator.index(item)
    if not -n <= place < n:
        raise IndexError(f"index {place} is out of bounds for axis {axis} with size {n}")
    return place % n


def _result_place(chosen):
    """Where index arrays' axes come: where the first is, or in front where others lie between.

    As in NumPy, where an integer beside an array counts as one.
    """
    numbers = [number for number, _ in chosen]
    together = numbers and numbers[-1] - numbers[0] == len(numbers) - 1
    return chosen[0][1] if together else 0


def _without_masks(items):
    """The key with index arrays in the place of boolean masks.

    How many places a mask chooses is the size of the result: it has to come to the host.
    """
    found = []
    for item in items:
        if _is_array(item):
            if isinstance(item, list):
                item = np.asarray(item)
            if item.dtype == bool:
                mask = item.to_host() if isinstance(item, DeviceArray) else item
                places = np.nonzero(mask) if mask.ndim else ()
                if not mask.ndim:
                    _place(bool(mask), 1, 0)
                found.extend(memory.to_device(p.astype(np.int32)) for p in places)
                continue
            if isinstance(item, np.ndarray) and item.ndim == 0:
                item = int(item)
        found.append(item)
    return found


def _with_all_axes(items, shape):
    """The key with full slices for Ellipsis and for axes that it does not name."""
    named = sum(item is not None and item is not Ellipsis for item in items)
    missing = len(shape) - named
    if missing < 0:
        raise IndexError(
            f"too many indices for array: array is {len(shape)}-dimensional, but {named} were "
            "indexed"
        )
    places = [i for i, item in enumerate(items) if item is Ellipsis]
    if len(places) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    at = places[0] if places else len(items)
    rest = items[at + 1 :] if places else []
    return [*items[:at], *[slice(None)] * missing, *rest]
