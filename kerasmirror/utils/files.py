"""get_file: a file from the internet, kept in a cache."""

from __future__ import annotations

import hashlib
import os
import tempfile
import urllib.parse
import warnings

from kerasmirror._export import export
from kerasmirror.callbacks.progress_bar import Progbar
from kerasmirror.core import checks
from kerasmirror.core.console import print_msg
from kerasmirror.saving.atomic import replacing
from kerasmirror.utils.archives import extract_archive

_BLOCK = 1 << 16
_SECONDS_WITHOUT_AN_ANSWER = 60


def keras_home():
    """The folder of Keras's settings and caches: KERAS_HOME, or `~/.keras`."""
    return os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")


@export("utils.get_file")
def get_file(
    fname=None,
    origin=None,
    untar=False,
    md5_hash=None,
    file_hash=None,
    cache_subdir="datasets",
    hash_algorithm="auto",
    extract=False,
    archive_format="auto",
    cache_dir=None,
    force_download=False,
):
    """The path of the file at the URL `origin`, downloaded unless it lies in the cache.

    The cache is `cache_dir`/`cache_subdir`, by default KERAS_HOME or `~/.keras`, "datasets". A
    download that fails or has another hash leaves the cache as it was.

    Args: `fname`, its name there (default: that in the URL). `file_hash`, sha256 or md5 in
    hexadecimal; `hash_algorithm` "sha256", "md5" or, by its length, "auto". With `extract`, the
    archive (`archive_format` "tar", "zip", "auto") is unpacked beside it, into a folder called
    `fname`, or `fname` up to its first dot and "_extracted", whose path is returned; links and
    names that lead elsewhere are left out. `force_download` ignores the cache. `md5_hash` and
    `untar` are older names of `file_hash` and `extract`.
    Raises: ValueError without a URL, for a bad name or another hash than the given one, OSError
    when the download fails.
    Source: Keras 3.15 `keras.utils.get_file`.
    """
    if origin is None:
        raise ValueError("get_file: `origin` must be the URL of the file. Received: origin=None")
    if md5_hash is not None and file_hash is None:
        file_hash, hash_algorithm = md5_hash, "md5"
    checks.one_of(hash_algorithm, ("auto", "sha256", "md5"), "hash_algorithm", owner="get_file")
    folder = os.path.join(_writable(cache_dir), cache_subdir)
    os.makedirs(folder, exist_ok=True)
    name = _file_name(fname, origin)
    target, extracted = os.path.join(folder, name), None
    if extract or untar:
        if fname and "." in name:
            extracted = os.path.join(folder, f"{name[: name.find('.')]}_extracted")
        else:
            extracted, target = target, f"{target}_archive"
    download = force_download or not _is_valid(target, file_hash, hash_algorithm)
    if download:
        _download(origin, target, file_hash, hash_algorithm)
    if extracted is None:
        return target
    # A folder that is there was unpacked whole, as it only then got its name.
    if download or not os.path.isdir(extracted):
        if not extract_archive(target, extracted, "tar" if untar else archive_format):
            warnings.warn(f"get_file: {target!r} is no archive that is known.", stacklevel=2)
    return extracted


def _writable(cache_dir):
    """The cache's folder; one in the temporary folder when that cannot be written to."""
    folder = os.path.expanduser(cache_dir if cache_dir is not None else keras_home())
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        pass
    if os.access(folder, os.W_OK):
        return folder
    # Of this user alone: others must not be able to put files there.
    fallback = os.path.join(tempfile.gettempdir(), f".keras-{getattr(os, 'getuid', int)()}")
    os.makedirs(fallback, mode=0o700, exist_ok=True)
    return fallback


def _file_name(fname, origin):
    if not fname:
        name = os.path.basename(urllib.parse.unquote(urllib.parse.urlsplit(origin).path))
        if name in ("", ".", "..") or "\\" in name or "\0" in name:
            raise ValueError(
                "get_file: `fname` must be given when the URL does not end in a file's name. "
                f"Received: fname={fname!r}, origin={origin!r}"
            )
        return name
    name = os.fspath(fname)
    if "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
        raise ValueError(
            "get_file: `fname` must be a file's name without a folder; `cache_dir` sets that. "
            f"Received: fname={name!r}"
        )
    return name


def _hasher(file_hash, algorithm):
    if algorithm == "sha256" or (algorithm == "auto" and len(str(file_hash)) == 64):
        return hashlib.sha256()
    return hashlib.md5(usedforsecurity=False)


def _is_valid(path, file_hash, algorithm):
    """Whether the file is there and, where a hash is given, has it."""
    if not os.path.exists(path):
        return False
    if file_hash is None:
        return True
    hasher = _hasher(file_hash, algorithm)
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            hasher.update(block)
    if hasher.hexdigest() == str(file_hash).lower():
        return True
    print_msg(
        f"The file {path} does not have the {hasher.name} hash {file_hash}: it is incomplete or "
        "outdated and downloaded again."
    )
    return False


def _download(origin, target, file_hash, algorithm):
    # The HTTP client takes a tenth of a second to load, and only downloads need it.
    import http.client
    import urllib.error
    import urllib.request

    print_msg(f"Downloading data from {origin}")
    hasher = _hasher(file_hash, algorithm)
    with replacing(target) as temporary:
        try:
            with urllib.request.urlopen(  # noqa: S310 - the user's own URL
                origin, timeout=_SECONDS_WITHOUT_AN_ANSWER
            ) as response:
                _receive(response, temporary, hasher)
        except urllib.error.HTTPError as error:
            error.close()  # it holds the connection
            raise OSError(
                f"get_file: cannot download {origin}: {error.code} {error.reason}"
            ) from error
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise OSError(f"get_file: cannot download {origin}: {reason}") from error
        if file_hash is not None and hasher.hexdigest() != str(file_hash).lower():
            raise ValueError(
                f"get_file: Incomplete or corrupted file: it must have the {hasher.name} hash "
                f"{file_hash}. Received: {hasher.hexdigest()} from {origin}"
            )


def _receive(response, path, hasher):
    length = response.headers.get("Content-Length")
    total = int(length) if length and length.isdigit() and int(length) else None
    bar, received = Progbar(total), 0
    with open(path, "wb") as file:
        while block := response.read(_BLOCK):
            file.write(block)
            hasher.update(block)
            received += len(block)
            bar.update(received, finalize=received == total)
    if total is not None and received < total:
        raise OSError(f"the connection ended after {received} of {total} bytes")
