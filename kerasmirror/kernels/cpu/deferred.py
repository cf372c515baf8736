"""numba's words for kernels, without numba: it is imported when something has to be compiled.

Importing numba takes longer than loading the compiled kernels of a network. What files here define
with these decorators is handed to numba when numba first meets it, while it compiles a kernel that
uses it, or asks `made` for it.
"""

import functools
import importlib


class _Module:
    """A module that is imported when it is first asked for something."""

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        return getattr(importlib.import_module(self._name), attribute)


types = _Module("numba.core.types")
arrays = _Module("numba.np.arrayobj")
cgutils = _Module("numba.core.cgutils")
tiles = _Module(f"{__package__}.jit.tile")
arguments = _Module(f"{__package__}.jit.arguments")
lowering = _Module(f"{__package__}.jit.lowering")


class Deferred:
    """A function, and what `make` gives for numba to use in its place."""

    def __init__(self, function, make):
        functools.update_wrapper(self, function)
        self.py_func = function
        self._make = make

    @functools.cached_property
    def made(self):
        """numba's own object."""
        return self._make()

    @property
    def _numba_type_(self):
        # numba asks any object that it does not know for its type by this name.
        return lowering.type_of(self.made)

    def __call__(self, *args):
        return self.made(*args)


def intrinsic(function=None, prefer_literal=False):
    """numba.extending.intrinsic."""
    if function is None:
        return functools.partial(intrinsic, prefer_literal=prefer_literal)
    options = {"prefer_literal": prefer_literal}
    return Deferred(function, lambda: lowering.intrinsic(**options)(function))


def inlined(function):
    """Compile a helper of kernels, always inlined, so that tiles passed to it stay in registers."""
    return Deferred(function, lambda: lowering.linked(function, forceinline=True))


def helper(function):
    """Compile a helper of kernels that stays a function of its own: one used at several places."""
    return Deferred(function, lambda: lowering.linked(function))


def overloaded(function, choose, **options):
    """A helper of kernels whose body `choose` gives for the types of its arguments."""

    def make():
        lowering.overload(function, **options)(choose)
        return function

    return Deferred(function, make)
