"""Four values that a thread has, channels of one place: loaded, computed with and stored together.

They are side by side, in one load, where channels are in fours ("wide"); else they lie `step`
places apart, a quarter of the channels, so that neighbouring threads have neighbouring addresses.
Written as LLVM code: numba takes seconds for as many small functions in Python.
"""

from __future__ import annotations

import inspect
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.cuda.extending import intrinsic

from .kernel import inlined
from .vectors import load4, store4

LANES = 4

_i32, _i64 = ir.IntType(32), ir.IntType(64)


class Lanes(NamedTuple):
    """How the values are loaded and stored that begin at `at`: in fours of values if wide.

    `step` is how far they are apart, `left` how many values there are from the first on.
    """

    load: object  # load(x, at, step, left); behind the last value this one again
    store: object  # store(y, at, step, left, values)
    index: object  # index(at, k, step): where value k lies


def lanes_of(wide):
    """The Lanes of wide kernels, or of those for any number of channels."""
    if wide:
        return Lanes(_load_beside, _store_beside, _index_beside)
    return Lanes(_load_apart, _store_apart, _index_apart)


@inlined
def _load_beside(x, at, step, left):
    return load4(x, at)


@inlined
def _store_beside(y, at, step, left, values):
    store4(y, at, *values)


@inlined
def _index_beside(at, k, step):
    return 4 * at + k


@inlined
def _index_apart(at, k, step):
    return at + k * step


def _whole(context, builder, kinds, values):
    return [
        context.cast(builder, value, kind, types.int32)
        for kind, value in zip(kinds, values, strict=True)
    ]


def _element(builder, pointer, at):
    return builder.gep(pointer, [builder.sext(at, _i64)])


@intrinsic
def _load_apart(typing_context, x, at, step, left):
    def generate(context, builder, signature, arguments):
        kinds = signature.args[1:]
        at_, step_, left_ = _whole(context, builder, kinds, arguments[1:])
        last = builder.sub(left_, _i32(1))
        values = []
        for k in range(LANES):
            further = builder.mul(step_, _i32(k))
            beyond = builder.icmp_signed(">", further, last)
            place = builder.add(at_, builder.select(beyond, last, further))
            values.append(builder.load(_element(builder, arguments[0], place)))
        return context.make_tuple(builder, signature.return_type, values)

    return types.UniTuple(x.dtype, LANES)(x, at, step, left), generate


@intrinsic
def _store_apart(typing_context, y, at, step, left, values):
    def generate(context, builder, signature, arguments):
        kinds = signature.args[1:4]
        at_, step_, left_ = _whole(context, builder, kinds, arguments[1:4])
        for k in range(LANES):
            further = builder.mul(step_, _i32(k))
            value = builder.extract_value(arguments[4], k)
            value = context.cast(builder, value, values.dtype, y.dtype)
            with builder.if_then(builder.icmp_signed("<", further, left_)):
                place = _element(builder, arguments[0], builder.add(at_, further))
                builder.store(value, place)
        return context.get_dummy_value()

    return types.void(y, at, step, left, values), generate


def _of_four(result, own):
    """A decorator: emit(builder, values) gives an intrinsic that does so for each of four lanes.

    Of its arguments the first `own` have four values each, the others are the same for all. The
    result has the type of that with the number `result`. Whole numbers become int32.
    """

    def wrap(emit):
        def typed(typing_context, *kinds):
            kinds = [_settled(kind) for kind in kinds]

            def generate(context, builder, signature, arguments):
                lanes = []
                for k in range(LANES):
                    values = [builder.extract_value(a, k) for a in arguments[:own]]
                    lanes.append(emit(builder, *values, *arguments[own:]))
                return context.make_tuple(builder, signature.return_type, lanes)

            return kinds[result](*kinds), generate

        typed.__name__, typed.__doc__ = emit.__name__, emit.__doc__
        typed.__signature__ = inspect.signature(emit)  # numba asks for the arguments' names
        return intrinsic(typed)

    return wrap


def _settled(kind):
    """The type that an argument is brought to."""
    if isinstance(kind, types.UniTuple):
        return types.UniTuple(_settled(kind.dtype), LANES)
    return types.int32 if isinstance(kind, types.Integer) else kind


@inlined
def four(value):
    """The same four times."""
    return value, value, value, value


def _is_larger(builder, v, best):
    """Whether v takes the place of `best`: the first NaN does and keeps it."""
    is_nan = builder.fcmp_unordered("uno", v, v)
    first_nan = builder.and_(is_nan, builder.fcmp_ordered("ord", best, best))
    return builder.or_(builder.fcmp_ordered(">", v, best), first_nan)


@_of_four(result=0, own=2)
def larger4(builder, v, best):
    """The larger one; NaN if either is."""
    return builder.select(_is_larger(builder, v, best), v, best)


@_of_four(result=2, own=3)
def place4(builder, v, best, place, number):
    """`number` where v is the larger one, else `place`."""
    return builder.select(_is_larger(builder, v, best), number, place)


@_of_four(result=0, own=2)
def at_place4(builder, value, place, number):
    """The value where its place has the number, else 0."""
    zero = ir.Constant(value.type, 0.0)
    return builder.select(builder.icmp_signed("==", place, number), value, zero)


@_of_four(result=0, own=2)
def if_inside4(builder, value, place, number):
    """The value where the number is one of a place, whichever that is, else 0."""
    zero = ir.Constant(value.type, 0.0)
    return builder.select(builder.icmp_signed(">", number, _i32(0)), value, zero)


@_of_four(result=0, own=3)
def add_at_place4(builder, total, value, place, number, scale):
    """total + value * scale where the place has the number, else the total."""
    more = builder.fadd(total, builder.fmul(value, scale))
    return builder.select(builder.icmp_signed("==", place, number), more, total)


@_of_four(result=0, own=2)
def add_times4(builder, total, value, factor):
    """total + value * factor."""
    return builder.fadd(total, builder.fmul(value, factor))


@_of_four(result=0, own=2)
def add4(builder, a, b):
    """a + b."""
    return builder.fadd(a, b)


@_of_four(result=0, own=1)
def times4(builder, value, factor):
    """value * factor."""
    return builder.fmul(value, factor)


@_of_four(result=0, own=1)
def over4(builder, value, divisor):
    """value / divisor."""
    return builder.fdiv(value, divisor)


@_of_four(result=0, own=2)
def times_if4(builder, value, condition, factor):
    """value * factor where the condition holds, else 0."""
    zero = ir.Constant(value.type, 0.0)
    return builder.select(condition, builder.fmul(value, factor), zero)


@_of_four(result=0, own=3)
def place_if4(builder, place, value, condition, relu):
    """The place where the condition holds and, if `relu`, the value is above 0; else 0."""
    above = builder.fcmp_ordered(">", value, ir.Constant(value.type, 0.0))
    above = builder.or_(above, builder.icmp_signed("==", relu, _i32(0)))
    return builder.select(builder.and_(above, condition), place, _i32(0))
