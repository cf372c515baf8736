"""Serial kernels and one launcher.

A kernel is a serial function `_name(lo, hi, thread, arrays..., scalars...)` that does items lo to
hi of its outer range. `launch` compiles it for the types of its arguments (at the first call of
each kind; then it comes from the disk) behind a C entry, and runs that entry on the calling thread
or, for many items, in chunks on all threads (workers.py).
"""

import struct
import threading
import zlib

import numba
import numpy as np
from llvmlite import ir
from numba import cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .. import helpers
from . import memory, threads, workers
from .atomics import call
from .compiling import INNER, OPTIONS, EntryCompiler, cached_on_disk
from .compiling import helper as helper
from .compiling import inlined as inlined
from .workers import share

# The fields of a NumPy array object, in bytes from its start: the object's head, then data, number
# of axes, dimensions, strides, base, descr, flags (numpy/ndarraytypes.h, the same since NumPy 1.7).
_HEAD = object.__basicsize__
_DATA, _DIMENSIONS, _FLAGS = _HEAD, _HEAD + 16, _HEAD + 48
_CONTIGUOUS = 1  # NPY_ARRAY_C_CONTIGUOUS
_BYTES_START = bytes.__basicsize__ - 1  # where a bytes object's contents begin


def _address(builder, integer, kind):
    return builder.inttoptr(integer, kind.as_pointer())


def _word(builder, address, offset):
    """The int64 `offset` bytes after an address."""
    i64 = ir.IntType(64)
    return builder.load(_address(builder, builder.add(address, ir.Constant(i64, offset)), i64))


@intrinsic(prefer_literal=True)
def _array_at(typing_context, table, index, array_type):
    """The NumPy array whose object's address is table[index], as a C-contiguous `array_type`."""
    kind = array_type.instance_type
    place = index.literal_value

    def generate(context, builder, signature, arguments):
        obj = _word(builder, arguments[0], 8 * place)
        dimensions = _word(builder, obj, _DIMENSIONS)
        shape = [_word(builder, dimensions, 8 * axis) for axis in range(kind.ndim)]
        size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        strides = [ir.Constant(ir.IntType(64), size)]
        for extent in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], extent))
        array = context.make_array(kind)(context, builder)
        populate_array(
            array,
            data=_address(builder, _word(builder, obj, _DATA), context.get_data_type(kind.dtype)),
            shape=cgutils.pack_array(builder, shape),
            strides=cgutils.pack_array(builder, strides),
            itemsize=ir.Constant(ir.IntType(64), size),
            meminfo=None,
        )
        return array._getvalue()

    return kind(table, index, array_type), generate


def _scalar_at(kind):
    def scalar_at(typing_context, table, index):
        place = index.literal_value

        def generate(context, builder, signature, arguments):
            bits = _word(builder, arguments[0], 8 * place)
            if kind is types.int64:
                return bits
            double = builder.bitcast(bits, ir.DoubleType())
            return double if kind is types.float64 else builder.fptrunc(double, ir.FloatType())

        return kind(table, index), generate

    scalar_at.__name__ = scalar_at.__qualname__ = f"_{kind}_at"
    return intrinsic(prefer_literal=True)(scalar_at)


_int64_at = _scalar_at(types.int64)
_float64_at = _scalar_at(types.float64)
_float32_at = _scalar_at(types.float32)


@intrinsic
def _first_scattered(typing_context, table, count):
    """The index of the first of `count` arrays in a table that is not C-contiguous, or -1."""

    def generate(context, builder, signature, arguments):
        table_, count_ = arguments
        i64 = ir.IntType(64)
        found = cgutils.alloca_once_value(builder, ir.Constant(i64, -1))
        with cgutils.for_range(builder, count_) as loop:
            place = builder.add(table_, builder.mul(loop.index, ir.Constant(i64, 8)))
            flags = _word(builder, _word(builder, place, 0), _FLAGS)
            scattered = builder.icmp_signed(
                "==", builder.and_(flags, ir.Constant(i64, _CONTIGUOUS)), ir.Constant(i64, 0)
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


_here = _shared = None


def _launcher():
    global _here
    with cached_on_disk(__file__):
        _here = njit("int64(int64, int64, int64, int64)", cache=True, **OPTIONS)(_run_here)
    return _here


def _alone(entry, n_items, chunk, table, n_arrays, n_threads, pool):
    return (_here or _launcher())(entry, n_items, table, n_arrays)


def _shared_launcher():
    global _shared
    signature = "int64(int64, int64, int64, int64, int64, int64, int64)"
    with cached_on_disk(__file__) as folder:
        if helpers.will_compile(folder, _run_shared.__name__):
            return _alone  # results are the same
        _shared = njit(signature, cache=True, **OPTIONS)(_run_shared)
    return _shared


class Kernel:
    """A kernel's body and its compiled entries, one for each kind of arguments."""

    def __init__(self, body):
        self.body = body
        self.name = body.__name__
        self.source = body.__code__.co_filename
        self.entries = {}

    def compile(self, key, args):
        """The entry for arguments of the kinds in `key`."""
        with cached_on_disk(self.source) as folder:
            if key not in self.entries:
                self.entries[key] = self._compile_or_load(args, folder)
            return self.entries[key]

    def compile_for_others(self, args):
        """Leave the entry in the cache, if nobody has done so or is about to."""
        with cached_on_disk(self.source) as folder:
            name = self._signature(args)[0]
            if not helpers.is_cached(folder, name):
                with helpers.claimed(folder, name, wait=False) as mine:
                    if mine:
                        self._compile(args)

    def _compile_or_load(self, args, folder):
        name = self._signature(args)[0]
        if helpers.is_cached(folder, name):
            return self._compile(args)
        helpers.start()
        with helpers.claimed(folder, name):
            return self._compile(args)

    def _signature(self, args):
        """(name of the entry, its arguments as source, struct's format, number of arrays, types)"""
        values, form, kinds, scope = [], "", [], {}
        arrays = 0
        for arg in args:
            place = len(form)
            if isinstance(arg, np.ndarray):
                if arrays != len(kinds):
                    raise TypeError(f"{self.name}: arrays must come before scalars")
                scope[f"type{arrays}"] = types.Array(numba.from_dtype(arg.dtype), arg.ndim, "C")
                values.append(f"array_at(table, {place}, type{arrays})")
                kinds.append(f"{arg.dtype.str[1:]}x{arg.ndim}")
                arrays += 1
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
        # A module-level function with a name of its own: numba finds neither closures nor namesakes
        # on disk.
        name = f"{self.name}__{'_'.join(kinds)}"
        if len(name) > 120:
            name = f"{name[:100]}_{zlib.crc32(name.encode()):08x}"
        return name, values, form, arrays, scope

    def _compile(self, args):
        name, values, form, arrays, scope = self._signature(args)
        source = (
            f"def {name}(lo, hi, thread, table):\n    body(lo, hi, thread, {', '.join(values)})\n"
        )
        scope.update(
            __name__=self.body.__module__,
            body=njit(**INNER)(self.body),
            array_at=_array_at,
            int64_at=_int64_at,
            float64_at=_float64_at,
            float32_at=_float32_at,
        )
        exec(compile(source, self.source, "exec"), scope)  # noqa: S102 - our own template
        entry = cfunc(
            "void(int64, int64, int64, int64)",
            cache=True,
            pipeline_class=EntryCompiler,
            nopython=True,
            error_model="numpy",
        )(scope[name])
        return entry.address, struct.Struct(form).pack, arrays, entry


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
    if memory.recorder is not None and memory.recorder.thread == threading.get_ident():
        memory.recorder.note(kernel, compiled, n_items, chunk, table, args)
    if scattered >= 0:
        raise ValueError(
            f"{kernel.name}: array {scattered} must be C-contiguous. "
            f"Received: shape={args[scattered].shape}, strides={args[scattered].strides}"
        )
