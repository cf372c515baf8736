"""Files of a folder with their labels: what the `*_dataset_from_directory` functions share."""

from __future__ import annotations

import os

import numpy as np

from kerasmirror.core.console import print_msg
from kerasmirror.utils.dataset import Dataset

_MODES = ("int", "categorical", "binary", None)


def check_labels(owner, labels, label_mode, class_names, kind):
    """(labels, label_mode), both None without labels.

    Raises: ValueError for labels, modes and names that do not go together.
    """
    # In a list, an array would be compared element by element.
    if labels is not None and not isinstance(labels, str):
        if not isinstance(labels, (list, tuple)):
            raise ValueError(
                f"{owner}: the `labels` argument should be a list or tuple of int labels, one for "
                f'each {kind} file, "inferred" (from the subfolders), or None. '
                f"Received: labels={labels!r}"
            )
        if class_names:
            raise ValueError(
                f'{owner}: you can only pass `class_names` if `labels="inferred"`. '
                f"Received: labels={labels}, class_names={class_names}"
            )
    elif labels not in ("inferred", None):
        raise ValueError(
            f"{owner}: the `labels` argument should be a list or tuple of int labels, one for "
            f'each {kind} file, "inferred" (from the subfolders), or None. '
            f"Received: labels={labels!r}"
        )
    if label_mode not in _MODES:
        raise ValueError(
            f'{owner}: the `label_mode` argument must be one of "int", "categorical", "binary" '
            f"and None. Received: label_mode={label_mode!r}"
        )
    if labels is None or label_mode is None:
        return None, None
    return labels, label_mode


def check_split(owner, validation_split, subset, shuffle, seed):
    """Raise ValueError for a validation split that would overlap or has only one argument."""
    if validation_split and not 0 < validation_split < 1:
        raise ValueError(
            f"{owner}: `validation_split` must be between 0 and 1. "
            f"Received: validation_split={validation_split!r}"
        )
    if bool(validation_split) != bool(subset):
        raise ValueError(
            f"{owner}: if `subset` is set, `validation_split` must be set, and the other way "
            f"round. Received: validation_split={validation_split!r}, subset={subset!r}"
        )
    if subset not in ("training", "validation", "both", None):
        raise ValueError(
            f'{owner}: `subset` must be either "training", "validation" or "both". '
            f"Received: subset={subset!r}"
        )
    if validation_split and shuffle and seed is None:
        raise ValueError(
            f"{owner}: with `validation_split` and `shuffle`, you must provide a `seed`, so that "
            "the two subsets do not overlap. Received: seed=None"
        )


def check_format(owner, format):
    """Raise ValueError for a container that Keras does not know."""
    if format not in ("tf", "grain"):
        raise ValueError(
            f'{owner}: `format` should be either "tf" or "grain". Received: format={format!r}'
        )


def refuse_grain(owner, format):
    """Raise for the container of another package; "tf", Keras's default, stands for our own."""
    if format == "grain":
        raise NotImplementedError(
            f"{owner}: Grain datasets are not mirrored; leave `format` at its default for a "
            "kerasmirror Dataset, which `fit` takes. Received: format='grain'"
        )


def datasets(
    owner,
    directory,
    labels,
    label_mode,
    class_names,
    formats,
    kind,
    load,
    batch_size,
    shuffle,
    seed,
    validation_split,
    subset,
    follow_links,
    verbose,
    format="tf",
    pad=False,
    as_tuple=False,
):
    """The dataset of the files in `directory`, or for subset "both" those of both parts.

    `load(path)` gives a file's tensor. With `pad`, shorter ones of a batch are filled with zeros.
    Raises: ValueError where there are no files, or no two classes for "binary".
    """
    labels, label_mode = check_labels(owner, labels, label_mode, class_names, kind)
    check_split(owner, validation_split, subset, shuffle, seed)
    if seed is None:
        seed = np.random.randint(1e6)
    paths, labels, names = index(
        owner, directory, labels, formats, class_names, shuffle, seed, follow_links, verbose
    )
    if label_mode == "binary" and len(names) != 2:
        raise ValueError(
            f'{owner}: for `label_mode="binary"` there must be exactly 2 classes. '
            f"Received: class_names={names}"
        )

    def make(part, described, shuffled):
        chosen, marks = _part(paths, labels, validation_split, part)
        if not chosen:
            raise ValueError(
                f"{owner}: No {described} found in directory {directory}. "
                f"Allowed formats: {', '.join(formats)}"
            )
        refuse_grain(owner, format)
        dataset = Dataset.from_tensor_slices(_encoded(chosen, marks, label_mode, names))
        if shuffled:
            dataset = dataset.shuffle(batch_size * 8 if batch_size else 1024, seed=seed)
        dataset = dataset.map(_loader(load, label_mode), num_parallel_calls=-1)
        if batch_size is not None:
            dataset = (dataset.padded_batch if pad else dataset.batch)(batch_size)
        dataset = dataset.prefetch(2)
        dataset.class_names = names
        dataset.file_paths = chosen
        return dataset

    files = "images" if kind == "image" else f"{kind} files"
    if subset != "both":
        return make(subset, files, shuffle)
    both = [
        make("training", f"training {files}", shuffle),
        make("validation", f"validation {files}", False),
    ]
    return tuple(both) if as_tuple else both


def _encoded(paths, labels, label_mode, names):
    numbers = np.arange(len(paths))
    table = np.array([path.encode() for path in paths], dtype=object)
    if label_mode is None:
        return table[numbers]
    labels = np.asarray(labels)
    if label_mode == "binary":
        labels = labels.astype("float32")[:, np.newaxis]
    elif label_mode == "categorical":
        labels = (labels[:, np.newaxis] == np.arange(len(names))).astype("float32")
    else:
        labels = labels.astype("int32") if labels.dtype.kind in "iu" else labels
    return table, labels


def _loader(load, label_mode):
    def of_path(path):
        return load(path.data.item().decode())

    if label_mode is None:
        return of_path
    return lambda path, label: (of_path(path), label)


def index(
    owner, directory, labels, formats, class_names, shuffle, seed, follow_links, verbose=True
):
    """(paths, labels, class names) of the files with an ending in `formats`.

    With "inferred" labels, a file's class is the subfolder it lies in, at any depth.
    """
    if labels == "inferred":
        folders = sorted(
            name
            for name in os.listdir(directory)
            if os.path.isdir(os.path.join(directory, name)) and not name.startswith(".")
        )
        if class_names is not None:
            if not set(class_names) <= set(folders):
                raise ValueError(
                    f"{owner}: the `class_names` passed did not match the names of the subfolders. "
                    f"Expected: {folders} (or some of them). Received: class_names={class_names}"
                )
            folders = list(class_names)
        found = [_files(os.path.join(directory, name), formats, follow_links) for name in folders]
        paths = [path for group in found for path in group]
        labels = np.repeat(np.arange(len(folders), dtype="int32"), [len(g) for g in found])
        class_names = folders
    else:
        if class_names is not None:
            raise ValueError(
                f'{owner}: you can only pass `class_names` if `labels="inferred"`. '
                f"Received: labels={labels}, class_names={class_names}"
            )
        paths = _files(directory, formats, follow_links)
        if labels is not None:
            if len(labels) != len(paths):
                raise ValueError(
                    f"{owner}: Expected the lengths of `labels` to match the number of files in "
                    f"directory {directory}, {len(paths)}. Received: {len(labels)} labels"
                )
            labels = np.array(labels)
            class_names = [str(label) for label in sorted(set(labels.tolist()))]
    if verbose:
        suffix = "." if class_names is None else f" belonging to {len(class_names)} classes."
        print_msg(f"Found {len(paths)} files{suffix}")
    if shuffle:
        # Two generators of one seed: paths and labels take the same order.
        np.random.RandomState(seed).shuffle(paths)
        if labels is not None:
            np.random.RandomState(seed).shuffle(labels)
    return paths, labels, class_names


def _files(folder, formats, follow_links):
    walk = sorted(os.walk(str(folder), followlinks=follow_links), key=lambda entry: entry[0])
    return [
        os.path.join(root, name)
        for root, _, names in walk
        for name in sorted(names)
        if name.lower().endswith(tuple(formats))
    ]


def _part(paths, labels, validation_split, part):
    """The training or the validation files, which are the last ones; all without a split."""
    if not validation_split:
        return paths, labels
    count = int(validation_split * len(paths))
    cut = len(paths) - count
    if part == "training":
        print_msg(f"Using {cut} files for training.")
        # As in Keras, a share too small for one file is no split: there are no training files.
        chosen = slice(0, cut if count else 0)
    else:
        print_msg(f"Using {count} files for validation.")
        chosen = slice(cut, None)
    return paths[chosen], None if labels is None else labels[chosen]
