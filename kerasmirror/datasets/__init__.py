"""Small data sets to try models on (`keras.datasets`)."""

from kerasmirror.datasets import (  # noqa: F401 - loading them registers their public names
    boston_housing,
    california_housing,
    cifar10,
    cifar100,
    fashion_mnist,
    imdb,
    mnist,
    reuters,
)
