"""Argument checks with one voice.

`Owner: `argument` must be <expected>. Received: argument=<value>`.
"""

from __future__ import annotations

from numbers import Integral, Real


def fail(owner, name, expected, value, error=ValueError):
    """Raise `error` in the project's one wording."""
    raise error(f"{owner}: `{name}` must be {expected}. Received: {name}={value!r}")


def positive_int(value, name, *, owner):
    """`value` as an int of at least 1."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < 1:
        fail(owner, name, "a positive integer", value)
    return int(value)


def boolean(value, name, *, owner):
    """`value`, which must be True or False."""
    if not isinstance(value, bool):
        fail(owner, name, "True or False", value)
    return value


def real_in(value, low, high, name, *, owner, expected, wrong_type=ValueError):
    """`value`, which must be a number with low <= value <= high (None: no bound).

    Not a number at all raises `wrong_type`, NaN and what is out of range ValueError.
    """
    if not isinstance(value, Real) or isinstance(value, bool):
        fail(owner, name, expected, value, wrong_type)
    # Written so that NaN, which compares false with everything, is refused.
    if not ((low is None or value >= low) and (high is None or value <= high)):
        fail(owner, name, expected, value)
    return value


def count(value, name, *, owner, minimum=1):
    """`value` as an int of at least `minimum`; TypeError for no int, ValueError if smaller."""
    expected = f"an int of at least {minimum}"
    if not isinstance(value, Integral) or isinstance(value, bool):
        fail(owner, name, expected, value, TypeError)
    if value < minimum:
        fail(owner, name, expected, value)
    return int(value)


def one_of(value, allowed, name, *, owner):
    """`value`, which must be among `allowed`."""
    if value not in allowed:
        choices = ", ".join(repr(choice) for choice in allowed)
        fail(owner, name, f"one of {choices}", value)
    return value


def int_tuple(value, rank, name, *, owner, minimum=1):
    """`value` as `rank` ints, each at least `minimum`; one int stands for all of them."""
    try:
        items = (value,) * rank if isinstance(value, Integral) else tuple(value)
    except TypeError:
        items = ()
    good = len(items) == rank and all(isinstance(i, Integral) and i >= minimum for i in items)
    if not good or isinstance(value, bool):
        plural = "one int" if rank == 1 else f"one int or {rank} ints, each"
        fail(owner, name, f"{plural} at least {minimum}", value)
    return tuple(int(i) for i in items)


def padding(value, *, owner, allowed=("valid", "same")):
    """`value` in lower case, which must be among `allowed`."""
    lower = value.lower() if isinstance(value, str) else value
    if lower not in allowed:
        choices = " or ".join(f'"{choice}"' for choice in allowed)
        fail(owner, "padding", choices, value)
    return lower
