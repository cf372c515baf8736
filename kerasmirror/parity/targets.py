"""What to compare: a structure string, a row of the paper, a function that builds, or a script."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from kerasmirror.experiments import data as data_sets
from kerasmirror.experiments import networks, paper

_USUAL_SHAPE = (28, 28, 1)


class TargetError(ValueError):
    """A target that stands for no model."""


def resolve(text, input_shape=None):
    """What `measure` builds from a text of the command line, as plain data.

    "mnist:4" (a row of the paper), "C(3,8,r);F();D(10,sm)" (a structure, with `input_shape`),
    "module:function" or "file.py:function" (called with `keras`, gives a model), "script.py" (the
    model that it trains).
    Raises: TargetError; StructureError for a structure that cannot be read.
    """
    if text in paper.ROWS:
        shape = data_sets.INPUT_SHAPES[paper.experiment_of(text)["data"]]
        return _structure(paper.structure(text), shape)
    if "(" in text:
        return _structure(networks.canonical(text), input_shape or _USUAL_SHAPE)
    if text.endswith(".py"):
        return {"kind": "script", "file": _existing(text)}
    place, _, name = text.rpartition(":")
    if not place:
        raise TargetError(
            "parity: `target` must be a row (mnist:4), a structure (C(3,8,r);F();D(10,sm)), "
            f"module:function, file.py:function or script.py. Received: {text!r}"
        )
    return {"kind": "function", "file": _file_of(place), "name": name}


def _structure(structure, shape):
    shape = tuple(int(n) for n in shape)
    file = networks.__file__
    return {"kind": "structure", "file": file, "structure": structure, "input_shape": shape}


def _existing(text):
    path = Path(text).resolve()
    if not path.is_file():
        raise TargetError(f"parity: `target` must be a Python file. Received: {text!r}")
    return str(path)


def _file_of(place):
    if place.endswith(".py"):
        return _existing(place)
    try:
        spec = importlib.util.find_spec(place)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.origin:
        raise TargetError(f"parity: `target` must name a module. Received: {place!r}")
    return spec.origin


def usual_loss(output_shape):
    """The loss for outputs of a model that says nothing of one."""
    classes = output_shape is not None and len(output_shape) == 2 and output_shape[-1] > 1
    return "sparse_categorical_crossentropy" if classes else "mean_squared_error"


def made_data(input_shape, output_shape, loss, samples, seed):
    """Random inputs in [-1, 1], and targets that fit the loss and the outputs' shape."""
    rng = np.random.default_rng(seed)
    if any(n is None for n in input_shape[1:]):
        raise TargetError(
            "parity: the model's input shape must be known, or data be given. "
            f"Received: input shape {tuple(input_shape)}"
        )
    x = rng.uniform(-1, 1, (samples, *input_shape[1:])).astype("float32")
    name = loss if isinstance(loss, str) else loss.get("class_name", "")
    outputs = output_shape[1:]
    if "sparse" in name.lower():
        return x, rng.integers(0, outputs[-1], (samples, *outputs[:-1]))
    if "crossentropy" in name.lower().replace("_", "") and outputs[-1] > 1:
        return x, np.eye(outputs[-1], dtype="float32")[rng.integers(0, outputs[-1], samples)]
    return x, rng.uniform(0, 1, (samples, *outputs)).astype("float32")
