"""Names in LLVM's text that do not depend on what else a process has compiled.

numba numbers its functions as it compiles them, and their names reach those of values, constants
and scopes of aliases. So all but the entry and what lies outside get new names, in their order.
"""

import re

_NAME = r'(?:"[^"]*"|[-\w$.]+)'
_DEFINED = re.compile(
    rf"^(?:@({_NAME}) = (?:internal|private) |define (?:internal|private) .*?@({_NAME})\()",
    re.MULTILINE,
)
_LABEL = re.compile(rf"^({_NAME}):")
_TOKEN = re.compile(rf'(c"[^"]*")|!("[^"]*")|([%@])({_NAME})')
_KEPT = re.compile(r'"(?:llvm\.|branch_weights|function_entry_count|unknown)')


# What optimisation has found out: each LLVM has words of its own for it, and it has served.
_DROPPED = re.compile(r"^(;|source_filename|target |attributes )")
_FOUND = re.compile(r" (?:captures\([^)]*\)|nofree|local_unnamed_addr|#\d+)(?=[ ,)]|$)")


def _without_attributes(line):
    if not line.startswith(("define ", "declare ", "@")) and " call " not in line:
        return line
    line = _FOUND.sub("", line)
    # Without this word, tables for exceptions are made.
    return line.replace(") {", ") nounwind {") if line.startswith("define ") else line


class _Names(dict):
    """New names in the order in which old ones are first met."""

    def __init__(self, letter):
        self.letter = letter

    def __missing__(self, old):
        self[old] = f"{self.letter}{len(self)}"
        return self[old]


def normalised(text):
    """The text of a module without comments, triple and data layout, and with such names."""
    lines = (re.sub(r"\s+;.*$", "", line) for line in text.splitlines())
    lines = [_without_attributes(line) for line in lines if not _DROPPED.match(line)]
    outside = {a or b for a, b in _DEFINED.findall("\n".join(lines))}
    globals_, scopes, values = _Names("g"), _Names("s"), None
    result = []
    for line in lines:
        if line.startswith("define "):
            values, opening = _Names("v"), True
        result.append(_line(line, outside, globals_, scopes, values))
        if values is not None and not line.startswith("define ") and opening:
            opening = False
            if not _LABEL.match(line):
                # The first block, without a name of its own, has the number after the arguments'.
                signature = result[-2]
                result[-1:] = ["start:", result[-1]]
                values[str(_unnamed(signature, values))] = "start"
        if line == "}":
            values = None
    return re.sub(r"\n{2,}", "\n", "\n".join(result)).strip() + "\n"


def _unnamed(signature, values):
    return sum(old.isdigit() and f"%{new}" in signature for old, new in values.items())


def _line(line, defined, globals_, scopes, values):
    def rename(match):
        constant, string, sign, name = match.groups()
        if constant:
            return constant
        if string:
            return "!" + (string if _KEPT.match(string) else f'"{scopes[string]}"')
        if sign == "@":
            return "@" + (globals_[name] if name in defined else name)
        return "%" + (values[name] if values is not None else name)

    label = _LABEL.match(line) if values is not None else None
    if label:
        return values[label[1]] + ":"
    return _TOKEN.sub(rename, line)
