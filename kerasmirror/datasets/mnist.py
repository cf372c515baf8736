"""MNIST: handwritten digits."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.datasets.arrays import load_npz
from kerasmirror.datasets.location import GOOGLE, locate

_HASH = "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"


@export("datasets.mnist.load_data")
def load_data(path="mnist.npz"):
    """Grey 28 x 28 images of the digits 0 to 9: 60,000 to train on, 10,000 to test.

    Result: `(x_train, y_train), (x_test, y_test)`, uint8, x (n, 28, 28), y (n,). `path` is the
    file's name in the cache.
    Source: http://yann.lecun.com/exdb/mnist/; Keras 3.15 `keras.datasets.mnist.load_data`.
    """
    data = load_npz(locate("mnist", path, f"{GOOGLE}mnist.npz", _HASH))
    return (data["x_train"], data["y_train"]), (data["x_test"], data["y_test"])
