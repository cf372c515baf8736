"""Where compiled kernels live on disk.

Each kernel file gets a folder, named by a hash of itself, of every file of this package that its
kernels are made of, of the CPU and of the versions involved. So an edit of a file compiles anew
what it concerns.
"""

import atexit
import functools
import hashlib
import importlib.metadata
import os
import re
import shutil
import tempfile
import time
import warnings
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_STALE_AFTER = 30 * 86400  # seconds without use after which the folder of an older hash is removed

# What turns a function into code; its files are part of every kernel.
_MAKERS = (
    "deferred.py",
    "simd.py",
    "jit/arguments.py",
    "jit/entries.py",
    "jit/lowering.py",
    "jit/names.py",
    "jit/tile.py",
)
# Files of functions that others pass to a file of kernels, which does not import them.
_PASSED_IN = {"elementwise.py": ("../arithmetic.py",)}
# What runs compiled kernels: host functions import these, no code of a kernel comes from them.
_AROUND = {
    "between.py",
    "cache.py",
    "compiling.py",
    "helpers.py",
    "launch.py",
    "machine_code.py",
    "memory.py",
    "shipped.py",
    "threads.py",
}

_IMPORT = re.compile(r"^[ \t]*from[ \t]+([.\w]+)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE)


def cache_root():
    """Compiled kernels' folder: KERASMIRROR_CACHE_DIR, else the package, else the user's cache.

    Where neither of these two can be written, a folder that lasts as long as the process.
    """
    chosen = os.environ.get("KERASMIRROR_CACHE_DIR")
    if chosen:
        return Path(chosen)
    inside = PACKAGE / "__pycache__" / "numba"
    if _writable(inside):
        return inside
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    outside = Path(home) / "kerasmirror"
    return outside if _writable(outside) else _temporary_root(str(outside))


@functools.cache
def _temporary_root(refused):
    folder = tempfile.TemporaryDirectory(prefix="kerasmirror-")
    atexit.register(folder.cleanup)
    warnings.warn(
        f"kerasmirror: compiled kernels cannot be kept in {refused}, so each program compiles them "
        "anew. Set KERASMIRROR_CACHE_DIR to a folder that can be written.",
        stacklevel=2,
    )
    return Path(folder.name)


def cache_folder(source, environment):
    """The folder for kernels of the file `source`, compiled for `environment` (a string)."""
    root, source = cache_root(), Path(source).resolve()
    folder = root / f"{source.stem}-{_digest(source, environment)}"
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        _remove_stale(root, source.stem)
    else:
        _touch(folder)
    return folder


def _digest(source, environment):
    return hashlib.sha256(f"{environment} {digest_of(source)}".encode()).hexdigest()[:20]


@functools.cache
def digest_of(source):
    """A hash of all that a compiled kernel of the file `source` is made of, whatever the CPU."""
    digest = hashlib.sha256()
    for path in sorted(_files_behind(Path(source).resolve())):
        digest.update(path.name.encode())
        # As in the repository, where a checkout has other ends of lines.
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:20]


@functools.cache
def version_of(package):
    """The version of an installed package, which is not imported for it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _files_behind(source):
    """`source`, the files that its kernels are made of, and what makes kernels of any file."""
    found = set()
    names = (*_MAKERS, *_PASSED_IN.get(source.name, ()))
    waiting = [source, *(PACKAGE / "cpu" / name for name in names)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(item for item in _imports_of(path) if item.name not in _AROUND)
    return found


@functools.cache
def _imports_of(path):
    found = []
    for module, names in _IMPORT.findall(path.read_text(encoding="utf-8")):
        folder = _folder_of(path, module)
        if folder is None:
            continue
        # `from .simd import x` names a file; `from . import simd` names files in its list.
        words = re.findall(r"\w+", names)
        candidates = [folder.with_suffix(".py"), *(folder / f"{word}.py" for word in words)]
        found.extend(item for item in candidates if item.is_file() and PACKAGE in item.parents)
    return tuple(found)


def _folder_of(path, module):
    """The path without suffix that `from module import` in `path` means; None outside here."""
    top = PACKAGE.parent.name + "." + PACKAGE.name
    if module.startswith("."):
        levels = len(module) - len(module.lstrip("."))
        base = path.parents[levels - 1]
        rest = module[levels:]
    elif module == top or module.startswith(top + "."):
        base, rest = PACKAGE, module[len(top) + 1 :]
    else:
        return None
    return base.joinpath(*rest.split(".")) if rest else base


@functools.cache
def _writable(folder):
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError:
        return False
    return True


def _touch(folder):
    try:
        os.utime(folder)
    except OSError:
        return  # a shared, read-only cache is still good to load from


def _remove_stale(root, stem):
    limit = time.time() - _STALE_AFTER
    for other in root.glob(f"{stem}-*"):
        try:
            if other.stat().st_mtime < limit:
                shutil.rmtree(other, ignore_errors=True)
        except OSError:
            continue  # another process removed it first
