"""A Python function as text, and back: how Keras's files hold the lambda of a Lambda layer.

The text is the marshalled bytecode, which runs on the Python version it was made on. To read one
is to run whatever it says, so only code that was asked to (`safe_mode=False`) comes here.
"""

from __future__ import annotations

import base64
import marshal
import types


def dumped(function):
    """The parts of `function`: code as text, default values, values of its closure."""
    closure = function.__closure__
    return {
        "code": base64.encodebytes(marshal.dumps(function.__code__)).decode("ascii"),
        "defaults": function.__defaults__,
        "closure": tuple([cell.cell_contents for cell in closure]) if closure else None,
    }


def loaded(parts, names):
    """The function of the parts that `dumped` gave; `names` are the globals it sees."""
    code, defaults, closure = parts["code"], parts["defaults"], parts["closure"]
    cells = None if closure is None else tuple([types.CellType(value) for value in closure])
    return types.FunctionType(
        marshal.loads(base64.decodebytes(code.encode("ascii"))),  # noqa: S302 - see the module
        names,
        argdefs=None if defaults is None else tuple(defaults),
        closure=cells,
    )
