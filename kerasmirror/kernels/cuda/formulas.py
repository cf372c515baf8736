"""CUDA kernels made of scalar formulas: generated functions, one pair for each formula.

`flat` goes through arrays of one shape, in which a NumPy ufunc's arguments may be single numbers;
`broadcast` reads each array by strides on four axes.
"""

from __future__ import annotations

import dis
import types
from typing import NamedTuple

from numba import cuda

from .. import scalar
from ..cpu.elementwise import UFUNCS
from .indices import add32, grid_index, mul32
from .kernel import Kernel, inlined, kernel
from .strided import Axes, Steps, offset, places
from .traffic import operations_of

__all__ = []

PER_THREAD = 4  # elements, so that four loads are on their way at once
_BLOCK = 256

_WHOLE = "negative absolute sign square add subtract multiply floor_divide mod maximum minimum"
_BITS = "bitwise_and bitwise_or bitwise_xor left_shift right_shift"
_COMPARED = "equal not_equal less less_equal greater greater_equal"
_LOGIC = "logical_not logical_and logical_or logical_xor"
_PREDICATES = "isnan isinf isfinite"


def _of(names):
    return {getattr(scalar, name) for name in names.split()}


# Whose result is a boolean, and which types beside floats they are compiled for.
BOOLEAN = _of(f"{_COMPARED} {_LOGIC} {_PREDICATES}")
_TYPES = dict.fromkeys(_of(_WHOLE), "f4 f8 i4 i8")
_TYPES.update(dict.fromkeys(_of(_BITS), "u1 i4 i8"))
_TYPES.update(dict.fromkeys(_of(f"{_COMPARED} {_LOGIC}"), "u1 i4 i8 f4 f8"))

# Of float32 beyond 1e5 libdevice divides by pi with 160 bits, which it keeps on the stack, and ends
# with two operations on float64 for each element: a path that ordinary numbers do not take.
_PERIODIC = {name + end for name in ("sin", "cos", "tan") for end in ("", "_grad")}

_FLAT = """\
def {name}({xs}, y{singles}, n):
    i = add32(mul32(cuda.blockIdx.x, {tile}), cuda.threadIdx.x)
    last = add32(n, -1)
{indices}
{loads}
{stores}
"""
_BROADCAST = """\
def {name}_broadcast({xs}, y{singles}, n, axes, {strides}):
    i = grid_index()
    if i < n:
        at = places(i, axes)
{loads}
        y[i] = formula({values})
"""


def whole_power(x1, x2):
    """x1 to the power of x2, whole numbers; with a negative x2 what is left of it, towards zero."""
    base, left, result = x1, x2, x1 - x1 + 1
    if left < 0:
        return result if x1 == 1 else (1 - 2 * (left & 1) if x1 == -1 else x1 - x1)
    while left > 0:
        if left & 1:
            result *= base
        base *= base
        left >>= 1
    return result


_TYPES[whole_power] = "i4 i8"


class Kernels(NamedTuple):
    """A formula's kernels; `broadcast` is None for a formula of one array."""

    flat: Kernel
    broadcast: Kernel | None


class Form(NamedTuple):
    """What kernels are made of a formula: `result` and `words` are types, "T" one of `codes`.

    `words` are the arrays', `singles` those of them in whose place a number may be; after them the
    formula takes so many `numbers`.
    """

    name: str
    words: tuple[str, ...]
    result: str
    codes: tuple[str, ...]
    singles: tuple[int, ...]
    numbers: int


_made = {}


def kernels_of(formula, arrays, numbers=0):
    """The Kernels of a formula of so many arrays and, after them, numbers of their dtype.

    The arguments of a NumPy ufunc may be single numbers (`takes_singles`): the kernels take one for
    each argument, and bits that say which of them count.
    """
    key = formula, arrays, numbers
    if key not in _made:
        form = Form(
            formula.__name__,
            ("T",) * arrays,
            "u1" if formula in BOOLEAN else "T",
            types_of(formula),
            tuple(range(arrays)) if takes_singles(formula, arrays) else (),
            numbers,
        )
        _made[key] = make_kernels(form, compiled_formula(formula))
    return _made[key]


def types_of(formula):
    """The codes of the types that a formula's kernels are for."""
    return tuple(_TYPES.get(formula, "f4 f8").split())


def takes_singles(formula, arrays):
    """Whether a formula's kernels take single numbers in the place of arrays."""
    return arrays == 2 and (formula in UFUNCS or formula is whole_power)


def make_kernels(form, formula):
    """The Kernels of a Form of a compiled formula."""
    arrays = len(form.words)
    parameters = "".join(f", p{j}" for j in range(form.numbers))
    singles = [f"v{j}" for j in form.singles] + (["given"] if form.singles else [])
    shared = {
        "name": f"_map_{form.name}",
        "xs": ", ".join(f"x{j}" for j in range(arrays)),
        "singles": "".join(f", {item}" for item in singles) + parameters,
    }
    flat = _FLAT.format(
        tile=_BLOCK * PER_THREAD,
        indices="\n".join(
            f"    i{k} = min32(add32(i, {_BLOCK * k}), last)" for k in range(PER_THREAD)
        ),
        loads="\n".join(_flat_loads(j, j in form.singles) for j in range(arrays)),
        stores="\n".join(_flat_store(k, arrays, parameters) for k in range(PER_THREAD)),
        **shared,
    )
    made = _compiled(flat, form, formula, "")
    if arrays == 1:
        return Kernels(made, None)
    broadcast = _BROADCAST.format(
        strides=", ".join(f"s{j}" for j in range(arrays)),
        loads="\n".join(_broadcast_load(j, j in form.singles) for j in range(arrays)),
        values=", ".join(f"a{j}" for j in range(arrays)) + parameters,
        **shared,
    )
    return Kernels(made, _compiled(broadcast, form, formula, " A" + " S" * arrays))


def _flat_loads(j, may_be_single):
    lines = [f"a{j}_{k} = x{j}[i{k}]" for k in range(PER_THREAD)]
    if not may_be_single:
        return "\n".join(f"    {line}" for line in lines)
    numbers = [f"a{j}_{k} = v{j}" for k in range(PER_THREAD)]
    return "\n".join(
        [f"    if given & {1 << j}:"]
        + [f"        {line}" for line in numbers]
        + ["    else:"]
        + [f"        {line}" for line in lines]
    )


def _flat_store(k, arrays, parameters):
    values = ", ".join(f"a{j}_{k}" for j in range(arrays))
    place = f"add32(i, {_BLOCK * k})"
    return f"    if {place} < n:\n        y[{place}] = formula({values}{parameters})"


def _broadcast_load(j, may_be_single):
    load = f"x{j}[offset(at, s{j})]"
    if may_be_single:
        load = f"v{j} if given & {1 << j} else {load}"
    return f"        a{j} = {load}"


def _compiled(source, form, formula, plan):
    """The Kernel of a source; `plan`: what it takes beside arrays, numbers and the size."""
    scope = {"__name__": __name__, "formula": formula, **_SCOPE}
    exec(compile(source, __file__, "exec"), scope)  # noqa: S102 - our own template
    templates = []
    for code in form.codes:
        number = {"u1": "u4", "u2": "u4"}.get(code, code)
        pointers = [f"{word}*".replace("T", code) for word in [*form.words, form.result]]
        singles = [number] * len(form.singles) + (["i4"] if form.singles else [])
        templates.append(" ".join([*pointers, *singles, *[number] * form.numbers, "i4"]) + plan)
    budget = {"stack": 32, "doubles": 3 * PER_THREAD} if form.name in _PERIODIC else {}
    name = f"_map_{form.name}" + ("_broadcast" if plan else "")
    if plan:
        budget.update(A=Axes, S=Steps)
    traffic = f"{'r ' * len(form.words)}w {operations_of(formula.py_func)}f"
    return kernel(*templates, block=_BLOCK, traffic=traffic, **budget)(scope[name])


@inlined
def _min32(a, b):
    return a if a < b else b


_SCOPE = {
    "cuda": cuda,
    "add32": add32,
    "mul32": mul32,
    "min32": _min32,
    "grid_index": grid_index,
    "places": places,
    "offset": offset,
}


def compiled_formula(formula):
    """A formula for kernels, with the functions that it calls compiled too."""
    scope = dict(formula.__globals__)
    for step in dis.get_instructions(formula):
        helper = scope.get(step.argval) if step.opname == "LOAD_GLOBAL" else None
        if isinstance(helper, types.FunctionType):
            scope[step.argval] = compiled_formula(helper)
    return inlined(types.FunctionType(formula.__code__, scope, formula.__name__))


def shape_of(formula):
    """(arrays, numbers) that a formula without a ufunc takes: x or y, dy, and then parameters."""
    names = formula.__code__.co_varnames[: formula.__code__.co_argcount]
    arrays = sum(name in ("x", "y", "dy", "x1", "x2") for name in names)
    return arrays, len(names) - arrays
