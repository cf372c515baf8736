"""The data sets of experiments: pixels in [-1, 1], labels, training and test data."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np

from kerasmirror._export import lookup

INPUT_SHAPES = {
    "olivetti": (64, 64, 1),
    "mnist": (28, 28, 1),
    "cifar10": (32, 32, 3),
    "made": (16, 16, 1),
}
CLASSES = {"olivetti": 40, "mnist": 10, "cifar10": 10, "made": 10}
_OLIVETTI_FILE = "olivetti.npz"
_SPLITS = {"olivetti": 10}
_PER_PERSON, _TRAINED_PER_PERSON = 10, 7


def splits_of(name):
    """How many divisions into training and test data there are."""
    return _SPLITS.get(name, 1)


def load(name, split=0, samples=0):
    """((inputs, labels) for training, the same for testing), float32 inputs in [-1, 1].

    MNIST and CIFAR-10 come from `keras.datasets`. Olivetti comes from the file olivetti.npz in the
    folder KERASMIRROR_DATASETS (arrays images, labels, and train and test, a row of indices for
    each split), else through scikit-learn, with splits of 7 and 3 images of each person. "made" is
    made here: a pattern for each class under noise. `samples` keeps the first images to train with.
    Raises: FileNotFoundError where Olivetti can be had in neither way.
    """
    if name == "olivetti":
        train, test = _olivetti(split)
    elif name == "made":
        train, test = _made()
    else:
        train, test = lookup(f"datasets.{name}.load_data")()
    if samples:
        train = (train[0][:samples], train[1][:samples])
    return _prepared(train, name), _prepared(test, name)


def _prepared(data, name):
    images, labels = data
    images = (np.asarray(images, "float32") / 127.5 - 1).reshape(-1, *INPUT_SHAPES[name])
    return np.ascontiguousarray(images, "float32"), np.asarray(labels).reshape(-1).astype("int64")


def _olivetti(split):
    folder = os.environ.get("KERASMIRROR_DATASETS")
    path = Path(folder or "") / _OLIVETTI_FILE
    if folder and path.is_file():
        with np.load(path) as file:
            images, labels = file["images"], file["labels"]
            return tuple(
                (images[i], labels[i]) for i in (file["train"][split], file["test"][split])
            )
    if importlib.util.find_spec("sklearn") is None:
        raise FileNotFoundError(
            "experiments: Olivetti's faces must be in the file olivetti.npz of the folder "
            "KERASMIRROR_DATASETS (images, labels, train, test), or scikit-learn must be there to "
            f"fetch them. Received: KERASMIRROR_DATASETS={folder!r}"
        )
    from sklearn.datasets import fetch_olivetti_faces

    faces = fetch_olivetti_faces()
    images, labels = np.round(faces.images * 255).astype("uint8"), faces.target
    rng = np.random.default_rng(split)
    chosen = [np.flatnonzero(labels == person) for person in np.unique(labels)]
    chosen = np.array([rng.permutation(places) for places in chosen])
    train, test = chosen[:, :_TRAINED_PER_PERSON], chosen[:, _TRAINED_PER_PERSON:_PER_PERSON]
    return tuple((images[i.ravel()], labels[i.ravel()]) for i in (train, test))


def _made():
    rng = np.random.default_rng(0)
    patterns = rng.uniform(0, 255, (CLASSES["made"], *INPUT_SHAPES["made"]))

    def drawn(count):
        labels = rng.integers(0, CLASSES["made"], count)
        noise = rng.normal(0, 90, (count, *INPUT_SHAPES["made"]))
        return (patterns[labels] + noise).clip(0, 255).astype("uint8"), labels

    return drawn(2000), drawn(1000)
