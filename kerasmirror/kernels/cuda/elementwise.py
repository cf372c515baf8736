"""Formulas applied element by element, with broadcasting; where and clip.

`map_scalar(scalar.add, x, y)` runs a kernel made of the formula (formulas.py), with NumPy's rules
for dtypes: what a ufunc of NumPy would compute in, and Python numbers without a say in it.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from .. import scalar
from ..cpu.elementwise import UFUNCS
from . import formulas, half, memory, movement, strided
from .array import DeviceArray
from .casting import as_dtype, cast
from .kernel import CODES, inlined
from .launch import blocks_for, launch, unsupported

__all__ = ["clip", "map_scalar", "where"]

_SINGLE, _BOOL, _BYTE = np.dtype(np.float32), np.dtype(bool), np.dtype(np.uint8)
_WIDE_FLOATS = (_SINGLE, np.dtype(np.float64))
_TILE = 256 * formulas.PER_THREAD
# What kernels compute in where there is none for the dtype itself, and the result is cast back:
# whole numbers wrap around alike, and halves are rounded once.
_WIDER = {
    "bool": "int32",
    "int8": "int32",
    "uint8": "int32",
    "int16": "int32",
    "uint16": "int32",
    "uint32": "int64",
    "float16": "float32",
    "bfloat16": "float32",
}
# What these mean for booleans, in NumPy.
_OF_BOOLEANS = {
    scalar.add: scalar.logical_or,
    scalar.maximum: scalar.logical_or,
    scalar.minimum: scalar.logical_and,
    scalar.multiply: scalar.logical_and,
}
_UNCHANGED = {scalar.floor, scalar.ceil, scalar.trunc, scalar.absolute}
_CONSTANT = {scalar.isnan: 0, scalar.isinf: 0, scalar.isfinite: 1}


class _Plan(NamedTuple):
    """How a formula is computed for arguments of certain types."""

    given: np.dtype  # what NumPy would cast the arguments to
    computed: np.dtype  # what the kernels take
    result: np.dtype
    kernels: formulas.Kernels
    arrays: int  # how many arguments are arrays' elements; the others are parameters
    singles: bool


_plans = {}


def map_scalar(formula, *args):
    """`formula` of each group of elements of the arrays among `args`, broadcast to one shape.

    Args: a formula of kernels/scalar.py, then arrays and Python numbers in its order; a formula
    without a ufunc takes the numbers last, and they come to it with the arrays' dtype.
    """
    if np.ndarray in map(type, args):
        args = [settled(a) if type(a) is np.ndarray else a for a in args]
    key = (formula, *[a.dtype if isinstance(a, DeviceArray) else type(a) for a in args])
    plan = _plans.get(key)
    if plan is None:
        args = [settled(a) for a in args]
        kinds = [_kind(a) for a in args]
        if not any(isinstance(a, DeviceArray) for a in args):
            args = [memory.to_device(np.asarray(a)) for a in args]
        plan = _planned(formula, args, kinds)
        if not isinstance(plan, _Plan):
            return plan(args)
        _plans[key] = plan
    return _run(plan, args)


def settled(a):
    """An argument as the device array or number that it means.

    An array of the host is a constant of the rule that calls, a mask or weights of its own: tensors
    of two devices were refused before it ran (core/device.py).
    """
    if isinstance(a, np.ndarray):
        return memory.to_device(a) if a.ndim else a[()]
    return np.bool_(a) if isinstance(a, bool) else a


def _kind(a):
    """What NumPy settles types by: a dtype, or int or float for a Python number."""
    return a.dtype if hasattr(a, "dtype") else type(a)


def _planned(formula, args, kinds):
    """A _Plan, or a function that computes what needs no kernel of the formula's own."""
    ufunc = UFUNCS.get(formula)
    count = len(args)
    if ufunc is not None:
        given, *_, result = ufunc.resolve_dtypes((*kinds, None))
    else:
        arrays = [a for a in args if isinstance(a, DeviceArray)]
        count = len(arrays)
        given = np.result_type(*(a.dtype for a in arrays))
        if given.kind not in "fV":
            given = _SINGLE
        result = _BOOL if formula in formulas.BOOLEAN else given
    if formula is scalar.power and given.kind in "iu":
        formula = formulas.whole_power
        if not isinstance(args[1], DeviceArray) and args[1] < 0:
            raise ValueError("Integers to negative integer powers are not allowed.")
    if given == _BOOL and formula in _OF_BOOLEANS:
        formula = _OF_BOOLEANS[formula]
    computed = _computed(formula, given)
    if computed is None or (given == _BOOL and formula in _UNCHANGED):
        return _without_kernel(formula, given)
    made = formulas.kernels_of(formula, count, len(args) - count)
    singles = formulas.takes_singles(formula, count)
    return _Plan(given, computed, result, made, count, singles)


def _computed(formula, given):
    types = formulas.types_of(formula)
    if CODES.get(given) in types and given.name not in half.CONVERSIONS:
        return _BYTE if given == _BOOL else given
    wider = _WIDER.get(given.name)
    return np.dtype(wider) if wider and CODES[np.dtype(wider)] in types else None


def _without_kernel(formula, given):
    if given.kind in "iub" and formula in _UNCHANGED:
        return lambda args: cast(args[0], given)
    if given.kind in "iub" and formula in _CONSTANT:
        return lambda args: full(args[0].shape, _CONSTANT[formula], _BOOL)
    code = CODES.get(given, given.name)
    raise NotImplementedError(unsupported(formula.__name__, (code,)))


def full(shape, value, dtype):
    """A fresh array full of a number."""
    y = memory.empty(tuple(shape), dtype)
    strided.fill(y, value)
    return y


def _run(plan, args):
    arrays, numbers = args[: plan.arrays], args[plan.arrays :]
    given, values = 0, []
    if plan.singles:
        arrays, values, given = _singles(plan, arrays)
    xs = [_brought(a, plan.given, plan.computed) for a in arrays]
    if numbers:
        values = [*values, *(_number(plan, v) for v in numbers)]
    y = run_kernels(plan.kernels, xs, values, plan.computed, plan.result, given)
    if y.dtype == plan.result:
        return y
    if plan.result == _BOOL:
        return DeviceArray(y.address, y.shape, _BOOL, y.owner)
    return cast(y, plan.result)


def _brought(x, given, computed):
    if given == _BOOL:
        x = as_dtype(x, _BOOL)
        if computed == _BYTE:
            return DeviceArray(x.address, x.shape, _BYTE, x.owner)
    return as_dtype(x, computed)


def _number(plan, value):
    """A Python number as it comes to the kernel, rounded as NumPy would round it."""
    if plan.given in _WIDE_FLOATS and type(value) in (int, float):
        return float(value)
    if isinstance(value, np.ndarray):
        value = value[()]
    with np.errstate(over="ignore"):
        value = plan.given.type(value)
        return plan.computed.type(value).item()


def _singles(plan, arrays):
    """(the arrays, with another for each single number; values of all; bits: which are single)."""
    given, values = 0, []
    some = next(a for a in arrays if isinstance(a, DeviceArray))
    found = []
    for j, a in enumerate(arrays):
        if isinstance(a, DeviceArray):
            found.append(a)
            values.append(0)
        else:
            given |= 1 << j
            found.append(some)
            values.append(_number(plan, a))
    return found, [*values, given], given


def run_kernels(kernels, xs, values, computed, result, given=0):
    """Launch a formula's kernels on arrays that have their dtypes, broadcast to one shape."""
    kind = result if result == _BOOL else computed
    first = xs[0]
    if all(x.shape == first.shape for x in xs):
        y = memory.empty(first.shape, kind)
        launch(kernels.flat, blocks_for(y.size, _TILE), *xs, y, *values, y.size)
        return y
    shape, plan = _broadcast(*[x.shape for x in xs])
    if plan is None:
        xs = [movement.broadcast_to(x, shape) for x in xs]
        return run_kernels(kernels, xs, values, computed, result, given)
    y = memory.empty(shape, kind)
    launch(kernels.broadcast, blocks_for(y.size), *xs, y, *values, y.size, *plan)
    return y


@functools.lru_cache(maxsize=4096)
def _broadcast(*shapes):
    """(the common shape, the kernels' arguments for it, None if it has too many axes)."""
    shape = np.broadcast_shapes(*shapes)
    sizes, *steps = strided.merged(shape, *(strided.broadcast_strides(s, shape) for s in shapes))
    return shape, None if len(sizes) > 4 else strided.four(sizes, *steps)


# --- where and clip -------------------------------------------------------------------------


def _chosen(condition, x1, x2):
    return x1 if condition != 0 else x2


_WHERE = formulas.Form("where", ("u1", "T", "T"), "T", ("u1", "u2", "u4", "u8"), (1, 2), 0)
_where = formulas.make_kernels(_WHERE, inlined(_chosen))


def where(condition, x1, x2):
    """x1 where the condition is true, else x2; all three broadcast."""
    condition, x1, x2 = (settled(a) for a in (condition, x1, x2))
    dtype = np.result_type(*(a.dtype if isinstance(a, DeviceArray) else a for a in (x1, x2)))
    if not isinstance(condition, DeviceArray):
        condition = full((), bool(condition), _BOOL)
    mask = _brought(condition, _BOOL, _BYTE)
    arrays, values, given = [], [], 0
    for j, a in enumerate((x1, x2)):
        single = not isinstance(a, DeviceArray)
        # A single number's place is taken by the other array, or by one of the result's dtype.
        arrays.append(None if single else strided.words(as_dtype(a, dtype)))
        values.append(strided.word_of(a, dtype) if single else 0)
        given |= int(single) << (j + 1)
    there = [a for a in arrays if a is not None] or [strided.words(memory.empty((), dtype))]
    arrays = [there[0] if a is None else a for a in arrays]
    kind = there[0].dtype
    y = run_kernels(_where, [mask, *arrays], [*values, given], kind, kind, given)
    return DeviceArray(y.address, y.shape, dtype, y.owner)


def _clipped(x, lowest, highest):
    above = x if x > lowest or x != x else lowest
    return above if above < highest or above != above else highest


def clip(x, lowest, highest):
    """min(max(x, lowest), highest), which may be arrays; NaN stays NaN."""
    if x.dtype in (np.float32, np.float64) and type(lowest) is type(highest) is float:
        return map_scalar(_clipped, x, lowest, highest)
    return map_scalar(scalar.minimum, map_scalar(scalar.maximum, x, lowest), highest)


def declare_all():
    """Make the kernels of every formula that operations use, for the tests that compile all."""
    for formula in UFUNCS:
        ufunc = UFUNCS[formula]
        formulas.kernels_of(formula, ufunc.nin)
    for name, formula in vars(scalar).items():
        if callable(formula) and formula not in UFUNCS and not name.startswith("_"):
            formulas.kernels_of(formula, *formulas.shape_of(formula))
    formulas.kernels_of(formulas.whole_power, 2)
    formulas.kernels_of(_clipped, 1, 2)
