"""text_dataset_from_directory: batches of texts from files."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.core.tensor import Tensor
from kerasmirror.utils import directories

_OWNER = "text_dataset_from_directory"


@export("utils.text_dataset_from_directory", "preprocessing.text_dataset_from_directory")
def text_dataset_from_directory(
    directory,
    labels="inferred",
    label_mode="int",
    class_names=None,
    batch_size=32,
    max_length=None,
    shuffle=True,
    seed=None,
    validation_split=None,
    subset=None,
    follow_links=False,
    format="tf",
    verbose=True,
):
    """A `keras.utils.Dataset` of (texts, labels) from the `.txt` files below `directory`.

    Texts are tensors of dtype "string", whose values are bytes, as TensorFlow's are. Labels,
    batches and subsets are as `image_dataset_from_directory` gives them.
    Args: `max_length`, how many bytes of each text are kept.
    Raises: ValueError for bad arguments or no files.
    Source: Keras 3.15 `keras.utils.text_dataset_from_directory`, which gives a `tf.data.Dataset`.
    """
    if max_length is not None:
        max_length = checks.count(max_length, "max_length", owner=_OWNER, minimum=0)
    directories.check_labels(_OWNER, labels, label_mode, class_names, "text")
    directories.check_format(_OWNER, format)

    def load(path):
        with open(path, "rb") as file:
            text = file.read() if max_length is None else file.read(max_length)
        out = np.empty((), dtype=object)
        out[()] = text
        return Tensor(out)

    return directories.datasets(
        _OWNER,
        directory,
        labels,
        label_mode,
        class_names,
        (".txt",),
        "text",
        load,
        batch_size,
        shuffle,
        seed,
        validation_split,
        subset,
        follow_links,
        verbose,
        format,
    )
