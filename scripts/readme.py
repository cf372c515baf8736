"""The tables in README that scripts write, each between two comments of its own."""

import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"


def markers(name, script):
    """The lines before and behind the table `name`, which `script` writes."""
    return f"<!-- {name} table: written by scripts/{script} -->", f"<!-- end of {name} table -->"


def write(name, script, text, readme=README):
    """Replace what stands between the markers; exits with a message where there are none."""
    begin, end = markers(name, script)
    whole = readme.read_text(encoding="utf-8")
    if begin not in whole or end not in whole:
        sys.exit(f"--write: {readme.name} must have the lines {begin} and {end}")
    before, rest = whole.split(begin)
    after = rest.split(end)[1]
    readme.write_text(f"{before}{begin}\n{text.rstrip()}\n{end}{after}", encoding="utf-8")
    print(f"{readme.name}: {name} table written")
