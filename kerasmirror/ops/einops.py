"""rearrange: axes split, merged and reordered by a pattern of names."""

from __future__ import annotations

import functools
import re

from kerasmirror._export import export
from kerasmirror.ops import shapes
from kerasmirror.ops.numpy import shape
from kerasmirror.ops.tensor import snapshot


@export("ops.rearrange")
def rearrange(tensor, pattern, **axes_lengths):
    """`tensor` with its axes as in "b (h w) c -> b h (w c)": brackets split or merge axes.

    `axes_lengths` gives the sizes of split axes; in each bracket one may be missing.
    Raises: ValueError when the pattern and the shape do not agree.
    Source: https://einops.rocks; Keras 3.15 `keras.ops.rearrange`.
    """
    x = snapshot(tensor)
    left, right = _parsed(pattern)
    if len(left) != len(x.shape):
        raise _unfit("one name or bracket for each axis", x, pattern)
    sizes = []
    for group, size in zip(left, x.shape, strict=True):
        sizes.extend(_split_sizes(group, size, axes_lengths, x, pattern))
    names = [name for group in left for name in group]
    order = [names.index(name) for group in right for name in group]
    if sizes != list(x.shape):
        x = shape.reshape(x, sizes)
    if order != sorted(order):
        x = shape.transpose(x, order)
    if all(len(group) == 1 for group in right):
        return x
    merged, start = [], 0
    for group in right:
        merged.append(shapes.size_of(x.shape[start : start + len(group)]))
        start += len(group)
    return shape.reshape(x, merged)


@functools.lru_cache(maxsize=256)
def _parsed(pattern):
    sides = pattern.split("->")
    groups = [
        [
            tuple((inside or single).split())
            for inside, single in re.findall(r"\(([^)]*)\)|(\w+)", s)
        ]
        for s in sides
    ]
    names = [sorted(name for group in side for name in group) for side in groups]
    if len(sides) != 2 or names[0] != names[1] or len(set(names[0])) != len(names[0]):
        raise ValueError(
            "keras.ops.rearrange: `pattern` must name the same axes, each once, on both sides of "
            f"`->`. Received: pattern={pattern!r}"
        )
    return tuple(groups[0]), tuple(groups[1])


def _split_sizes(group, size, lengths, x, pattern):
    if len(group) == 1:
        if group[0] in lengths and size not in (None, lengths[group[0]]):
            raise _unfit(f"{group[0]!r} of size {lengths[group[0]]}", x, pattern)
        return [size]
    known = [lengths.get(name) for name in group]
    if known.count(None) > 1:
        raise _unfit(f"sizes for all but one of the axes {group}", x, pattern)
    product = shapes.size_of([n for n in known if n is not None])
    if size is not None:
        if size % product or (None not in known and product != size):
            raise _unfit(f"sizes of the axes {group} that make up {size}", x, pattern)
        known = [size // product if n is None else n for n in known]
    return known


def _unfit(expected, x, pattern):
    return ValueError(
        f"keras.ops.rearrange: `pattern` must have {expected}. "
        f"Received: tensor.shape={tuple(x.shape)}, pattern={pattern!r}"
    )
