"""`python -m kerasmirror swap FILES`: let files import kerasmirror instead of Keras.

Imports are rewritten in place, everything else stays as it is, to the space. Every name of Keras
that a file uses and this package lacks is listed with its line.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from pathlib import Path

import kerasmirror
from kerasmirror import unsupported
from kerasmirror._export import public_names
from kerasmirror.saving.atomic import replacing


def add_arguments(parser):
    """The command's own options."""
    parser.add_argument("files", nargs="+", metavar="FILE", help="Python files, or folders of them")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would change, and change nothing"
    )


def run(options, parser):
    """Rewrite and report. Exit status: 0; 1 if a used name is missing; 2 if a file is no Python."""
    try:
        swap_imports = importlib.import_module("kerasmirror.commands.swap_imports")
    except ModuleNotFoundError:
        parser.error(
            "swap needs libcst, which is not installed. "
            "Install it with `pip install 'kerasmirror[swap]'`."
        )
    status = 0
    for path in _python_files(options.files, parser):
        try:
            before = path.read_text(encoding="utf-8")
            swapped = swap_imports.swap(before)
        except (OSError, UnicodeDecodeError, SyntaxError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            status = 2
            continue
        if swapped.code != before:
            if options.dry_run:
                sys.stdout.writelines(_difference(before, swapped.code, path))
            else:
                with replacing(path) as temporary:
                    Path(temporary).write_text(swapped.code, encoding="utf-8")
                print(f"{path}: {swapped.count} import(s) rewritten")
        for line, text in sorted(swapped.notes):
            print(f"{path}:{line}: {text}")
        for line, name, why in missing(swapped.used):
            print(f"{path}:{line}: {name}: {why}")
            status = max(status, 1)
    return status


def _python_files(names, parser):
    for name in names:
        path = Path(name)
        if path.is_dir():
            yield from sorted(path.rglob("*.py"))
        elif path.is_file():
            yield path
        else:
            parser.error(f"FILE must be a Python file or a folder. Received: {name}")


def _difference(before, after, path):
    lines = (before.splitlines(keepends=True), after.splitlines(keepends=True))
    return difflib.unified_diff(*lines, str(path), str(path))


def missing(used):
    """(line, name, reason) for each (line, name) of Keras in `used` that is not there.

    A name is looked up as far as it is public: methods and attributes of classes are not.
    """
    public = public_names()
    spaces = {""} | {path.rpartition(".")[0] for path in public}
    spaces |= {space.rpartition(".")[0] for space in spaces}
    found = set()
    for line, name in used:
        parts = name.split(".")
        for i in range(len(parts)):
            path = ".".join(parts[: i + 1])
            if path in public:
                break
            if path not in spaces:
                if not _is_there(path):
                    why = unsupported.reason(path) or "not in kerasmirror"
                    found.add((line, f"keras.{path}", why))
                break
    return sorted(found)


def _is_there(path):
    """Whether attributes lead there: `keras.version`, `keras.__version__`."""
    value = kerasmirror
    for part in path.split("."):
        value = getattr(value, part, None)
    return value is not None
