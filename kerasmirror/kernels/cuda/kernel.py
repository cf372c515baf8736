"""@kernel: a plain function compiled for the GPU, with the types that it takes.

    @kernel("T* T* i4", T="f4 f8")
    def _double(x, y, n):
        i = grid_index()
        if i < n:
            y[i] = x[i] + x[i]

A signature has one word for each argument: "f4*" is a pointer to float32 values, "i4" an int32
number. Every name given with a list of types is replaced by each of them in turn, one given with
a class of named tuples is one argument, whose fields a launch takes one after the other (`flat`):
`int` ones are "i4", `Unsigned` ones "u4", others such tuples again. A pointer is
indexed without bounds and without Python's negative indices, so that `x[i]` is one instruction.
All are registered: the tests compile every kernel for every architecture and run it without a GPU.
"""

from __future__ import annotations

import itertools
from typing import NewType, get_type_hints

import numpy as np
from numba import cuda, types

from .traffic import traffic_of

KERNELS = []  # every Kernel there is

_NUMBERS = {
    "f4": types.float32,
    "f8": types.float64,
    "i1": types.int8,
    "i2": types.int16,
    "i4": types.int32,
    "i8": types.int64,
    "u1": types.uint8,
    "u2": types.uint16,
    "u4": types.uint32,
    "u8": types.uint64,
}
_BUDGETS = ("registers", "shared", "ffma", "stack", "doubles", "capability")
# How a number lies in its eight bytes of the arguments' table.
_FORMATS = {"f4": "f4x", "f8": "d", "i4": "i4x", "i8": "q", "u4": "I4x", "u8": "Q"}
Unsigned = NewType("Unsigned", int)
_FIELDS = {int: "i4", Unsigned: "u4"}  # of named tuples, by their annotations
# Of an array's dtype: halves are words of two bytes, which kernels widen themselves (half.py).
CODES = {np.dtype(code): code for code in _NUMBERS}
CODES[np.dtype(bool)] = "u1"
CODES[np.dtype(np.float16)] = "u2"


class Signature:
    """The types of one compiled form of a kernel.

    `parts` are the words of its declaration and classes of named tuples, `words` has theirs too.
    """

    def __init__(self, parts):
        self.words = tuple(word for part in parts for word in _words_of(part))
        self.key = tuple(word[:-1] for word in self.words if word.endswith("*"))
        self.types = tuple(map(_type_of, parts))
        self.format = "<" + "".join("Q" if w.endswith("*") else _FORMATS[w] for w in self.words)

    def __str__(self):
        return " ".join(self.words)


def flat(record):
    """The fields of a named tuple, and of those in it, one after the other."""
    parts = (flat(field) if isinstance(field, tuple) else (field,) for field in record)
    return tuple(itertools.chain.from_iterable(parts))


def _fields_of(record):
    kinds = get_type_hints(record)
    return [_FIELDS.get(kinds[name], kinds[name]) for name in record._fields]


def _words_of(part):
    return (part,) if isinstance(part, str) else flat(map(_words_of, _fields_of(part)))


def _type_of(part):
    if not isinstance(part, str):
        return types.NamedTuple(list(map(_type_of, _fields_of(part))), part)
    return types.CPointer(_NUMBERS[part[:-1]]) if part.endswith("*") else _NUMBERS[part]


class Kernel:
    """A function for the GPU: what it takes, how many threads a block has, what it may use.

    `block` threads make a block, of which `min_blocks` are to fit on a multiprocessor (which bounds
    the registers of a thread). `registers`, `shared` (bytes) are its budgets and `ffma` the least
    share of multiply-adds in its innermost loop. `stack` (bytes) and `doubles` (instructions on
    float64) are what a thread may have where all arguments are narrower: nothing, for both are slow
    on a GPU. The tests hold all of these. `capability` is the least compute capability that has its
    instructions, where not all have. `traffic` is what it does for each item, for estimates of
    its time, see traffic.py.
    """

    def __init__(self, function, signatures, block, min_blocks, budget, traffic):
        self.function = function
        self.name = function.__name__
        self.source = function.__code__.co_filename
        self.signatures = {}
        for signature in signatures:
            if signature.key in self.signatures:
                raise ValueError(f"{self.name}: two signatures take arrays of {signature.key}")
            self.signatures[signature.key] = signature
        self.block = block
        self.min_blocks = min_blocks
        self.registers = budget.get("registers")
        self.shared = budget.get("shared")
        self.ffma = budget.get("ffma")
        self.stack = budget.get("stack", 0)
        self.doubles = budget.get("doubles", 0)
        self.capability = budget.get("capability", (0, 0))
        (pointers,) = {len(signature.key) for signature in signatures}
        self.traffic = traffic_of(traffic, pointers)
        self.loaded = {}  # by the arrays' types: what launch.py made of it for the device
        KERNELS.append(self)

    def __repr__(self):
        return f"<CUDA kernel {self.name}>"


def kernel(*templates, block=256, min_blocks=1, traffic="", **options):
    """Make a Kernel of the decorated function; see the module's text and Kernel's."""
    budget = {name: options.pop(name) for name in _BUDGETS if name in options}
    names = options
    signatures = [s for template in templates for s in _expanded(template, names)]

    def wrap(function):
        return Kernel(function, signatures, block, min_blocks, budget, traffic)

    return wrap


def inlined(function):
    """Make a function that kernels call, a part of each of them.

    Numba-cuda compiles other device functions for the card at hand, and there may be none.
    """
    return cuda.jit(device=True, inline="always")(function)


def _expanded(template, names):
    used = [name for name in names if any(w.rstrip("*") == name for w in template.split())]
    kinds = [[n] if isinstance(n, type) else n.split() for n in (names[name] for name in used)]
    for choice in itertools.product(*kinds):
        types_of = dict(zip(used, choice, strict=True))
        yield Signature(tuple(_settled(word, types_of) for word in template.split()))


def _settled(word, types_of):
    base = word.rstrip("*")
    found = types_of.get(base, base)
    return found + word[len(base) :] if isinstance(found, str) else found
