"""The rewriting of `swap`: a file's imports of Keras, and the names of it that are used."""

from __future__ import annotations

from typing import NamedTuple

import libcst as cst
from libcst import matchers, metadata

_OURS = "kerasmirror"
_KERAS = ("tensorflow.keras", "keras")


class Swapped(NamedTuple):
    """A file's new text, the number of imports that changed, and what was found, with lines.

    `used` are names of Keras, `tensorflow` and `notes` sentences on uses of TensorFlow and others.
    """

    code: str
    count: int
    used: set
    notes: set
    tensorflow: set


def swap(code):
    """The text with its imports of Keras rewritten.

    Raises: SyntaxError for what is no Python.
    """
    try:
        module = cst.MetadataWrapper(cst.parse_module(code))
    except cst.ParserSyntaxError as error:
        raise SyntaxError(f"line {error.raw_line}: {error.message}") from None
    names = _Names()
    module.visit(names)
    rewriting = _Rewriting(names)
    changed = module.visit(rewriting)
    return Swapped(changed.code, rewriting.count, names.used, names.notes, names.uses)


def _dotted(node):
    """`a.b.c` as text, or None for another expression."""
    parts = []
    while isinstance(node, cst.Attribute):
        parts.append(node.attr.value)
        node = node.value
    if not isinstance(node, cst.Name):
        return None
    return ".".join([node.value, *reversed(parts)])


def _below_keras(name):
    """What follows Keras's name in a dotted name ("layers", or ""); None if it is not Keras."""
    for keras in _KERAS:
        if name == keras:
            return ""
        if name is not None and name.startswith(keras + "."):
            return name[len(keras) + 1 :]
    return None


def _is_of_tensorflow(name):
    return name is not None and name.partition(".")[0] == "tensorflow"


def _alias(imported):
    return imported.asname.name.value if imported.asname else None


class _Names(cst.CSTVisitor):
    """Finds what names stand for Keras or TensorFlow, and what is used of Keras through them."""

    METADATA_DEPENDENCIES = (metadata.PositionProvider,)

    def __init__(self):
        self.stands_for = {}  # a name of the file -> a dotted name below keras
        self.tensorflow = set()
        self.used, self.notes = set(), set()
        self.uses = set()  # of TensorFlow beside Keras
        self._imports_of_tensorflow = set()
        self.uses_keras_of_tensorflow = False

    def _line(self, node):
        return self.get_metadata(metadata.PositionProvider, node).start.line

    def visit_Import(self, node):
        for imported in node.names:
            name = _dotted(imported.name)
            below = _below_keras(name)
            if below is not None:
                alias = _alias(imported)
                if alias is None and name.startswith("tensorflow"):
                    self.tensorflow.add("tensorflow")
                else:
                    self.stands_for[alias or "keras"] = below if alias else ""
                if below:
                    self.used.add((self._line(imported), below))
            elif name == "tensorflow":
                self.tensorflow.add(_alias(imported) or "tensorflow")
                self._imports_of_tensorflow.add(self._line(imported))
            elif name.startswith("tensorflow."):
                self._uses_tensorflow(imported, name)
                if imported.asname is None:
                    self.tensorflow.add("tensorflow")

    def _uses_tensorflow(self, node, name):
        what = f"{name} is TensorFlow's: `python -m {_OURS} run` stands in for some of it"
        self.uses.add((self._line(node), what))

    def leave_Module(self, original):
        if not self.uses:
            what = "TensorFlow is imported, but not used beside Keras"
            self.uses = {(line, what) for line in self._imports_of_tensorflow}

    def visit_ImportFrom(self, node):
        name = _dotted(node.module) if node.module and not node.relative else None
        below = _below_keras(name)
        if isinstance(node.names, cst.ImportStar):
            if below is not None:
                self.notes.add((self._line(node), f"all names of {name} are imported"))
            elif _is_of_tensorflow(name):
                self._uses_tensorflow(node, f"{name}.*")
            return
        for imported in node.names:
            own = imported.name.value
            if below is not None:
                path = f"{below}.{own}" if below else own
                self.stands_for[_alias(imported) or own] = path
                self.used.add((self._line(imported), path))
            elif name == "tensorflow" and own == "keras":
                self.stands_for[_alias(imported) or own] = ""
            elif _is_of_tensorflow(name):
                self._uses_tensorflow(imported, f"{name}.{own}")

    def visit_Attribute(self, node):
        name = _dotted(node)
        if name is None:
            return True
        first, _, rest = name.partition(".")
        if first in self.tensorflow and rest.split(".")[0] == "keras":
            self.uses_keras_of_tensorflow = True
            rest = rest.partition(".")[2]
            if rest:
                self.used.add((self._line(node), rest))
        elif first in self.stands_for:
            path = self.stands_for[first]
            self.used.add((self._line(node), f"{path}.{rest}" if path else rest))
        elif first in self.tensorflow:
            self._uses_tensorflow(node, name)
        return False


class _Rewriting(cst.CSTTransformer):
    """Puts this package where Keras is imported, and `keras` for `tf.keras`."""

    def __init__(self, names):
        self.names = names
        self.count = 0
        self._import_keras = names.uses_keras_of_tensorflow and "" not in set(
            names.stands_for.values()
        )

    def leave_Import(self, original, node):
        kept = []
        for imported in node.names:
            name = _dotted(imported.name)
            below = _below_keras(name)
            if below is None:
                kept.append(imported)
                continue
            self.count += 1
            alias = imported.asname
            if alias is None:  # all parts are loaded with the package
                imported = imported.with_changes(name=cst.Name(_OURS), asname=_as("keras"))
                if name.startswith("tensorflow"):
                    self._import_keras = False
            else:
                imported = imported.with_changes(name=_name(below))
            kept.append(imported)
        return node.with_changes(names=kept)

    def leave_ImportFrom(self, original, node):
        name = _dotted(node.module) if node.module and not node.relative else None
        below = _below_keras(name)
        if below is not None:
            self.count += 1
            return node.with_changes(module=_name(below))
        return node

    def leave_SimpleStatementLine(self, original, node):
        """`from tensorflow import keras` is a statement of its own; so is what is added."""
        statements = []
        for part in node.body:
            statements.extend(self._without_keras(part))
            if self._import_keras and _imports_tensorflow(part):
                self._import_keras = False
                self.count += 1
                statements.append(_import_ours("keras"))
        if len(statements) == len(node.body) and all(
            new is old for new, old in zip(statements, node.body, strict=True)
        ):
            return node
        if len(node.body) > 1 or len(statements) == 1:
            return node.with_changes(body=_in_one_line(statements))
        lines = [cst.SimpleStatementLine([part]) for part in statements]
        lines[0] = lines[0].with_changes(leading_lines=node.leading_lines)
        lines[-1] = lines[-1].with_changes(trailing_whitespace=node.trailing_whitespace)
        return cst.FlattenSentinel(lines)

    def _without_keras(self, part):
        """The import `from tensorflow import keras, x` as one of x and one of this package."""
        if not isinstance(part, cst.ImportFrom) or isinstance(part.names, cst.ImportStar):
            return [part]
        if part.relative or not part.module or _dotted(part.module) != "tensorflow":
            return [part]
        keras = [n for n in part.names if n.name.value == "keras"]
        if not keras:
            return [part]
        self.count += 1
        self._import_keras = False
        others = [n for n in part.names if n.name.value != "keras"]
        ours = _import_ours(_alias(keras[0]) or "keras")
        if not others:
            return [ours]
        others[-1] = others[-1].with_changes(comma=cst.MaybeSentinel.DEFAULT)
        return [part.with_changes(names=others), ours]

    def leave_Attribute(self, original, node):
        value = node.value
        if node.attr.value == "keras" and matchers.matches(value, matchers.Name()):
            if value.value in self.names.tensorflow:
                keras = next((n for n, p in self.names.stands_for.items() if p == ""), "keras")
                return cst.Name(keras, lpar=node.lpar, rpar=node.rpar)
        return node


def _as(name):
    return cst.AsName(name=cst.Name(name))


def _name(below):
    parts = [_OURS, *below.split(".")] if below else [_OURS]
    return cst.parse_expression(".".join(parts))


def _import_ours(name):
    return cst.Import([cst.ImportAlias(name=cst.Name(_OURS), asname=_as(name))])


def _imports_tensorflow(part):
    return isinstance(part, cst.Import) and any(
        _dotted(name.name) == "tensorflow" for name in part.names
    )


def _in_one_line(statements):
    between = cst.Semicolon(whitespace_after=cst.SimpleWhitespace(" "))
    return [
        part.with_changes(semicolon=between if i + 1 < len(statements) else part.semicolon)
        for i, part in enumerate(statements)
    ]
