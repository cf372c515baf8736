"""IMDB: film reviews, liked or not."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.datasets import texts
from kerasmirror.datasets.arrays import load_npz
from kerasmirror.datasets.location import GOOGLE, locate
from kerasmirror.datasets.splitting import shuffled

_HASH = "69664113be75683a8fe16e3ed0ab59fda8886cb3cd7ada244f7d9544e4676b9f"
_INDEX_HASH = "bfafd718b763782e994055a2d397834f"


@export("datasets.imdb.load_data")
def load_data(
    path="imdb.npz",
    num_words=None,
    skip_top=0,
    maxlen=None,
    seed=113,
    start_char=1,
    oov_char=2,
    index_from=3,
    **kwargs,
):
    """25,000 film reviews to train on and 25,000 to test: words as ranks by frequency, 0 or 1.

    Args: `path`, the file's name in the cache. Only words of rank `skip_top` to below `num_words`
    stay, the others become `oov_char` (None: are left out). Reviews of `maxlen` words or more are
    left out. `seed` shuffles. `start_char` (None: nothing) opens each review; ranks count from
    `index_from`.
    Result: `(x_train, y_train), (x_test, y_test)`; x is an array of lists of ints.
    Raises: ValueError when `maxlen` leaves no review.
    Source: Maas et al. 2011; Keras 3.15 `keras.datasets.imdb.load_data`.
    """
    if kwargs:
        raise TypeError(f"imdb.load_data: unknown arguments {sorted(kwargs)}")
    data = load_npz(locate("imdb", path, f"{GOOGLE}imdb.npz", _HASH))
    generator = np.random.RandomState(seed)
    parts = []
    for part in ("train", "test"):
        x, y = shuffled(generator, data[f"x_{part}"], data[f"y_{part}"])
        x = texts.with_start(x, start_char, index_from)
        if maxlen:
            x, y = texts.shorter_than(maxlen, x, y)
            if not x:
                raise ValueError(
                    "imdb.load_data: `maxlen` must be more than the length of some reviews. "
                    f"Received: maxlen={maxlen!r}"
                )
        parts.append((x, np.asarray(y)))
    (x_train, y_train), (x_test, y_test) = parts
    reviews = texts.with_known_words(x_train + x_test, num_words, skip_top, oov_char)
    count = len(x_train)
    return (texts.as_array(reviews[:count]), y_train), (texts.as_array(reviews[count:]), y_test)


@export("datasets.imdb.get_word_index")
def get_word_index(path="imdb_word_index.json"):
    """The rank of each word, 1 for the most frequent (`load_data` adds `index_from` to it).

    Source: Keras 3.15 `keras.datasets.imdb.get_word_index`.
    """
    return texts.read_json(locate("imdb", path, f"{GOOGLE}imdb_word_index.json", _INDEX_HASH))
