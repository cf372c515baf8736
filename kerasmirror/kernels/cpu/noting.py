"""What a computation would compile, without compiling or computing it."""

import contextlib
import ctypes
import struct

import numpy as np

from . import compiling, launch, memory, program, workers

_NO_LAUNCH = -1  # what a launcher gives: no array is scattered


_SEEDS = np.empty(0, np.int64)
# What no launch notes: it runs kernels on one thread, on several, in a row, or draws the seeds of a
# recorded step.
ROUTINES = (
    *(launch._HERE, launch._SHARED, workers._SERVE, program._RUNNER),
    program._draw.routine((_SEEDS, _SEEDS, _SEEDS))[0],
)


def compile_launchers():
    """Leave these in the cache."""
    for routine in ROUTINES:
        compiling.compile_for_others(routine)


@contextlib.contextmanager
def noting():
    """Within it, launches do nothing; gives a list of (kernel, arguments), one for each entry.

    Results are zeros. The arguments are stand-ins without contents. For processes that do nothing
    else: it changes the launcher for all threads.
    """
    notes, known = [], {}
    # A C function that may be called with any arguments, for who notes addresses.
    address = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value

    def note(kernel, key, args):
        entry = known.get((kernel, key))
        if entry is None:
            notes.append((kernel, tuple(_stand_in(arg) for arg in args)))
            _, form, arrays = kernel.routine(args)
            entry = known[kernel, key] = (address, struct.Struct(form).pack, arrays, None)
        return entry

    before = launch._here, launch._shared, workers.members, launch.Kernel.compile, memory.empty
    memory.empty = np.zeros
    launch._here = launch._shared = lambda *call: _NO_LAUNCH
    workers.members = np.iinfo(np.int64).max
    launch.Kernel.compile = note
    try:
        yield notes
    finally:
        launch._here, launch._shared, workers.members, launch.Kernel.compile, memory.empty = before


def _stand_in(arg):
    return np.empty((0,) * arg.ndim, arg.dtype) if isinstance(arg, np.ndarray) else arg
