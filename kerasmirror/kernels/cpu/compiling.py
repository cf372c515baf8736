"""numba as the kernels use it: its options, where compiled code is kept, helpers of kernels."""

import contextlib
import functools
import gc
import os
import threading

import llvmlite
import numba
import numpy as np
from numba import njit
from numba.core import typed_passes, untyped_passes
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.registry import cpu_target
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


def _lay_out(library, module):
    """What numba does for each module of a library, without a round of optimisation of its own."""
    module.data_layout = library._codegen._data_layout


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
        state.library = state.targetctx.codegen().create_library(state.func_id.func_qualname)
        state.library._optimize_functions = functools.partial(_lay_out, state.library)
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


# What kernels do not use: closures, with blocks, literal_unroll, inline="always" at Python's level,
# array expressions. Looking for these took a tenth of a compilation.
_UNUSED = {
    untyped_passes.WithLifting,
    untyped_passes.InlineClosureLikes,
    untyped_passes.RewriteDynamicRaises,
    untyped_passes.MakeFunctionToJitFunction,
    untyped_passes.InlineInlinables,
    untyped_passes.FindLiterallyCalls,
    untyped_passes.LiteralUnroll,
    untyped_passes.LiteralPropagationSubPipelinePass,
    typed_passes.InlineOverloads,
    typed_passes.NopythonRewrites,
    typed_passes.NoPythonSupportedFeatureValidation,
    typed_passes.DumpParforDiagnostics,
}


def _needed_passes(state, lowering):
    """numba's passes but those above, with `lowering` for its own."""
    manager = PassManager("kernel")
    found = set()
    for step, about in DefaultPassBuilder.define_nopython_pipeline(state).passes:
        again = step in found and step is untyped_passes.DeadBranchPrune
        if step not in _UNUSED and not again:
            manager.add_pass(lowering if step is NativeLowering else step, about)
        found.add(step)
    manager.finalize()
    return [manager]


class _InnerCompiler(CompilerBase):
    """numba's compiler with few passes and the lowering above."""

    def define_pipelines(self):
        return _needed_passes(self.state, _LinkedLowering)


class EntryCompiler(CompilerBase):
    """numba's compiler with few passes, for the entries of kernels."""

    def define_pipelines(self):
        return _needed_passes(self.state, NativeLowering)


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
def _frugal():
    """Compile without what takes a tenth of the time for nothing.

    The garbage collector walks numba's many small objects, which live on anyway. And for each
    function, and each name that is not found at once, numba runs through the imports of all its
    modules before it looks for what they have registered since.
    """
    context, collecting = cpu_target.target_context, gc.isenabled()
    registries = _registries()
    nested = "load_additional_registries" in vars(context)

    def look_again(context=context):
        for registry in registries:
            context.install_registry(registry)

    context.load_additional_registries = look_again
    gc.disable()
    try:
        yield
    finally:
        if not nested:
            del context.load_additional_registries
        if collecting:
            gc.enable()


@functools.cache
def _registries():
    """The registries that numba looks into, in its order."""
    context, found = cpu_target.target_context, []
    install = context.install_registry

    def note(registry):
        found.append(registry)
        install(registry)

    context.install_registry = note
    try:
        context.load_additional_registries()
    finally:
        del context.install_registry
    return found


@contextlib.contextmanager
def cached_on_disk(source):
    """Functions compiled inside keep their code in the folder for kernels of the file `source`.

    Gives the folder. One thread at a time.
    """
    with _lock, _frugal():
        before = numba.config.CACHE_DIR
        numba.config.CACHE_DIR = str(cache.cache_folder(source, environment()))
        try:
            yield numba.config.CACHE_DIR
        finally:
            numba.config.CACHE_DIR = before


def _new_lock_after_fork():
    # The thread that held the old one may not exist in the child.
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock_after_fork)
