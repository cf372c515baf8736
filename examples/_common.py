"""What the examples share: which Keras they run on, their options, and their data.

They run on kerasmirror, or, with `--real-keras` or the environment variable KERAS_PACKAGE=keras, on
Keras itself with TensorFlow. The only difference is where a gradient tape comes from: Keras leaves
that to its backend.
"""

import argparse
import json
import os
import sys

import numpy as np

REAL = "--real-keras" in sys.argv or os.environ.get("KERAS_PACKAGE", "kerasmirror") == "keras"

if REAL:
    import keras
    from tensorflow import GradientTape
else:
    import kerasmirror as keras
    from kerasmirror.autodiff import GradientTape

__all__ = ["GradientTape", "keras", "digits", "made_digits", "parse", "report"]


def parse(description, epochs, arguments=None):
    """The options of an example: `--epochs`, `--quick`, `--batch-size`, `--seed`, `--json`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="made data, a few small steps")
    parser.add_argument("--json", action="store_true", help="print the losses as JSON, no more")
    parser.add_argument("--real-keras", action="store_true", help="run on Keras itself")
    options = parser.parse_args(arguments)
    if options.quick:
        options.epochs, options.batch_size = min(options.epochs, 3), 16
    options.verbose = 0 if options.json else 2
    return options


def report(options, losses, text):
    """Print the losses as JSON, or the example's own last words."""
    print(json.dumps(losses) if options.json else text)
    return losses


def made_digits(count, size=8, classes=4, seed=0):
    """Pictures of a bright bar whose place is the class, with noise: (images, labels)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    images = rng.uniform(0, 0.3, (count, size, size, 1))
    for image, label in zip(images, labels, strict=True):
        row = label * size // classes
        image[row : row + size // classes] += 0.7
    return images.astype("float32"), labels.astype("int32")


def digits(options, count=4000):
    """((x_train, y_train), (x_test, y_test), classes), pixels from 0 to 1.

    MNIST, or scikit-learn's small digits where it cannot be had; with `--quick` made pictures.
    """
    if options.quick:
        x, y = made_digits(96)
        return (x[:64], y[:64]), (x[64:], y[64:]), 4
    from mnist_data import load_digits

    (x_train, y_train), (x_test, y_test), name = load_digits(keras)
    if not options.json:
        print(f"{name}: {min(count, len(x_train))} training images of {x_train.shape[1:]}")
    train = ((x_train[:count] + 1) / 2).astype("float32"), y_train[:count].astype("int32")
    test = ((x_test[:1000] + 1) / 2).astype("float32"), y_test[:1000].astype("int32")
    return train, test, 10
