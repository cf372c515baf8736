"""numba as the kernels use it: its options, where compiled code is kept, helpers of kernels."""

import contextlib
import functools
import os
import threading

import llvmlite
import numba
import numpy as np
from numba import njit
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

from .. import cache
from . import simd

OPTIONS = {"error_model": "numpy", "nogil": True}


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


INNER = {
    **OPTIONS,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": _InnerCompiler,
}


def inlined(function):
    """Compile a helper of kernels, always inlined, so that tiles passed to it stay in registers."""
    return njit(forceinline=True, **INNER)(function)


def helper(function):
    """Compile a helper of kernels that stays a function of its own: one used at several places."""
    return njit(**INNER)(function)


def environment():
    """What compiled code depends on beside the sources."""
    cpu = numba.config.CPU_NAME or llvmlite.binding.get_host_cpu_name()
    tile = (simd.BITS, simd.ROWS, simd.VECTORS, simd.HAS_FMA)
    versions = (numba.__version__, llvmlite.__version__, np.__version__)
    return repr((cpu, sorted(simd.FEATURES), tile, versions))


_lock = threading.RLock()


@contextlib.contextmanager
def cached_on_disk(source):
    """Functions compiled inside keep their code in the folder for kernels of the file `source`.

    One thread at a time.
    """
    with _lock:
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(cache.cache_folder(source, environment()))
        try:
            yield
        finally:
            numba.config.CACHE_DIR = before


def _new_lock_after_fork():
    # The thread that held the old one may not exist in the child.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock_after_fork)
