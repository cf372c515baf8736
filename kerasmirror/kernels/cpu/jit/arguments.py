"""How a kernel's entry gets its arguments: from a table of words, by NumPy's array objects."""

from llvmlite import ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from ..words import DATA, DIMENSIONS, address_of, word_at


@intrinsic(prefer_literal=True)
def _array_at(typing_context, table, index, array_type):
    """The NumPy array whose object's address is table[index], as a C-contiguous `array_type`."""
    kind = array_type.instance_type
    place = index.literal_value

    def generate(context, builder, signature, arguments):
        obj = word_at(builder, arguments[0], 8 * place)
        dimensions = word_at(builder, obj, DIMENSIONS)
        shape = [word_at(builder, dimensions, 8 * axis) for axis in range(kind.ndim)]
        size = context.get_abi_sizeof(context.get_data_type(kind.dtype))
        strides = [ir.Constant(ir.IntType(64), size)]
        for extent in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], extent))
        array = context.make_array(kind)(context, builder)
        populate_array(
            array,
            data=address_of(
                builder, word_at(builder, obj, DATA), context.get_data_type(kind.dtype)
            ),
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
            bits = word_at(builder, arguments[0], 8 * place)
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


def entry_function(kernel, name, values, array_types):
    """The serial function `name(lo, hi, thread, table)` that calls a kernel's body.

    Args: `values` are the body's further arguments as source, `array_types` (dtype, rank) of the
    arrays among them.
    """
    body = kernel.body
    source = f"def {name}(lo, hi, thread, table):\n    body(lo, hi, thread, {', '.join(values)})\n"
    scope = {
        f"type{i}": types.Array(from_dtype(dtype), rank, "C")
        for i, (dtype, rank) in enumerate(array_types)
    }
    scope.update(
        __name__=body.__module__,
        body=kernel.compiled_body,
        array_at=_array_at,
        int64_at=_int64_at,
        float64_at=_float64_at,
        float32_at=_float32_at,
    )
    exec(compile(source, kernel.source, "exec"), scope)  # noqa: S102 - our own template
    return scope[name]
