"""Serial kernels and one launcher.

A kernel is a serial function `_name(lo, hi, thread, arrays..., scalars...)` that does items lo to
hi of its outer range. `launch` compiles it for the types of its arguments (at the first call of
each kind; then it comes from the disk) behind a C entry, and runs that entry on the calling thread
or, for many items, on all threads, which fetch chunks from an atomic counter: static shares would
wait a whole scheduler slice for a disturbed thread. Compiling kernels as parallel functions costs
four times as long, so only the one launcher is one.
"""

import contextlib
import functools
import struct
import threading
import zlib

import llvmlite
import numba
import numpy as np
from llvmlite import ir
from numba import cfunc, njit, prange, types
from numba.core import cgutils
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .. import cache
from . import simd, threads

_OPTIONS = {"error_model": "numpy", "nogil": True}


def _finalize_for_linking(library):
    """What numba does when a library is complete, without machine code of its own.

    The JIT would take the first definition of a symbol it was given: the helper's own, not yet
    optimised, in the place of the optimised one inside the kernel (ten times slower, until the next
    process reads the kernel from the disk).
    """
    library._finalize_dynamic_globals()
    library._verify_declare_only_symbols()
    library._finalized = True


def _nothing():
    return


class _LinkedLowering(NativeLowering):
    """Lowering without machine code, for functions that only other compiled code calls.

    They are optimised and linked into their callers; machine code of their own took a third of the
    compilation.
    """

    _name = "linked_lowering"

    def run_pass(self, state):
        state.flags.no_compile = True
        super().run_pass(state)
        # The caller's passes optimise everything linked into it; once is enough.
        state.library._optimize_final_module = _nothing
        state.library._finalize_final_module = functools.partial(
            _finalize_for_linking, state.library
        )
        lowered = state["cr"]
        # numba tells functions apart by a builtin callable; this one is never called.
        token = [].append
        state.targetctx.insert_user_function(token, lowered.fndesc, [state.library])
        state.reload_init.extend(state.library._reload_init)
        state["cr"] = lowered._replace(cfunc=token)
        return True


register_pass(mutates_CFG=True, analysis_only=False)(_LinkedLowering)


class _InnerCompiler(CompilerBase):
    """numba's compiler with the lowering above."""

    def define_pipelines(self):
        manager = DefaultPassBuilder.define_nopython_pipeline(self.state)
        manager.passes = [
            (_LinkedLowering, about) if step is NativeLowering else (step, about)
            for step, about in manager.passes
        ]
        manager.finalize()
        return [manager]


_INNER = {
    **_OPTIONS,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": _InnerCompiler,
}

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
def _call_entry(typing_context, entry, lo, hi, thread, table):
    def generate(context, builder, signature, arguments):
        i64 = ir.IntType(64)
        kind = ir.FunctionType(ir.VoidType(), [i64] * 4)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    whole = types.int64
    return types.void(whole, whole, whole, whole, whole), generate


@intrinsic
def _fetch_add(typing_context, counter, amount):
    """Add `amount` to the first element of `counter` in one step; its value before."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(counter)(context, builder, arguments[0]).data
        return builder.atomic_rmw("add", data, arguments[1], "monotonic")

    return types.int64(counter, types.int64), generate


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
        _call_entry(entry, 0, n_items, 0, table)
    return scattered


def _run_threads(entry, n_items, chunk, table, n_arrays, n_threads):
    scattered = _first_scattered(table, n_arrays)
    if scattered >= 0:
        return scattered
    counter = np.empty(8, np.int64)
    counter[0] = 0
    for thread in prange(n_threads):
        while True:
            lo = _fetch_add(counter, chunk)
            if lo >= n_items:
                break
            _call_entry(entry, lo, min(lo + chunk, n_items), thread, table)
    return np.int64(-1)


def environment():
    """What compiled code depends on beside the sources."""
    cpu = numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    tile = (simd.BITS, simd.ROWS, simd.VECTORS, simd.HAS_FMA)
    versions = (numba.__version__, llvmlite.__version__, np.__version__)
    return repr((cpu, sorted(simd.FEATURES), tile, versions))


_lock = threading.RLock()


@contextlib.contextmanager
def _cached_on_disk(source):
    """Functions compiled inside keep their code in the folder for kernels of the file `source`."""
    with _lock:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(cache.cache_folder(source, environment()))
        try:
            yield
        finally:
            numba.config.CACHE_DIR = before


_here = _parallel = None
_one_at_a_time = None  # a lock where the threading layer needs one


def _launcher():
    global _here
    with _cached_on_disk(__file__):
        _here = njit("int64(int64, int64, int64, int64)", cache=True, **_OPTIONS)(_run_here)
    return _here


def _parallel_launcher():
    global _parallel, _one_at_a_time
    with _cached_on_disk(__file__):
        if _parallel is None:
            signature = "int64(int64, int64, int64, int64, int64, int64)"
            compiled = njit(signature, cache=True, parallel=True, **_OPTIONS)(_run_threads)
            # numba's own pool ends the process when two threads enter it; OpenMP and TBB take
            # turns.
            needs_turns = numba.threading_layer() == "workqueue"
            _one_at_a_time = threading.Lock() if needs_turns else contextlib.nullcontext()
            _parallel = compiled
    return _parallel


@contextlib.contextmanager
def _fewer_threads(count):
    # Not inside the launcher: numba cannot cache code that calls it.
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def inlined(function):
    """Compile a helper of kernels, always inlined, so that tiles passed to it stay in registers."""
    return njit(forceinline=True, **_INNER)(function)


def helper(function):
    """Compile a helper of kernels that stays a function of its own: one used at several places."""
    return njit(**_INNER)(function)


class Kernel:
    """A kernel's body and its compiled entries, one for each kind of arguments."""

    def __init__(self, body):
        self.body = body
        self.name = body.__name__
        self.source = body.__code__.co_filename
        self.entries = {}

    def compile(self, key, args):
        """The entry for arguments of the kinds in `key`."""
        with _lock:
            if key not in self.entries:
                self.entries[key] = self._compile(args)
            return self.entries[key]

    def _compile(self, args):
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
        source = (
            f"def {name}(lo, hi, thread, table):\n    body(lo, hi, thread, {', '.join(values)})\n"
        )
        scope.update(
            __name__=self.body.__module__,
            body=njit(**_INNER)(self.body),
            array_at=_array_at,
            int64_at=_int64_at,
            float64_at=_float64_at,
            float32_at=_float32_at,
        )
        exec(compile(source, self.source, "exec"), scope)  # noqa: S102 - our own template
        with _cached_on_disk(self.source):
            entry = cfunc(
                "void(int64, int64, int64, int64)", nopython=True, cache=True, error_model="numpy"
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
        run = _parallel or _parallel_launcher()
        with _one_at_a_time:
            if n_threads == numba.config.NUMBA_NUM_THREADS:
                scattered = run(address, n_items, chunk, start, n_arrays, n_threads)
            else:
                with _fewer_threads(n_threads):
                    scattered = run(address, n_items, chunk, start, n_arrays, n_threads)
    if scattered >= 0:
        raise ValueError(
            f"{kernel.name}: array {scattered} must be C-contiguous. "
            f"Received: shape={args[scattered].shape}, strides={args[scattered].strides}"
        )
