"""Boston housing: prices of houses by suburb, 1978."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.datasets.arrays import load_npz
from kerasmirror.datasets.location import GOOGLE, locate
from kerasmirror.datasets.splitting import check_test_split, shuffled, split

_HASH = "f553886a1f8d56431e820c5b82552d9d95cfcb96d1e678153f8839538947dff5"


@export("datasets.boston_housing.load_data")
def load_data(path="boston_housing.npz", test_split=0.2, seed=113):
    """13 features of 506 suburbs and their median house value in 1000 dollars.

    The data was made to study discrimination and contains it: one feature rates suburbs by the
    share of their Black inhabitants. Prefer `california_housing`.
    Result: `(x_train, y_train), (x_test, y_test)`, float64, x (n, 13), y (n,), shuffled with
    `seed`; the share `test_split` is for tests. `path` is the file's name in the cache.
    Raises: ValueError unless 0 <= test_split < 1.
    Source: Harrison and Rubinfeld 1978; Keras 3.15 `keras.datasets.boston_housing.load_data`.
    """
    check_test_split(test_split, "boston_housing.load_data")
    data = load_npz(locate("boston_housing", path, f"{GOOGLE}boston_housing.npz", _HASH))
    x, y = shuffled(np.random.RandomState(seed), data["x"], data["y"])
    return split(x, y, test_split)
