"""Loaders given the same small files on both sides."""

import importlib
import os
import sys

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "unit", "datasets"))
from synthetic import write_all  # noqa: E402 - lies beside the unit tests

pytestmark = [pytest.mark.keras, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("datasets") / "data"
    write_all(folder)
    return folder


@pytest.fixture
def both(folder, monkeypatch):
    """`both(name, function, **arguments)`: the results of the real and of our loader."""
    keras, _ = real_keras()
    monkeypatch.setenv("KERASMIRROR_DATASETS", str(folder))

    def local_file(fname, origin=None, cache_subdir="datasets", extract=False, **_):
        return str(folder if extract else folder / cache_subdir.removeprefix("datasets") / fname)

    def fashion_file(fname, origin=None, cache_subdir="", **_):
        return str(folder / "fashion-mnist" / fname)

    def call(name, function="load_data", **arguments):
        module = importlib.import_module(f"keras.src.datasets.{name}")
        patched = fashion_file if name == "fashion_mnist" else local_file
        monkeypatch.setattr(module, "get_file", patched)
        theirs = getattr(getattr(keras.datasets, name), function)(**arguments)
        return theirs, getattr(getattr(kerasmirror.datasets, name), function)(**arguments)

    return call


CASES = [
    ("mnist", {}),
    ("fashion_mnist", {}),
    ("cifar100", {}),
    ("cifar100", {"label_mode": "coarse"}),
    ("boston_housing", {}),
    ("boston_housing", {"test_split": 0.35, "seed": 3}),
    ("california_housing", {"version": "small"}),
    ("california_housing", {"test_split": 0.0}),
    ("imdb", {}),
    ("imdb", {"num_words": 20, "skip_top": 4}),
    ("imdb", {"maxlen": 8, "seed": 5}),
    ("imdb", {"start_char": None, "oov_char": None, "num_words": 30}),
    ("imdb", {"start_char": None, "index_from": 0}),
    ("reuters", {}),
    ("reuters", {"num_words": 20, "skip_top": 4, "test_split": 0.3}),
    ("reuters", {"maxlen": 8, "oov_char": None, "num_words": 30}),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_loaders_give_the_same_arrays(both, name, arguments):
    theirs, ours = both(name, **arguments)
    for their_part, our_part in zip(theirs, ours, strict=True):
        for expected, actual in zip(their_part, our_part, strict=True):
            assert actual.shape == expected.shape and actual.dtype == expected.dtype
            if expected.dtype == object:
                assert actual.tolist() == expected.tolist()
            else:
                np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("name", ["imdb", "reuters"])
def test_word_indices_are_the_same(both, name):
    theirs, ours = both(name, "get_word_index")
    assert ours == theirs


def test_label_names_are_the_same(both):
    theirs, ours = both("reuters", "get_label_names")
    assert ours == theirs


def test_hashes_and_origins_are_those_of_keras(both, folder, monkeypatch):
    asked = []

    def record(fname=None, origin=None, **options):
        asked.append((fname, origin, options.get("file_hash")))
        raise OSError("asked")

    ours = importlib.import_module("kerasmirror.datasets.location")
    monkeypatch.setattr(ours, "get_file", record)
    monkeypatch.delenv("KERASMIRROR_DATASETS")
    for name in kerasmirror.datasets.__dict__:
        module = sys.modules.get(f"keras.src.datasets.{name}")
        if not hasattr(module, "get_file"):
            continue
        monkeypatch.setattr(module, "get_file", record)
        for function in ("load_data", "get_word_index"):
            if not hasattr(module, function):
                continue
            asked.clear()
            for package in (module, sys.modules[f"kerasmirror.datasets.{name}"]):
                with pytest.raises(OSError, match="asked"):
                    getattr(package, function)()
            if name == "fashion_mnist":  # the order of its four files is not kept
                assert [entry[2] for entry in asked] == [None, None]
            else:
                assert asked[0] == asked[1], name
