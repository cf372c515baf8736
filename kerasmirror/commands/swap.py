"""`python -m kerasmirror swap FILES`: let files import kerasmirror instead of Keras.

Imports are rewritten in place, everything else stays as it is, to the space. Every name of Keras
that a file uses and this package lacks is listed with its line, and so is every use of TensorFlow
beside Keras.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import sys
from pathlib import Path

import kerasmirror
from kerasmirror import unsupported
from kerasmirror._export import public_names
from kerasmirror.saving.atomic import replacing

# A later one outweighs those before it.
STATUSES = {
    0: "the files need nothing but kerasmirror",
    3: "they also use TensorFlow (listed): install it, or start them with `run`, which stands in "
    "for some of it",
    1: "they use names of Keras that kerasmirror lacks (listed)",
    2: "a file cannot be read, or is no Python",
}


def add_arguments(parser):
    """The command's own options."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    lines = "".join(f"\n  {status}  {meaning}" for status, meaning in sorted(STATUSES.items()))
    parser.epilog = f"exit status, the worst of all files:{lines}\nThe same with --dry-run."
    parser.add_argument("files", nargs="+", metavar="FILE", help="Python files, or folders of them")
    parser.add_argument(
        "--dry-run", action="store_true", help="show what would change, and change nothing"
    )


def run(options, parser):
    """Rewrite and report; the exit status is the worst of STATUSES."""
    try:
        swap_imports = importlib.import_module("kerasmirror.commands.swap_imports")
    except ModuleNotFoundError:
        parser.error(
            "swap needs libcst, which is not installed. "
            "Install it with `pip install 'kerasmirror[swap]'`."
        )
    found = {0}
    for path in _python_files(options.files, parser):
        try:
            before = path.read_text(encoding="utf-8")
            swapped = swap_imports.swap(before)
        except (OSError, UnicodeDecodeError, SyntaxError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            found.add(2)
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
        for line, text in sorted(swapped.tensorflow):
            print(f"{path}:{line}: {text}")
            found.add(3)
        for line, name, why in missing(swapped.used):
            print(f"{path}:{line}: {name}: {why}")
            found.add(1)
    return [status for status in STATUSES if status in found][-1]


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
