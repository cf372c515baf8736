"""Reuters: news by topic."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.datasets import texts
from kerasmirror.datasets.arrays import load_npz
from kerasmirror.datasets.location import GOOGLE, locate
from kerasmirror.datasets.splitting import shuffled, split

_HASH = "d6586e694ee56d7a4e65172e12b3e987c03096cb01eab99753921ef915959916"
_INDEX_HASH = "4d44cc38712099c9e383dc6e5f11a921"
_TOPICS = (
    "cocoa grain veg-oil earn acq wheat copper housing money-supply coffee sugar trade reserves "
    "ship cotton carcass crude nat-gas cpi money-fx interest gnp meal-feed alum oilseed gold tin "
    "strategic-metal livestock retail ipi iron-steel rubber heat jobs lei bop zinc orange pet-chem "
    "dlr gas silver wpi hog lead"
)


@export("datasets.reuters.load_data")
def load_data(
    path="reuters.npz",
    num_words=None,
    skip_top=0,
    maxlen=None,
    test_split=0.2,
    seed=113,
    start_char=1,
    oov_char=2,
    index_from=3,
):
    """11,228 news items in 46 topics: words as ranks by frequency.

    Arguments as in `keras.datasets.imdb.load_data`; the share `test_split` is for tests.
    Result: `(x_train, y_train), (x_test, y_test)`; x is an array of lists of ints.
    Source: Keras 3.15 `keras.datasets.reuters.load_data`.
    """
    data = load_npz(locate("reuters", path, f"{GOOGLE}reuters.npz", _HASH))
    x, y = shuffled(np.random.RandomState(seed), data["x"], data["y"])
    x = texts.with_start(x, start_char, index_from)
    if maxlen:
        x, y = texts.shorter_than(maxlen, x, y)
    x = texts.with_known_words(x, num_words, skip_top, oov_char)
    (x_train, y_train), (x_test, y_test) = split(x, np.array(y), test_split)
    return (texts.as_array(x_train), y_train), (texts.as_array(x_test), y_test)


@export("datasets.reuters.get_word_index")
def get_word_index(path="reuters_word_index.json"):
    """The rank of each word, 1 for the most frequent (`load_data` adds `index_from` to it).

    Source: Keras 3.15 `keras.datasets.reuters.get_word_index`.
    """
    return texts.read_json(locate("reuters", path, f"{GOOGLE}reuters_word_index.json", _INDEX_HASH))


@export("datasets.reuters.get_label_names")
def get_label_names():
    """The 46 topics, in the order of their numbers.

    Source: Keras 3.15 `keras.datasets.reuters.get_label_names`.
    """
    return tuple(_TOPICS.split())
