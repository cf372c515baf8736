"""Tables of words and NumPy's array objects, as compiled code reads them."""

from llvmlite import ir

# The fields of a NumPy array object, in bytes from its start: the object's head, then data, number
# of axes, dimensions, strides, base, descr, flags (numpy/ndarraytypes.h, the same since NumPy 1.7).
_HEAD = object.__basicsize__
DATA, DIMENSIONS, FLAGS = _HEAD, _HEAD + 16, _HEAD + 48
CONTIGUOUS = 1  # NPY_ARRAY_C_CONTIGUOUS


def address_of(builder, integer, kind):
    """An int64 as an address."""
    return builder.inttoptr(integer, kind.as_pointer())


def word_at(builder, address, offset):
    """The int64 `offset` bytes after an address."""
    i64 = ir.IntType(64)
    return builder.load(address_of(builder, builder.add(address, ir.Constant(i64, offset)), i64))
