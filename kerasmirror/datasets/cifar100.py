"""CIFAR-100: small colour pictures of a hundred kinds of things, in twenty groups."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.core import checks
from kerasmirror.datasets.cifar import load_batches
from kerasmirror.datasets.location import locate

_ORIGIN = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
_HASH = "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7"


@export("datasets.cifar100.load_data")
def load_data(label_mode="fine"):
    """Colour images, 32 x 32: 50,000 to train on, 10,000 to test.

    `label_mode` "fine" gives the hundred classes, "coarse" the twenty groups. Result:
    `(x_train, y_train), (x_test, y_test)`, x uint8 (n, 32, 32, 3) or, with "channels_first",
    (n, 3, 32, 32), y (n, 1) int64.
    Raises: ValueError for another mode.
    Source: https://www.cs.toronto.edu/~kriz/cifar.html; Keras 3.15
    `keras.datasets.cifar100.load_data`.
    """
    owner = "cifar100.load_data"
    checks.one_of(label_mode, ("fine", "coarse"), "label_mode", owner=owner)
    folder = locate(
        "cifar100", "cifar-100-python-target", _ORIGIN, _HASH, archive_of="cifar-100-python"
    )
    key = f"{label_mode}_labels"
    return load_batches(folder, ["train"], key), load_batches(folder, ["test"], key)
