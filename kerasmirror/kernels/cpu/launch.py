"""Serial kernels and one launcher.

A kernel is a serial function `_name(lo, hi, thread, arrays..., scalars...)` that does items lo to
hi of its outer range. `launch` compiles it for the types of its arguments (at the first call of
each kind; then it comes from the disk) behind a C entry, and runs that entry on the calling thread
or, for many items, in chunks on all threads (workers.py).
"""

import struct
import zlib

import numpy as np
from llvmlite import ir

from . import compiling, memory, threads, workers
from .atomics import call
from .compiling import Routine
from .deferred import arguments, cgutils, intrinsic, types
from .deferred import helper as helper
from .deferred import inlined as inlined
from .words import CONTIGUOUS, FLAGS, word_at
from .workers import share

_BYTES_START = bytes.__basicsize__ - 1  # where a bytes object's contents begin


@intrinsic
def _first_scattered(typing_context, table, count):
    """The index of the first of `count` arrays in a table that is not C-contiguous, or -1."""

    def generate(context, builder, signature, arguments):
        table_, count_ = arguments
        i64 = ir.IntType(64)
        found = cgutils.alloca_once_value(builder, ir.Constant(i64, -1))
        with cgutils.for_range(builder, count_) as loop:
            place = builder.add(table_, builder.mul(loop.index, ir.Constant(i64, 8)))
            flags = word_at(builder, word_at(builder, place, 0), FLAGS)
            scattered = builder.icmp_signed(
                "==", builder.and_(flags, ir.Constant(i64, CONTIGUOUS)), ir.Constant(i64, 0)
            )
            with builder.if_then(scattered, likely=False):
                builder.store(loop.index, found)
        return builder.load(found)

    return types.int64(types.int64, types.int64), generate


def _run_here(entry, n_items, table, n_arrays):
    scattered = _first_scattered(table, n_arrays)
    if scattered < 0:
        call(entry, 0, n_items, 0, table)
    return scattered


def _run_shared(entry, n_items, chunk, table, n_arrays, n_threads, pool):
    scattered = _first_scattered(table, n_arrays)
    if scattered < 0:
        share(entry, n_items, chunk, table, n_threads, pool)
    return scattered


_HERE = Routine(__file__, "run_here", lambda: _run_here, 4, for_python=True)
_SHARED = Routine(__file__, "run_shared", lambda: _run_shared, 7, for_python=True)
_here = _shared = None


def _launcher():
    global _here
    _here = compiling.function_of(_HERE)
    return _here


def _alone(entry, n_items, chunk, table, n_arrays, n_threads, pool):
    return (_here or _launcher())(entry, n_items, table, n_arrays)


def _shared_launcher():
    global _shared
    if compiling.will_compile(_SHARED):
        return _alone  # results are the same
    _shared = compiling.function_of(_SHARED)
    return _shared


class Kernel:
    """A kernel's body and its compiled entries, one for each kind of arguments."""

    def __init__(self, body):
        self.body = body
        self.name = body.__name__
        self.source = body.__code__.co_filename
        self.entries = {}
        self.compiled_body = helper(body)

    def compile(self, key, args):
        """The entry for arguments of the kinds in `key`."""
        if key not in self.entries:
            routine, form, arrays = self.routine(args)
            address = compiling.address_of(routine)
            self.entries[key] = address, struct.Struct(form).pack, arrays, routine.name
        return self.entries[key]

    def compile_for_others(self, args):
        """Leave the entry for these arguments on the disk, if nobody has or is about to."""
        compiling.compile_for_others(self.routine(args)[0])

    def routine(self, args):
        """(what to compile for these arguments, struct's format of its table, number of arrays)"""
        values, form, kinds, arrays = [], "", [], []
        for arg in args:
            place = len(form)
            if isinstance(arg, np.ndarray):
                if len(arrays) != len(kinds):
                    raise TypeError(f"{self.name}: arrays must come before scalars")
                values.append(f"array_at(table, {place}, type{len(arrays)})")
                kinds.append(f"{arg.dtype.str[1:]}x{arg.ndim}")
                arrays.append((arg.dtype, arg.ndim))
                form += "q"
            elif isinstance(arg, tuple):
                items = "".join(f"int64_at(table, {place + i}), " for i in range(len(arg)))
                values.append(f"({items})")
                kinds.append(f"tuple{len(arg)}")
                form += "q" * len(arg)
            else:
                kind = _scalar_kind(arg)
                values.append(f"{kind}_at(table, {place})")
                kinds.append(kind)
                form += "q" if kind == "int64" else "d"
        name = f"{self.name}__{'_'.join(kinds)}"
        if len(name) > 120:
            name = f"{name[:100]}_{zlib.crc32(name.encode()):08x}"

        def make():
            return arguments.entry_function(self, name, values, arrays)

        return Routine(self.source, name, make), form, len(arrays)


def _scalar_kind(arg):
    if isinstance(arg, np.float32):
        return "float32"
    if isinstance(arg, float):  # np.float64 is one
        return "float64"
    if isinstance(arg, (int, np.integer, np.bool_)):
        return "int64"
    raise TypeError(f"launch: cannot pass {type(arg).__name__} to a kernel")


def kernel(body):
    """Make `body(lo, hi, thread, arrays..., scalars...)` a kernel for `launch`."""
    return Kernel(body)


def launch(kernel, n_items, chunk, *args):
    """Run items 0 to n_items of `kernel`, at most `chunk` at a time, on all threads.

    Args: C-contiguous arrays first, then ints, floats (float64), np.float32 and tuples of ints. An
    array's dtype and rank, a scalar's type and a tuple's length select the compiled entry. `n_items
    <= chunk` runs on this thread.
    """
    if n_items <= 0:
        return
    key, values = [], []
    for arg in args:
        kind = type(arg)
        if kind is np.ndarray:
            key.append(arg.dtype)
            key.append(arg.ndim)
            values.append(id(arg))
        elif kind is int or kind is float:
            key.append(kind)
            values.append(arg)
        elif kind is tuple:
            key.append(len(arg))
            values.extend(arg)
        elif isinstance(arg, np.ndarray):
            key.append(arg.dtype)
            key.append(arg.ndim)
            values.append(id(arg))
        else:
            key.append(kind)
            values.append(arg)
    key = tuple(key)
    compiled = kernel.entries.get(key) or kernel.compile(key, args)
    address, pack, n_arrays, _ = compiled
    table = pack(*values)
    start = id(table) + _BYTES_START
    n_threads = 1 if n_items <= chunk else (threads._count or threads.thread_count())
    if n_threads == 1:
        scattered = (_here or _launcher())(address, n_items, start, n_arrays)
    else:
        if n_threads > workers.members:
            workers.grow(n_threads)
        run = _shared or _shared_launcher()
        scattered = run(address, n_items, chunk, start, n_arrays, n_threads, workers.address)
    if memory.recorders and (recorder := memory.recorder_here()) is not None:
        recorder.note(kernel, compiled, n_items, chunk, table, args)
    if scattered >= 0:
        raise ValueError(
            f"{kernel.name}: array {scattered} must be C-contiguous. "
            f"Received: shape={args[scattered].shape}, strides={args[scattered].strides}"
        )
