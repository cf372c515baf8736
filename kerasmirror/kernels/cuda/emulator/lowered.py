"""Numba-cuda's LLVM code of a kernel, made into code for the CPU.

Taken after numba's own lowering and before NVIDIA's compiler: pointers lose their address spaces,
special registers become variables, barriers and shuffles calls that switch threads, `__nv_*`
functions those of the C library. Numba-cuda's compile step is no public interface: all that is
known of it stands in this file.
"""

from __future__ import annotations

import hashlib
import re

import llvmlite.binding as llvm

from ... import cache
from .. import compiler
from . import tensor_core

REGISTERS = [f"{kind}.{axis}" for kind in ("tid", "ctaid", "ntid", "nctaid") for axis in "xyz"]
ENTRY = "emulated_entry"

_BASE = r"(?:i\d+|float|double|half|void|ptr|\{[^{}()*]*\}|\[[^\[\]()*]*\]|<[^<>()*]*>)"
# Arithmetic that NVIDIA's compiler may not contract: one rounding each.
_ROUNDED = {
    f"{letter}{operation}_rn": (kind, f"f{operation}")
    for letter, kind in (("f", "float"), ("d", "double"))
    for operation in ("add", "sub", "mul", "div")
}
_KINDS = {"f4": "float", "f8": "double", "i4": "i32", "u4": "i32", "i8": "i64", "u8": "i64"}

# What takes the place of barriers and shuffles. `emulated_kind` tells the scheduler which barrier
# a thread waits at (1: of its warp, 2: of its block); lanes exchange values by way of slots.
_RUNTIME = """
@emulated_registers = global [12 x i32] zeroinitializer
@emulated_switch = global ptr null
@emulated_kind = global i32 0
@emulated_thread = global i32 0
@emulated_slots = global [1024 x i32] zeroinitializer
define void @emulated_wait(i32 %kind) {
  store i32 %kind, ptr @emulated_kind
  %switch = load ptr, ptr @emulated_switch
  call void %switch()
  ret void
}
define void @emulated_barrier() {
  call void @emulated_wait(i32 2)
  ret void
}
define void @emulated_warp_barrier(i32 %mask) {
  call void @emulated_wait(i32 1)
  ret void
}
define {i32, i1} @emulated_shuffle(i32 %mask, i32 %mode, i32 %value, i32 %by, i32 %clamp) {
  %thread = load i32, ptr @emulated_thread
  %mine = getelementptr [1024 x i32], ptr @emulated_slots, i64 0, i32 %thread
  store i32 %value, ptr %mine
  call void @emulated_wait(i32 1)
  %lane = and i32 %thread, 31
  %warp = sub i32 %thread, %lane
  %up = sub i32 %lane, %by
  %down = add i32 %lane, %by
  %other = xor i32 %lane, %by
  %is_up = icmp eq i32 %mode, 1
  %is_down = icmp eq i32 %mode, 2
  %is_other = icmp eq i32 %mode, 3
  %a = select i1 %is_up, i32 %up, i32 %by
  %b = select i1 %is_down, i32 %down, i32 %a
  %c = select i1 %is_other, i32 %other, i32 %b
  %inside = icmp ult i32 %c, 32
  %from = select i1 %inside, i32 %c, i32 %lane
  %place = add i32 %warp, %from
  %theirs = getelementptr [1024 x i32], ptr @emulated_slots, i64 0, i32 %place
  %got = load i32, ptr %theirs
  call void @emulated_wait(i32 1)
  %r = insertvalue {i32, i1} undef, i32 %got, 0
  %s = insertvalue {i32, i1} %r, i1 %inside, 1
  ret {i32, i1} %s
}
"""


def compile_kernel(kernel, signature):
    """(LLVM code for the CPU as bytes, the name of its entry) of a kernel."""
    modules, name = _lowered(kernel, signature)
    text = "\n".join(_for_cpu(module) for module in modules)
    on_tensor_cores = tensor_core.replaced(text)
    if on_tensor_cores != text:
        text = on_tensor_cores + tensor_core.RUNTIME
    return (text + _RUNTIME + _rounded() + _registers() + _entry(name, signature)).encode(), ENTRY


def _lowered(kernel, signature):
    from numba.cuda import compiler

    library, _ = compiler._compile_pyfunc_with_fixup(
        kernel.function,
        signature.types,
        debug=False,
        lineinfo=False,
        device=False,
        fastmath=False,
        cc=(9, 0),
        opt=True,
        abi="numba",
        abi_info=None,
        forceinline=False,
        launch_bounds=None,
        lto=False,
    )
    modules = list(library.llvm_strs)
    for module in modules:
        noted = re.search(r"!nvvm\.annotations = !\{\s*(!\d+)", module)
        if noted:
            marked = re.search(rf'^{re.escape(noted[1])} = !\{{.*?@"([^"]+)"', module, re.M)
            return modules, marked[1]
    raise RuntimeError(f"{kernel.name}: numba-cuda marked no entry in the kernel's code")


def _for_cpu(text):
    text = re.sub(r'^(target|!nvvm|@"?llvm\.used).*$', "", text, flags=re.M)
    text = _without_typed_pointers(text)
    text = re.sub(r"^declare [^\n]*llvm\.nvvm\.[^\n]*$", "", text, flags=re.M)
    text = re.sub(r'"?llvm\.nvvm\.read\.ptx\.sreg\.([a-z.]+)"?', r'"emulated_\1"', text)
    text = re.sub(r'"?llvm\.nvvm\.barrier0"?', '"emulated_barrier"', text)
    text = re.sub(r'"?llvm\.nvvm\.bar\.warp\.sync"?', '"emulated_warp_barrier"', text)
    text = re.sub(r'"?llvm\.nvvm\.shfl\.sync\.i32"?', '"emulated_shuffle"', text)
    text = re.sub(r'"__nv_(?:fast_)?(\w+)"', r'"\1"', text)
    return re.sub(rf'^declare [^\n]*@"(?:{"|".join(_ROUNDED)})"[^\n]*$', "", text, flags=re.M)


def _without_typed_pointers(text):
    text = re.sub(r"addrspace\(\d+\)", "", text).replace("addrspacecast", "bitcast")
    held = []

    def hold(match):
        held.append(match[0])
        return f"\x01{len(held) - 1}\x02"

    text = re.sub(r'c?"[^"\n]*"', hold, text)
    while True:
        opaque = re.sub(_BASE + r"\s*\([^()*]*\)\s*\*", "ptr", text)
        opaque = re.sub(_BASE + r"\s*\*", "ptr", opaque)
        if opaque == text:
            return re.sub("\x01(\\d+)\x02", lambda match: held[int(match[1])], text)
        text = opaque


def _rounded():
    return "".join(
        f"define {kind} @{name}({kind} %a, {kind} %b) alwaysinline {{\n"
        f"  %c = {operation} {kind} %a, %b\n  ret {kind} %c\n}}\n"
        for name, (kind, operation) in _ROUNDED.items()
    )


def _registers():
    return "".join(
        f'define i32 @"emulated_{name}"() alwaysinline {{\n'
        f"  %p = getelementptr [12 x i32], ptr @emulated_registers, i64 0, i64 {number}\n"
        "  %v = load i32, ptr %p\n  ret i32 %v\n}\n"
        for number, name in enumerate(REGISTERS)
    )


def _entry(name, signature):
    """A function of one table of addresses, as a launch passes arguments, that calls the kernel."""
    lines, args = [], []
    for i, word in enumerate(signature.words):
        kind = "ptr" if word.endswith("*") else _KINDS[word]
        lines += [
            f"  %p{i} = getelementptr ptr, ptr %table, i64 {i}",
            f"  %q{i} = load ptr, ptr %p{i}",
            f"  %v{i} = load {kind}, ptr %q{i}",
        ]
        args.append(f"{kind} %v{i}")
    body = "\n".join(lines)
    call = f'  call void @"{name}"({", ".join(args)})'
    return f"define void @{ENTRY}(ptr %table) {{\n{body}\n{call}\n  ret void\n}}\n"


def machine_code(text):
    """An execution engine of llvmlite with the code of `compile_kernel`; kept on disk."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine(opt=2)
    # Everything that the object file depends on.
    sources = f"{text} {machine.triple} {cache.version_of('llvmlite')}"
    name = hashlib.sha256(sources.encode()).hexdigest()[:32]
    path = cache.cache_root() / "emulated" / f"{name}.o"
    try:
        code = path.read_bytes()
    except OSError:
        code = _compiled(text, machine)
        path.parent.mkdir(parents=True, exist_ok=True)
        compiler.write_whole(path, code)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.object_file.ObjectFileRef.from_data(code))
    engine.finalize_object()
    return engine


def _compiled(text, machine):
    module = llvm.parse_assembly(text)
    module.triple = machine.triple
    module.data_layout = str(machine.target_data)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    builder.getModulePassManager().run(module, builder)
    return machine.emit_object(module)
