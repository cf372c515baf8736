"""Broadcasting backwards: an operand stretched to a larger shape gets the sum over what it met."""

from __future__ import annotations


def sum_to_shape(k, dy, shape):
    """`dy` summed over the axes along which an operand of `shape` was stretched."""
    if dy.shape == shape:
        return dy
    extra = dy.ndim - len(shape)
    stretched = [
        extra + axis for axis, n in enumerate(shape) if n == 1 and dy.shape[extra + axis] != 1
    ]
    axes = (*range(extra), *stretched)
    return k.sum(dy, axes).reshape(shape) if axes else dy.reshape(shape)
