"""NumPy between launches, noted where a computation is being recorded.

Much that a pass does on arrays NumPy does well: additions, joining arrays, small sums. For a
program (program.py) to do it again, it has to be a function of arrays that writes its results into
arrays it is given: `run` runs it, and notes it among the launches.
"""

from __future__ import annotations

import functools

import numpy as np

from . import memory

__all__ = []


def is_noted() -> bool:
    """Whether this thread's computation is being recorded."""
    return bool(memory.recorders) and memory.recorder_here() is not None


def run(function, *args):
    """function(*args): arrays, of which it writes to some, and constants."""
    function(*args)
    if is_noted():
        memory.recorder_here().note_call(function, args)


def notable(function):
    """Make a function from arrays and constants to one new array a step that can be noted."""

    @functools.wraps(function)
    def run_or_note(*args, **options):
        if not memory.recorders or (recorder := memory.recorder_here()) is None:
            return function(*args, **options)
        # What it does inside is no step, nor is its memory the program's.
        memory.set_recorder(None)
        try:
            result = function(*args, **options)
        finally:
            memory.set_recorder(recorder)
        y = memory.empty(result.shape, result.dtype)
        y[...] = result
        recorder.note_call(_fill, (function, options, y, *args))
        return y

    return run_or_note


def _fill(function, options, y, *args):
    y[...] = function(*args, **options)


def apply(ufunc, y, *args):
    """y = ufunc(*args) without warnings."""
    with np.errstate(all="ignore"):
        ufunc(*args, out=y)


def copy(target, source):
    """target = source, broadcast and cast."""
    with np.errstate(invalid="ignore", over="ignore"):
        np.copyto(target, source, casting="unsafe")


def join(axis, y, *arrays):
    """y = the arrays, one after the other along `axis`."""
    np.concatenate(arrays, axis, out=y)
