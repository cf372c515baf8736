"""What a kernel does for each of its items, as its declaration states it: traffic="r 4rw - 3f".

One word for each pointer, in order: how many elements of it there are for an item (1 where none is
given; "1/128" is one for 128 items) and whether they are read (r) or written (w). A number behind
the r says how often each is loaded: more than once, it comes from the caches again. "-" is an array
of which there is next to nothing for an item, such as a bias. The last word is the floating-point
operations: a multiply-add is two, a comparison, root or exponential one, on float64 alike.

An item is an element of the result. It is an element of what is summed up or searched where the
results are fewer, a multiply-add in products and convolutions (but an output of depthwise ones), a
unit of a sample in recurrent layers, a thread's tile in Winograd's transforms. Windows of pooling
are 2 x 2 side by side, an item each; where they overlap, 3 x 3 of stride 2, it is a place of x.
"""

from __future__ import annotations

import dis
import re
from fractions import Fraction
from typing import NamedTuple

_WORD = re.compile(r"([\d/]+)?(?:(r)([\d/]+)?)?(w)?")


class Access(NamedTuple):
    """Elements of an array for each item: how many, loads of each, and whether they are written."""

    elements: Fraction
    loads: Fraction
    written: bool


class Traffic(NamedTuple):
    """The Access of each pointer, and operations, for each item."""

    accesses: tuple[Access, ...]
    operations: Fraction

    def read(self, signature):
        """Bytes that an item needs of the card's memory: each element once."""
        return sum(a.elements * size for a, size in self._sized(signature) if a.loads)

    def loaded(self, signature):
        """Bytes that an item loads, those from the caches included."""
        return sum(a.elements * a.loads * size for a, size in self._sized(signature))

    def written(self, signature):
        """Bytes that an item writes."""
        return sum(a.elements * size for a, size in self._sized(signature) if a.written)

    @property
    def is_one_pass(self):
        """Whether each element is loaded once at most."""
        return all(a.loads <= 1 for a in self.accesses)

    def _sized(self, signature):
        return zip(self.accesses, (int(code[1:]) for code in signature.key), strict=True)


def traffic_of(text, pointers):
    """The Traffic that a text states, None of an empty one; it has to have so many pointers."""
    if not text:
        return None
    *words, operations = text.split()
    if len(words) != pointers or not operations.endswith("f"):
        raise ValueError(f"traffic={text!r} is not of {pointers} pointers and operations")
    return Traffic(tuple(map(_access, words)), Fraction(operations[:-1]))


def _access(word):
    if word == "-":
        return Access(Fraction(0), Fraction(0), False)
    found = _WORD.fullmatch(word)
    if not found or not (found[2] or found[4]):
        raise ValueError(f"{word!r} is not what is read or written of an array")
    loads = Fraction(found[3] or 1) if found[2] else Fraction(0)
    return Access(Fraction(found[1] or 1), loads, bool(found[4]))


def operations_of(function):
    """How many operations a formula in Python has; each function that it calls is one."""
    names = [step.opname for step in dis.get_instructions(function)]
    counted = ("BINARY_", "COMPARE_", "UNARY_", "INPLACE_", "CALL")
    return sum(name.startswith(counted) and name != "BINARY_SUBSCR" for name in names)
