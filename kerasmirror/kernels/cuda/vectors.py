"""Four neighbouring values in one load or store of 16 bytes (two for float64, 4 for bytes)."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.cuda.extending import intrinsic

ALIGNMENT = 16


def groups_in(*arrays):
    """How many whole groups of four there are in arrays of one size that all start at 16 bytes.

    0 where one of them starts elsewhere: then each value is loaded by itself.
    """
    return 0 if any(a.address % ALIGNMENT for a in arrays) else arrays[0].size // 4


def _place(context, builder, pointer_type, pointer, group, group_type):
    element = context.get_value_type(pointer_type.dtype)
    group = context.cast(builder, group, group_type, types.int64)
    address = builder.gep(pointer, [builder.shl(group, ir.IntType(64)(2))])
    vector = ir.VectorType(element, 4)
    return builder.bitcast(address, vector.as_pointer()), vector


def _alignment(pointer_type):
    return min(ALIGNMENT, pointer_type.dtype.bitwidth // 2)


@intrinsic
def load4(typing_context, pointer, group):
    """The values 4 group .. 4 group + 3 behind a pointer that starts at 16 bytes."""

    def generate(context, builder, signature, arguments):
        place, _ = _place(context, builder, pointer, *arguments, group)
        value = builder.load(place, align=_alignment(pointer))
        lanes = [builder.extract_element(value, ir.IntType(32)(i)) for i in range(4)]
        return context.make_tuple(builder, signature.return_type, lanes)

    return types.UniTuple(pointer.dtype, 4)(pointer, group), generate


@intrinsic
def store4(typing_context, pointer, group, a, b, c, d):
    """Write four values to the places 4 group .. 4 group + 3."""
    kind = pointer.dtype

    def generate(context, builder, signature, arguments):
        place, vector = _place(context, builder, pointer, *arguments[:2], group)
        value = ir.Constant(vector, ir.Undefined)
        for i, lane in enumerate(arguments[2:]):
            value = builder.insert_element(value, lane, ir.IntType(32)(i))
        builder.store(value, place, align=_alignment(pointer))
        return context.get_dummy_value()

    return types.void(pointer, group, kind, kind, kind, kind), generate
