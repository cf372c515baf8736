"""Zip archives of models: looked through before anything in them is read.

What an archive may do to its reader: write outside of the folder that it is unpacked to, unpack to
far more than it stores, or hold one name twice, for two readers to see different things.
"""

from __future__ import annotations

import contextlib
import os
import stat
import zipfile

CONFIG_NAME, METADATA_NAME, WEIGHTS_NAME = "config.json", "metadata.json", "model.weights.h5"
ASSETS_NAME = "assets"

# Deflate shrinks by less than 1032.
_MAX_EXPANSION = 1032
_SMALL = 1 << 16
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextlib.contextmanager
def checked_archive(file, owner):
    """The zip archive at the path, or in the binary file, `file`; every member is checked.

    Raises: ValueError for what is no archive, or not safe to unpack.
    """
    try:
        archive = zipfile.ZipFile(file, "r")
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise ValueError(
            f"{owner}: `filepath` must be a whole `.keras` file, which is a zip archive. "
            f"Received: filepath={_shown(file)} ({error})"
        ) from error
    with archive:
        why = _why_refused(archive)
        if why is not None:
            raise ValueError(
                f"{owner}: `filepath` must be a file that can be loaded safely. "
                f"Received: filepath={_shown(file)}, {why}"
            )
        yield archive


def _shown(file):
    return repr(str(file)) if isinstance(file, (str, os.PathLike)) else repr(file)


def _why_refused(archive):
    seen, packed = set(), 0
    for info in archive.infolist():
        name, parts = info.filename, info.filename.split("/")
        if name in seen:
            return f"which holds {name!r} twice"
        seen.add(name)
        packed += info.compress_size
        absolute = name.startswith("/") or (len(name) > 1 and name[1] == ":")
        if absolute or "\\" in name or "\0" in name or ".." in parts:
            return f"whose member {name!r} would be unpacked outside of its folder"
        if stat.S_ISLNK(info.external_attr >> 16):
            return f"whose member {name!r} is a link"
        if info.flag_bits & 1 or info.compress_type not in _METHODS:
            return f"whose member {name!r} is encrypted or packed in an unknown way"
        if info.file_size > _SMALL and info.file_size > _MAX_EXPANSION * info.compress_size:
            return (
                f"whose member {name!r} unpacks to {info.file_size} bytes from "
                f"{info.compress_size} (a decompression bomb)"
            )
    archive.fp.seek(0, os.SEEK_END)
    if packed > archive.fp.tell():
        return "whose members lie in one another"
    return None


def read_member(archive, name, owner):
    """The bytes of a member.

    Raises: ValueError when there is none, or it is damaged.
    """
    try:
        return archive.read(name)
    except KeyError:
        raise ValueError(
            f"{owner}: `filepath` must be a `.keras` file, with a {name!r} in it. "
            f"Received: {archive.namelist()}"
        ) from None
    except (zipfile.BadZipFile, OSError, EOFError, RuntimeError, ValueError) as error:
        raise ValueError(f"{owner}: {name!r} in the file is damaged: {error}") from error


def unpack(archive, names, folder, owner):
    """Write the members `names` below `folder`."""
    for name in names:
        target = os.path.join(folder, *name.split("/"))
        if name.endswith("/"):
            os.makedirs(target, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(read_member(archive, name, owner))


def pack(archive, folder, prefix):
    """Put all files below `folder` into the archive, under `prefix`."""
    for place, _, files in os.walk(folder):
        inside = os.path.relpath(place, folder).replace(os.sep, "/")
        start = prefix if inside == "." else f"{prefix}/{inside}"
        for name in sorted(files):
            archive.write(os.path.join(place, name), f"{start}/{name}")
