"""Graphviz pictures: pydot where it is installed, clear words where it is not."""

from __future__ import annotations

import os
import sys

from kerasmirror.core.console import print_msg


def pydot_for(owner):
    """The pydot module; None after a printed message in a notebook.

    Raises: ImportError where it is not installed.
    """
    try:
        import pydot
    except ImportError:
        pydot = None
    if pydot is None:
        return _missing(f"You must install pydot (`pip install pydot`) for `{owner}` to work.")
    return pydot


def has_graphviz(pydot, owner):
    """Whether Graphviz draws; False after a printed message in a notebook.

    Raises: ImportError where it is not installed.
    """
    try:
        pydot.Dot.create(pydot.Dot())
    except (OSError, pydot.PydotException):
        _missing(
            "You must install graphviz (see instructions at https://graphviz.gitlab.io/download/) "
            f"for `{owner}` to work."
        )
        return False
    return True


def _missing(message):
    if _in_notebook():
        # An exception would end a notebook's run for the sake of a picture.
        print_msg(message)
        return None
    raise ImportError(message)


def _in_notebook():
    return "IPython.core.magics.namespace" in sys.modules


def write(dot, to_file):
    """Draw `dot` into the file, in the format of its ending (png without one).

    Gives IPython's image of it where IPython is installed and can show the format, else None.
    """
    to_file = str(to_file)
    extension = os.path.splitext(to_file)[1][1:] or "png"
    dot.write(to_file, format=extension)
    if extension == "pdf":
        return None
    try:
        from IPython import display
    except ImportError:
        return None
    return display.Image(filename=to_file)


def text(value):
    """`value` as text of an HTML-like label."""
    return str(value).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
