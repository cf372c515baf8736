"""Where a data set's files are: a folder of the user's, the cache, or the internet."""

from __future__ import annotations

import os

from kerasmirror.utils.files import get_file, keras_home

GOOGLE = "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"


def locate(owner, name, origin, file_hash=None, subfolder="", archive_of=None):
    """The path of a data set's file, or of the folder `archive_of` in its archive.

    The folder named by the environment variable KERASMIRROR_DATASETS comes first; what lies in it
    is used as it is. Otherwise the file comes from the cache, whose hash is checked, and at last
    from `origin`.
    Raises: OSError, which tells where the file can be put, when it cannot be downloaded.
    """
    own = os.environ.get("KERASMIRROR_DATASETS")
    if own:
        for path in _places(own, subfolder, name, archive_of):
            if os.path.exists(path):
                return path
    try:
        path = get_file(
            name,
            origin,
            file_hash=file_hash,
            cache_subdir=os.path.join("datasets", subfolder),
            extract=archive_of is not None,
        )
    except OSError as error:
        where = os.path.join(keras_home(), "datasets", subfolder).rstrip(os.sep)
        wanted = f"{name}_archive" if archive_of else name
        raise OSError(
            f"keras.datasets.{owner}: the data is not in the cache and cannot be downloaded. Put "
            f"{origin} into {where} under the name {wanted}, or "
            f"{'the folder ' + archive_of if archive_of else wanted} into a folder and set the "
            f"environment variable KERASMIRROR_DATASETS to that one's path. Reason: {error}"
        ) from error
    return os.path.join(path, archive_of) if archive_of else path


def _places(folder, subfolder, name, archive_of):
    if archive_of is None:
        return [os.path.join(folder, subfolder, name)]
    return [os.path.join(folder, archive_of), os.path.join(folder, name, archive_of)]
