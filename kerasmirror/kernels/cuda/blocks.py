"""How a block's threads share out sums: who adds what, and how their results come together.

A reduction sees its array as (outer, n, inner) and takes out the n values of each of the
outer * inner columns. A block of 256 threads has 2**shift lanes for each of its columns. Where
inner is 1, lanes of a column are neighbours, else columns are: so a warp's addresses lie together.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

from llvmlite import ir
from numba import cuda, types
from numba.cuda.extending import intrinsic

from .indices import add32, mul32, quotient
from .kernel import inlined

THREADS = 256
_LONG = 16  # values that a lane adds up at least, before a column is cut into parts
_BLOCKS = 512  # enough to keep every card busy
_ALL = 0xFFFFFFFF

_names = itertools.count()


class Plan(NamedTuple):
    """A launch: `parts` parts of `length` values of each column, by 2**shift lanes each."""

    columns: int
    n: int
    inner: int
    shift: int
    parts: int
    length: int

    @property
    def grid(self):
        """Blocks: along x the columns, along y the parts."""
        return -(-self.columns // (THREADS >> self.shift)), self.parts

    @property
    def numbers(self):
        """What kernels take of it."""
        return self.columns, self.n, self.inner, self.shift, self.length


def plan(outer, n, inner, cut=True):
    """The Plan for an array (outer, n, inner); it depends on nothing else, so results do not."""
    columns = outer * inner
    if inner == 1:
        lanes = _log2(min(THREADS, max(min(32, n), n // 8)))
    else:
        lanes = min(_log2(THREADS // min(32, 1 << _log2(inner))), _log2(-(-n // 4)))
    blocks = -(-columns // (THREADS >> lanes))
    parts = min(-(-n // (_LONG << lanes)), -(-_BLOCKS // max(1, blocks))) if cut else 1
    length = -(-n // max(1, parts))
    return Plan(columns, n, inner, lanes, -(-n // max(1, length)), length)


def sweep(outer, n, inner):
    """The Plan of a launch that goes through columns without a sum: eight values for a lane."""
    by = plan(outer, n, inner, cut=False)
    length = max(8 << by.shift, -(-n // 65535))
    return by._replace(parts=-(-n // length), length=length)


def _log2(count):
    """The least k with 2**k >= count."""
    return max(0, count - 1).bit_length()


def row_lanes(rows, n):
    """How many threads, a power of two, have one row of n values among many."""
    if n <= 32:
        return 1 << _log2(n)
    if n <= 1024 and rows >= 2048:
        return 32  # no barriers
    return 1 << _log2(min(THREADS, max(32, n // 4)))


@inlined
def row_of(lanes):
    """This thread's row, where `lanes` neighbours have one; may be past the last one."""
    thread = add32(mul32(cuda.blockIdx.x, THREADS), cuda.threadIdx.x)
    return quotient(thread, lanes)


@inlined
def column_of(inner, shift):
    """This thread's column; may be past the last one."""
    t = cuda.threadIdx.x
    width = THREADS >> shift
    mine = t >> shift if inner == 1 else t & (width - 1)
    return add32(mul32(cuda.blockIdx.x, width), mine)


@inlined
def lane_of(inner, shift):
    """This thread's number among those of its column."""
    t = cuda.threadIdx.x
    return t & ((1 << shift) - 1) if inner == 1 else t >> (8 - shift)


@inlined
def step_of(inner, shift):
    """How many threads further on the next lane of a column is."""
    return 1 if inner == 1 else THREADS >> shift


@intrinsic
def shared_like(typing_context, value):
    """A pointer to 256 values of the type of `value` in the block's shared memory."""
    kind = types.CPointer(value)

    def generate(context, builder, signature, arguments):
        real = context.get_value_type(value)
        lying = ir.ArrayType(real, THREADS)
        name = f"kerasmirror_shared_{next(_names)}"
        there = ir.GlobalVariable(builder.module, lying, name, addrspace=3)
        there.align = 16
        there.linkage = "internal"
        there.initializer = ir.Constant(lying, ir.Undefined)
        return builder.addrspacecast(there, real.as_pointer(), "generic")

    return kind(value), generate


@inlined
def sum_of_lanes(shared, value, lanes):
    """The sum over groups of `lanes` neighbouring threads (a power of two), known to all of them.

    All threads of the block must call it. The order depends on `lanes` alone.
    """
    by = 1
    while by < lanes and by < 32:
        value += cuda.shfl_xor_sync(_ALL, value, by)
        by += by
    if lanes > 32:  # the same for the whole block
        t = cuda.threadIdx.x
        if t & 31 == 0:
            shared[t >> 5] = value
        cuda.syncthreads()
        first = (t & ~(lanes - 1)) >> 5
        value = shared[first]
        for i in range(1, lanes >> 5):
            value += shared[first + i]
        cuda.syncthreads()
    return value


@inlined
def largest_of_lanes(shared, value, lanes):
    """The largest value as `sum_of_lanes` gives the sum; NaN may be missed."""
    by = 1
    while by < lanes and by < 32:
        other = cuda.shfl_xor_sync(_ALL, value, by)
        value = other if other > value else value
        by += by
    if lanes > 32:
        t = cuda.threadIdx.x
        if t & 31 == 0:
            shared[t >> 5] = value
        cuda.syncthreads()
        first = (t & ~(lanes - 1)) >> 5
        value = shared[first]
        for i in range(1, lanes >> 5):
            other = shared[first + i]
            value = other if other > value else value
        cuda.syncthreads()
    return value


def _limit(name, of_floats, of_signed, of_unsigned):
    def typed(typing_context, value):
        def generate(context, builder, signature, arguments):
            if isinstance(value, types.Float):
                return context.get_constant(value, of_floats)
            bits = value.bitwidth
            return context.get_constant(value, (of_signed if value.signed else of_unsigned)(bits))

        return value(value), generate

    typed.__name__ = typed.__qualname__ = name
    return intrinsic(typed)


lowest = _limit("lowest", float("-inf"), lambda bits: -(2 ** (bits - 1)), lambda bits: 0)
highest = _limit(
    "highest", float("inf"), lambda bits: 2 ** (bits - 1) - 1, lambda bits: 2**bits - 1
)


@intrinsic
def shared_out(typing_context, total, count):
    """Total / count of a float; a whole number stays what it is."""

    def generate(context, builder, signature, arguments):
        if not isinstance(total, types.Float):
            return arguments[0]
        return builder.fdiv(arguments[0], context.cast(builder, arguments[1], count, total))

    return total(total, count), generate
