"""What normalization layers check: `axis`, one or several axes of the input, and `epsilon`."""

from __future__ import annotations

from kerasmirror.core import checks


def _is_int(value):
    return isinstance(value, int) and not isinstance(value, bool)


def checked_axis(axis, owner, what):
    """`axis`, an int or a list of ints.

    Raises: TypeError with the words `what` for anything else.
    """
    if isinstance(axis, (list, tuple)) and all(_is_int(one) for one in axis):
        return list(axis)
    if not _is_int(axis):
        raise TypeError(f"{owner}: {what}. Received: axis={axis!r}")
    return axis


def checked_epsilon(epsilon, owner):
    """`epsilon`, a number of at least 0; TypeError for None, ValueError for anything else."""
    return checks.real_in(
        epsilon,
        0,
        None,
        "epsilon",
        owner=owner,
        expected="a number of at least 0",
        wrong_type=TypeError if epsilon is None else ValueError,
    )


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
