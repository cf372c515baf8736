"""The handwritten digits that the MNIST examples train on."""

import sys

import numpy as np


def load_digits(keras):
    """((x_train, y_train), (x_test, y_test), name), pixels scaled to [-1, 1], with a channel axis.

    MNIST through `keras.datasets`; where it cannot be had, scikit-learn's small digits (8 x 8).
    """
    try:
        (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
        name, largest = "MNIST", 255
    except Exception as error:  # no network, a damaged download: say so and go on
        print(f"MNIST cannot be had here ({error}).", file=sys.stderr)
        print("Training on scikit-learn's bundled 8 x 8 digits instead.", file=sys.stderr)
        from sklearn.datasets import load_digits as load_small_digits

        digits = load_small_digits()
        order = np.random.default_rng(0).permutation(len(digits.target))
        images, labels = digits.images[order], digits.target[order]
        x_train, x_test = images[:1400], images[1400:]
        y_train, y_test = labels[:1400], labels[1400:]
        name, largest = "scikit-learn's digits", 16

    def scaled(x):
        return (x.astype("float32") / largest * 2 - 1)[..., np.newaxis]

    return (scaled(x_train), y_train), (scaled(x_test), y_test), name
