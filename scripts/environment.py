"""A virtual environment in `.venv` with this package installed from the checkout."""

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("KERASMIRROR_VENV", ROOT / ".venv"))


def python_of(folder):
    """The environment's interpreter."""
    inside = ("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")
    return folder.joinpath(*inside)


def set_up(*extras):
    """Make the environment if needed, install kerasmirror with `extras`; gives its interpreter.

    What is installed already stays; a changed pyproject.toml or another extra installs again.
    """
    python = python_of(FOLDER)
    if not python.exists():
        print(f"Making a virtual environment in {FOLDER}", flush=True)
        venv.create(FOLDER, with_pip=True)
    stamp = FOLDER / "kerasmirror-installed.txt"
    wanted = f"{','.join(sorted(extras))}\n{(ROOT / 'pyproject.toml').read_text()}"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"Installing kerasmirror[{','.join(extras)}]", flush=True)
        target = f"{ROOT}[{','.join(extras)}]" if extras else str(ROOT)
        install = [python, "-m", "pip", "install", "--quiet", "--editable", target]
        if subprocess.run(install).returncode:
            sys.exit("Installing failed; pip's message above says why.")
        stamp.write_text(wanted)
    return python
