"""Where compiled kernels live on disk.

numba's own key of a cached function covers that function's file alone, so an edit in a file that it
imports would go on running the old code. Each kernel file therefore gets a folder named by a hash
of itself, of every file of this package that it imports, of the CPU, of the tile choice and of the
versions involved.
"""

import atexit
import functools
import hashlib
import os
import re
import shutil
import tempfile
import time
import warnings
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_STALE_AFTER = 30 * 86400  # seconds without use after which the folder of an older hash is removed

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


@functools.cache
def _digest(source, environment):
    digest = hashlib.sha256(environment.encode())
    for path in sorted(_files_behind(source)):
        digest.update(str(path.name).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:20]


def _files_behind(source):
    """`source`, the files of this package that it imports, and theirs; launch and simd always."""
    found, waiting = set(), [source, PACKAGE / "cpu" / "launch.py", PACKAGE / "cpu" / "simd.py"]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting.extend(_imports_of(path))
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
