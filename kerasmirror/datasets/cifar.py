"""What the two CIFAR data sets share: pickled batches of colour planes."""

from __future__ import annotations

import os

import numpy as np

from kerasmirror.core import config
from kerasmirror.datasets.arrays import load_pickle


def load_batches(folder, names, label_key):
    """Images (n, 32, 32, 3) in the configured layout and labels (n, 1) of some batch files."""
    images, labels = [], []
    for name in names:
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            batch = load_pickle(file, path)
        planes = batch[b"data"].reshape(-1, 3, 32, 32)
        if config.image_data_format() == "channels_last":
            planes = planes.transpose(0, 2, 3, 1)
        images.append(planes)
        labels.extend(batch[label_key.encode("ascii")])
    return np.concatenate(images), np.array(labels).reshape(-1, 1)
