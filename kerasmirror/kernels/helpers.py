"""Processes that compile kernels ahead of the one that needs them.

Where the package has no code for this machine (cpu/shipped.py), a first run compiles some twenty
kernels, one after the other as it comes to them, on one core. When the first of them is missing,
helpers on the other cores therefore compile the same kernels from the last one on, and the program
finds them on the disk when it gets there. A helper learns what to compile from a
description of the model and a batch (commands/ahead.py), and takes the step itself, without
computing anything. Nothing depends on helpers: a kernel that none of them has compiled is compiled
where it is needed.

A claim, a file beside the cache's, says that some process is compiling a kernel; others wait for
it, or go on to the next. Helpers end when the pipe that they read from is closed, which happens at
the latest with the end of the program, however it ends.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from . import cache

_VARIABLE = "KERASMIRROR_COMPILE_HELPERS"
# A helper takes a core and 200 MB for seconds; with more than three, most work is done twice.
_MOST = 3
# Seconds after which a claim is taken for left behind. No kernel takes a tenth of it to compile.
_STALE_AFTER = 30
_LOOK = 0.004  # seconds between looks at a claim

_helpers = []
_started, _started_at = False, 0.0
_description = None


def describe(description):
    """What helpers should compile for: a function without arguments that gives plain data or None.

    It is called when helpers are there, or when the first kernel is missing in the cache.
    """
    global _description
    _description = description
    if _helpers:
        _tell()


def start():
    """Start the helpers, once: a kernel is missing in the cache."""
    global _started, _started_at
    if _started:
        return
    _started, _started_at = True, time.monotonic()
    for _ in range(_count()):
        try:
            process = python("from kerasmirror.commands import ahead; ahead.main()")
        except OSError:
            return  # no more processes, or none at all: a sandbox, a full table
        process.stdout.close()
        _helpers.append(process)
    if _helpers:
        atexit.register(stop)
        _tell()


def python(source):
    """A process of this interpreter that runs `source`, with this package and this cache."""
    # The package is last on the path: it may lie beside other people's modules.
    path = "import sys; sys.path.append(sys.argv.pop()); "
    return subprocess.Popen(
        [sys.executable, "-c", path + source, str(cache.PACKAGE.parents[1])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, _VARIABLE: "0", "KERASMIRROR_CACHE_DIR": str(cache.cache_root())},
    )


def _count():
    asked = os.environ.get(_VARIABLE)
    if asked is not None:
        return int(asked) if asked.isdigit() else 0
    # Elsewhere sys.executable is the program itself, which would start again.
    is_python = Path(sys.executable or "").name.lower().startswith("python")
    if getattr(sys, "frozen", False) or not is_python:
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(_MOST, (cores or 1) - 1)


def _tell():
    described = _description and _description()
    if not described:
        return
    try:
        line = json.dumps(described).encode() + b"\n"
    except (TypeError, ValueError):
        return  # a model with a part that is no plain data
    for process in _helpers:
        # One that has ended, for whatever reason, is not missed.
        with contextlib.suppress(OSError, ValueError):
            process.stdin.write(line)
            process.stdin.flush()


def stop():
    """End the helpers; also those in the middle of a kernel."""
    while _helpers:
        process = _helpers.pop()
        process.kill()
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.wait()


@contextlib.contextmanager
def claimed(folder, name, wait=True):
    """Claim the kernel `name` while it is compiled; gives whether this process has the claim.

    If another process has it, wait until that is done, or do not wait.
    """
    path = Path(folder) / f"{name}.claim"
    mine = _claim(path)
    while not mine and wait and _is_alive(path):
        time.sleep(_LOOK)
    try:
        yield mine
    finally:
        if mine:
            path.unlink(missing_ok=True)


def _claim(path):
    try:
        with path.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        if _is_alive(path):
            return False
        with contextlib.suppress(OSError):
            path.unlink()
        return True
    except OSError:
        return True  # a cache that cannot be written to is shared with nobody
    return True


def _is_alive(path):
    """Whether a claim is there, young, and of a process that still runs, where that can be seen."""
    try:
        if time.time() - path.stat().st_mtime >= _STALE_AFTER:
            return False
        owner = path.read_text()
    except OSError:
        return False
    for process in _helpers:
        process.poll()  # else one that was killed would still be there, as a zombie
    if not owner or os.name == "nt":  # not yet written; and there, signal 0 is not a question
        return True
    try:
        os.kill(int(owner), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # somebody else's
    return True


def will_compile(is_there):
    """Whether a helper is about to compile what `is_there()` says is not there: do without it."""
    young = time.monotonic() - _started_at < _STALE_AFTER
    at_work = young and any(process.poll() is None for process in _helpers)
    return at_work and not is_there()


def _none_after_fork():
    # They are the parent's. The child's end must neither kill them nor wait for them.
    global _started
    _helpers.clear()
    _started = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_none_after_fork)
