"""Machine code of kernels: from the disk, from the code that comes with the package, from numba."""

import contextlib
import functools
import os
import threading
from typing import Any, NamedTuple

from .. import cache, helpers
from . import machine_code, shipped
from .deferred import lowering


class Routine(NamedTuple):
    """Something to compile: a function of `count` int64.

    `function()` gives it as numba compiles it; `name` is unique among those of the file `source`.
    """

    source: str
    name: str
    function: Any
    count: int = 4
    for_python: bool = False

    @property
    def symbol(self):
        """Its name in this process."""
        return f"{os.path.basename(self.source).removesuffix('.py')}.{self.name}"


_lock = threading.RLock()


def address_of(routine):
    """The address of its machine code, which is made and kept on disk if it is not there yet."""
    with _lock:
        path = _path(routine)
        code = _usable(machine_code.read(path)) or _from_package(routine, path)
        if code is None:
            helpers.start()
            with helpers.claimed(*_claim(path)):
                code = _usable(machine_code.read(path)) or _from_numba(routine, path)
        return machine_code.load(code, routine.symbol)


def function_of(routine):
    """The Python function of a routine that is for Python."""
    return machine_code.python_function(address_of(routine), routine.name)


def compile_for_others(routine):
    """Leave its code on the disk, if nobody has done so or is about to."""
    with _lock:
        path = _path(routine)
        if not path.exists() and _from_package(routine, path) is None:
            with helpers.claimed(*_claim(path), wait=False) as mine:
                if mine:
                    _from_numba(routine, path)


def will_compile(routine):
    """Whether a helper is about to compile it: so far, do without it."""
    return helpers.will_compile(lambda: _path(routine).exists() or _text(routine) is not None)


def text_of(routine):
    """Its code in LLVM's language, from numba."""
    name = routine.symbol
    return lowering.text_of(routine.function(), name, routine.count, routine.for_python)


def _path(routine):
    return cache.cache_folder(routine.source, _environment()) / f"{routine.name}.o"


def _claim(path):
    return path.parent, path.stem


@functools.cache
def _environment():
    """What machine code depends on beside the sources."""
    return machine_code.description() + cache.version_of("numba")


def _text(routine):
    return shipped.text_of(routine.source, routine.symbol)


def _usable(code):
    """The code, if all that it needs is here, by way of numba if need be; else None."""
    if code is None or machine_code.is_complete(code):
        return code
    # Its symbols come with numba: code of a numba that calls Intel's vector functions, say.
    with contextlib.suppress(ImportError):
        lowering.load()
    return code if machine_code.is_complete(code) else None


def _from_package(routine, path):
    text = _text(routine)
    if text is None:
        return None
    try:
        code = machine_code.emit(text)
    except RuntimeError:
        return None  # another LLVM, which does not know something in it
    if not machine_code.is_complete(code):
        return None
    code.write(path)
    return code


def _from_numba(routine, path):
    code = _usable(machine_code.emit(text_of(routine)))
    if code is None:
        raise RuntimeError(f"{routine.name}: the compiled code needs what this process has not")
    code.write(path)
    return code


def _new_lock_after_fork():
    # The thread that held the old one may not exist in the child.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock_after_fork)
