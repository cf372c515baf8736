"""Unpacking archives from strangers: plain files, inside one folder, bounded in size."""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
import warnings
import zipfile

# A gzip or zip stream cannot shrink its content by more than 1032; bzip2 and xz can, bombs do.
_MAX_EXPANSION = 1100
_ALWAYS_FINE = 1 << 26
_MAX_MEMBERS = 10_000_000
_BLOCK = 1 << 20


def extract_archive(file_path, path, archive_format="auto"):
    """Unpack a tar or zip archive into the new folder `path`; False when it is no such archive.

    The folder appears when all is unpacked. Links, devices and names that lead outside of it are
    left out, with a warning.
    Raises: ValueError for an archive that holds far more than its size allows.
    """
    if archive_format is None:
        return False
    formats = ["tar", "zip"] if archive_format == "auto" else archive_format
    for name in [formats] if isinstance(formats, str) else formats:
        if name not in _OPENERS:
            raise NotImplementedError(
                'get_file: `archive_format` must be "auto", "tar", "zip", None or a list of them. '
                f"Received: archive_format={archive_format!r}"
            )
        is_one, members_of = _OPENERS[name]
        if is_one(file_path):
            _extract(file_path, members_of, os.path.realpath(path))
            return True
    return False


def _extract(file_path, members_of, path):
    folder = tempfile.mkdtemp(prefix=".extracting-", suffix=".tmp", dir=os.path.dirname(path))
    try:
        inner = os.path.join(folder, "new")
        os.mkdir(inner)
        limit = max(_ALWAYS_FINE, _MAX_EXPANSION * os.path.getsize(file_path))
        for number, (name, size, source) in enumerate(members_of(file_path)):
            limit -= size
            if limit < 0 or number >= _MAX_MEMBERS:
                raise ValueError(
                    "get_file: the archive must not hold more than its size allows (an archive "
                    f"bomb). Received: {file_path!r} of {os.path.getsize(file_path)} bytes"
                )
            _write(inner, name, size, source)
        if os.path.lexists(path):
            os.rename(path, os.path.join(folder, "old"))
        os.rename(inner, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write(folder, name, size, source):
    parts = _safe_parts(name)
    if parts is None or source is None:
        reason = "it leads outside" if parts is None else "it is a link or a device"
        warnings.warn(
            f"get_file: a member of the archive was left out, as {reason}: {name!r}", stacklevel=6
        )
        return
    target = os.path.join(folder, *parts)
    with source() as stream:
        if stream is None:
            os.makedirs(target, exist_ok=True)
            return
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            while size and (block := stream.read(min(size, _BLOCK))):
                file.write(block)
                size -= len(block)


def _safe_parts(name):
    """The parts of a member's path, or None when it could lead out of the folder."""
    name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts or "\0" in name or re.match("[A-Za-z]:", name):
        return None
    return parts


class _Folder:
    """Stands for the content of a folder."""

    def __enter__(self):
        return None

    def __exit__(self, *error):
        return None


def _tar_members(file_path):
    with tarfile.open(file_path) as archive:
        for member in archive:
            source = None
            if member.isdir():
                source = _Folder
            elif member.isreg():
                source = lambda member=member: archive.extractfile(member)  # noqa: E731
            yield member.name, member.size if member.isreg() else 0, source


def _zip_members(file_path):
    with zipfile.ZipFile(file_path) as archive:
        for member in archive.infolist():
            # The upper half of the attributes is the Unix mode; 0o120000 marks a link.
            link = (member.external_attr >> 16) & 0o170000 == 0o120000
            source = None
            if member.is_dir():
                source = _Folder
            elif not link:
                source = lambda member=member: archive.open(member)  # noqa: E731
            yield member.filename, member.file_size, source


_OPENERS = {
    "tar": (tarfile.is_tarfile, _tar_members),
    "zip": (zipfile.is_zipfile, _zip_members),
}
