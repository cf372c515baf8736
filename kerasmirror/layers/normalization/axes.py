"""The `axis` of the normalization layers: one or several axes of the input."""

from __future__ import annotations


def checked_axis(axis, owner, what):
    """`axis`, an int or a list of ints.

    Raises: TypeError with the words `what` for anything else.
    """
    if isinstance(axis, (list, tuple)):
        return list(axis)
    if not isinstance(axis, int):
        raise TypeError(f"{owner}: {what}. Received: axis={axis!r}")
    return axis


def check_within(axis, input_shape, owner):
    """Raise ValueError unless the input has each axis."""
    rank = len(input_shape)
    for one in [axis] if isinstance(axis, int) else axis:
        if not -rank <= one < rank:
            raise ValueError(
                f"{owner}: Axis {one} is out of bounds for inputs of shape {tuple(input_shape)}. "
                f"Received: axis={axis}"
            )


def sizes_along(axis, input_shape, owner):
    """(sorted axes, the input's sizes along them).

    Raises: ValueError when the input lacks one, or its size is unknown.
    """
    check_within(axis, input_shape, owner)
    axes = [axis] if isinstance(axis, int) else sorted(axis)
    sizes = tuple([input_shape[one] for one in axes])
    if None in sizes:
        raise ValueError(
            f"{owner}: `inputs` must have a known size along `axis`. "
            f"Received: axis={axis}, inputs of shape {tuple(input_shape)}"
        )
    return axes, sizes
