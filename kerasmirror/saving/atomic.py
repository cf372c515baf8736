"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile


@contextlib.contextmanager
def replacing(filepath):
    """Gives the path of a temporary file beside `filepath`; it takes its place at the end.

    The new file's bytes reach the disk before its name does, so a full disk, a kill or a power
    cut leaves the old file as it was. On an error the temporary file is removed.
    """
    filepath = os.path.realpath(filepath)  # a link stays one, its target is replaced
    folder = os.path.dirname(filepath)
    handle, temporary = tempfile.mkstemp(prefix=".writing-", suffix=".tmp", dir=folder)
    os.close(handle)
    try:
        yield temporary
        os.chmod(temporary, _permissions(filepath))
        _sync(temporary)
        os.replace(temporary, filepath)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(temporary)
        raise
    _sync(folder)


def _permissions(filepath):
    """Those of the file that is replaced, else those of any new file."""
    with contextlib.suppress(FileNotFoundError):
        return stat.S_IMODE(os.stat(filepath).st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync(path):
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
