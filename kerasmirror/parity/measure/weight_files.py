"""Weights files: written by one side, read by the other."""

from .building import as_numpy, ready
from .nests import named


def save(keras, target, seed, weights, x, path):
    """Write a weights file of the model with these weights."""
    ready(keras, target, seed, x, weights).save_weights(path)


def outputs_of_file(keras, target, seed, x, path):
    """(name, array) of the model's outputs with the weights of a file."""
    model = ready(keras, target, seed + 1, x)
    model.load_weights(path)
    return named(as_numpy(keras, model(x, training=False)))
