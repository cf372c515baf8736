"""numba as the kernels use it: from a Python function to optimised LLVM code as text.

The text is the same in every process: it has names of its own, no addresses, and no symbols of
numba's, so that machine code of it runs where numba is not imported.
"""

import contextlib
import functools
import gc
import re

import llvmlite.binding as llvm
from numba import njit, types
from numba.core import config, typed_passes, untyped_passes
from numba.core.codegen import _parse_refprune_flags
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.llvm_bindings import create_pass_builder
from numba.core.registry import cpu_target
from numba.core.typed_passes import NativeLowering
from numba.extending import intrinsic as intrinsic
from numba.extending import overload as overload

from .. import machine_code
from .entries import RUNTIME, entry
from .names import normalised

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


class _LinkedCompiler(CompilerBase):
    """numba's compiler with few passes and the lowering above."""

    def define_pipelines(self):
        return _needed_passes(self.state, _LinkedLowering)


_LINKED = {
    **_OPTIONS,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "pipeline_class": _LinkedCompiler,
}


def linked(function, **options):
    """numba's own function for a helper of kernels, which is linked into them."""
    return njit(**options, **_LINKED)(function)


def load():
    """Have numba, with the symbols that its code needs, in this process."""
    cpu_target.target_context.refresh()


def type_of(made):
    """numba's type of something that was made for it."""
    context = cpu_target.typing_context
    try:
        return context.resolve_value_type(made)
    except ValueError:
        context.refresh()  # it was made a moment ago
        return context.resolve_value_type(made)


def text_of(function, name, count, for_python):
    """Optimised code of an entry: `function` of `count` int64, for launches or for Python.

    In LLVM's language, without triple and data layout.
    """
    kinds = (types.int64,) * count
    result = types.int64 if for_python else types.void
    with _frugal():
        compiled = njit(result(*kinds), **_LINKED)(function).overloads[kinds]
        symbol = compiled.fndesc.llvm_func_name
        with global_compiler_lock:
            compiled.library._ensure_finalized()  # links the helpers
        module = _for_target(str(compiled.library._final_module))
        for part in (RUNTIME, entry(name, symbol, count, for_python)):
            module.link_in(_for_target(part))
        for item in (*module.functions, *module.global_variables):
            if not item.is_declaration and item.name != name:
                item.linkage = "internal"
        _optimise(module)
        module.verify()
    return normalised(str(module))


def _for_target(text):
    text = re.sub(r'^target \w+ = ".*"\n', "", text, flags=re.MULTILINE)
    head = f'target datalayout = "{machine_code.layout()}"\n'
    return llvm.parse_assembly(f'{head}target triple = "{machine_code.target().triple}"\n{text}')


def _optimise(module):
    """numba's two rounds: a cheap one that inlines, then all of it."""
    machine = machine_code.target().machine()
    for cheap in (True, False):
        builder = create_pass_builder(
            machine,
            opt=0 if cheap else int(config.OPT),
            loop_vectorize=not cheap and config.LOOP_VECTORIZE,
            slp_vectorize=not cheap and config.SLP_VECTORIZE,
        )
        manager = builder.getModulePassManager()
        if cheap:
            manager.add_loop_rotate_pass()
            manager.add_instruction_combine_pass()
            manager.add_jump_threading_pass()
        if config.LLVM_REFPRUNE_PASS:
            manager.add_refprune_pass(_parse_refprune_flags())
        manager.run(module, builder)


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
