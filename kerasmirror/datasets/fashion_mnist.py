"""Fashion-MNIST: pictures of clothes in MNIST's form."""

from __future__ import annotations

import gzip

import numpy as np

from kerasmirror._export import export
from kerasmirror.datasets.location import GOOGLE, locate

_LARGEST = 1 << 28


@export("datasets.fashion_mnist.load_data")
def load_data():
    """Grey 28 x 28 images of ten kinds of clothes: 60,000 to train on, 10,000 to test.

    Classes: t-shirt or top, trousers, pullover, dress, coat, sandal, shirt, sneaker, bag, ankle
    boot. Result: `(x_train, y_train), (x_test, y_test)`, uint8, x (n, 28, 28), y (n,).
    Source: Xiao et al. 2017, https://arxiv.org/abs/1708.07747; Keras 3.15
    `keras.datasets.fashion_mnist.load_data`.
    """
    return tuple(
        (_read(f"{part}-images-idx3-ubyte.gz", 3), _read(f"{part}-labels-idx1-ubyte.gz", 1))
        for part in ("train", "t10k")
    )


def _read(name, rank):
    """The array in an IDX file: a magic number, `rank` sizes of 4 bytes each, then the bytes."""
    path = locate("fashion_mnist", name, GOOGLE + name, subfolder="fashion-mnist")
    with gzip.open(path, "rb") as file:
        header = np.frombuffer(file.read(4 + 4 * rank), ">i4")
        shape = tuple(int(size) for size in header[1:])
        count = int(np.prod(shape, dtype=np.int64))
        if len(shape) != rank or header[0] != 0x800 + rank or not 0 <= count <= _LARGEST:
            raise ValueError(f"{path}: the file is damaged (no IDX header of rank {rank}).")
        values = np.frombuffer(file.read(count), np.uint8)
    if values.size != count:
        raise ValueError(f"{path}: the file is damaged ({values.size} of {count} bytes).")
    return values.reshape(shape).copy()
