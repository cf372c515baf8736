"""CIFAR-10: small colour pictures of ten kinds of things."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.datasets.cifar import load_batches
from kerasmirror.datasets.location import locate

_ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
_HASH = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"


@export("datasets.cifar10.load_data")
def load_data():
    """Colour images, 32 x 32: 50,000 to train on, 10,000 to test.

    Classes: airplane, automobile, bird, cat, deer, dog, frog, horse, ship, truck. Result:
    `(x_train, y_train), (x_test, y_test)`, uint8, x (n, 32, 32, 3) or, with "channels_first",
    (n, 3, 32, 32), y (n, 1).
    Source: https://www.cs.toronto.edu/~kriz/cifar.html; Keras 3.15
    `keras.datasets.cifar10.load_data`.
    """
    folder = locate(
        "cifar10", "cifar-10-batches-py-target", _ORIGIN, _HASH, archive_of="cifar-10-batches-py"
    )
    names = [f"data_batch_{i}" for i in range(1, 6)]
    x_train, y_train = load_batches(folder, names, "labels")
    x_test, y_test = load_batches(folder, ["test_batch"], "labels")
    return (x_train, y_train.astype("uint8")), (x_test, y_test.astype("uint8"))
