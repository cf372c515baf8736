"""California housing: prices of houses by district, 1990."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.datasets.arrays import load_npz
from kerasmirror.datasets.location import GOOGLE, locate
from kerasmirror.datasets.splitting import check_test_split, shuffled, split

_HASH = "1a2e3a52e0398de6463aebe6f4a8da34fb21fbb6b934cf88c3425e766f2a1a6f"


@export("datasets.california_housing.load_data")
def load_data(version="large", path="california_housing.npz", test_split=0.2, seed=113):
    """Eight features of 20,640 districts and their median house value in dollars.

    Features: longitude, latitude, age, rooms, bedrooms, population, households, income. `version`
    "small" takes the first 600 districts. Result: `(x_train, y_train), (x_test, y_test)`, float32,
    x (n, 8), y (n,), shuffled with `seed`; the share `test_split` is for tests. `path` is the
    file's name in the cache.
    Raises: ValueError for another version, or unless 0 <= test_split < 1.
    Source: Pace and Barry 1997; Keras 3.15 `keras.datasets.california_housing.load_data`.
    """
    owner = "california_housing.load_data"
    check_test_split(test_split, owner)
    checks.one_of(version, ("small", "large"), "version", owner=owner)
    data = load_npz(locate("california_housing", path, f"{GOOGLE}california_housing.npz", _HASH))
    count = 600 if version == "small" else None
    x, y = shuffled(np.random.RandomState(seed), data["x"][:count], data["y"][:count])
    return split(x, y, test_split)
