"""Single machine instructions for compiled code: atomic operations on memory, calls by address.

All on int64 at an offset in bytes from a base address, and sequentially consistent.
"""

from llvmlite import ir

from . import machine_code
from .deferred import intrinsic, types


def pointer(builder, arguments):
    """The int64 `arguments[1]` bytes after the address `arguments[0]`."""
    address = builder.add(arguments[0], arguments[1])
    return builder.inttoptr(address, ir.IntType(64).as_pointer())


@intrinsic
def call(typing_context, function, a, b, c, d):
    """Call the C function at the address `function`; it may take fewer arguments."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(64)] * 4)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    whole = types.int64
    return types.void(whole, whole, whole, whole, whole), generate


@intrinsic
def load(typing_context, base, offset):
    """The value."""

    def generate(context, builder, signature, arguments):
        return builder.load_atomic(pointer(builder, arguments), "seq_cst", 8)

    return types.int64(types.int64, types.int64), generate


@intrinsic
def store(typing_context, base, offset, value):
    """Store `value`."""

    def generate(context, builder, signature, arguments):
        builder.store_atomic(arguments[2], pointer(builder, arguments), "seq_cst", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic
def exchange(typing_context, base, offset, value):
    """Store `value`; the value before."""

    def generate(context, builder, signature, arguments):
        place = pointer(builder, arguments)
        return builder.atomic_rmw("xchg", place, arguments[2], "seq_cst")

    return types.int64(types.int64, types.int64, types.int64), generate


@intrinsic
def add(typing_context, base, offset, value):
    """Add `value`; the value before."""

    def generate(context, builder, signature, arguments):
        place = pointer(builder, arguments)
        return builder.atomic_rmw("add", place, arguments[2], "seq_cst")

    return types.int64(types.int64, types.int64, types.int64), generate


@intrinsic
def swap(typing_context, base, offset, expected, value):
    """Store `value` if `expected` is there; whether it was."""

    def generate(context, builder, signature, arguments):
        place = pointer(builder, arguments)
        swapped = builder.cmpxchg(place, arguments[2], arguments[3], "seq_cst", "seq_cst")
        return builder.extract_value(swapped, 1)

    whole = types.int64
    return types.boolean(whole, whole, whole, whole), generate


@intrinsic
def pause(typing_context):
    """Tell the CPU that this is a waiting loop."""

    def generate(context, builder, signature, arguments):
        machine = machine_code.target().architecture
        if machine == "x86_64":
            kind = ir.FunctionType(ir.VoidType(), [])
            builder.call(builder.module.declare_intrinsic("llvm.x86.sse2.pause", (), kind), [])
        elif machine == "aarch64":
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(32)])
            hint = builder.module.declare_intrinsic("llvm.aarch64.hint", (), kind)
            builder.call(hint, [ir.Constant(ir.IntType(32), 1)])  # yield
        return context.get_dummy_value()

    return types.void(), generate


@intrinsic
def number(typing_context, value):
    """`value` as any other int64: numba compiles a helper anew for each constant argument."""

    def generate(context, builder, signature, arguments):
        return arguments[0]

    return types.int64(types.int64), generate
