"""What to compare: a structure string, a row of the paper, a function that builds, or a script."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from kerasmirror.experiments import data as data_sets
from kerasmirror.experiments import networks, paper
from kerasmirror.parity.measure.nests import map_named

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


def usual_loss(output):
    """The loss for an output (measure.description) of a model that says nothing of one."""
    shape = None if output is None else output["shape"]
    if shape is None or len(shape) != 2 or shape[-1] == 1:
        return "mean_squared_error"
    if output["logits"]:
        config = {"from_logits": True}
        return {"class_name": "SparseCategoricalCrossentropy", "config": config}
    return "sparse_categorical_crossentropy"


def made_data(inputs, outputs, samples, seed):
    """(x, y): random inputs, in [-1, 1] or tokens, and targets that fit losses and shapes.

    `inputs` and `outputs` are those of measure.description, the losses' names in them.
    Raises: TargetError for an input whose shape is not known.
    """
    rng = np.random.default_rng(seed)
    numbers, known = inputs
    x = map_named(lambda name, i: _made_input(rng, known[i], samples), numbers)
    numbers, leaves = outputs
    return x, map_named(lambda name, i: _made_target(rng, leaves[i], samples), numbers)


def _made_input(rng, known, samples):
    shape = known["shape"]
    if any(n is None for n in shape[1:]):
        raise TargetError(
            "parity: the model's input shape must be known, or data be given. "
            f"Received: input shape {tuple(shape)}"
        )
    if known["dtype"].startswith(("int", "uint", "bool")):
        tokens = 2 if known["dtype"] == "bool" else known["tokens"]
        return rng.integers(0, tokens, (samples, *shape[1:])).astype(known["dtype"])
    return rng.uniform(-1, 1, (samples, *shape[1:])).astype("float32")


def _made_target(rng, known, samples):
    shape = known["shape"][1:]
    if any(n is None for n in shape):
        raise TargetError(
            "parity: the model's output shape must be known, or data be given. "
            f"Received: output shape {tuple(known['shape'])}"
        )
    name = (known["loss"] or "").lower().replace("_", "")
    if "sparse" in name:
        return rng.integers(0, shape[-1], (samples, *shape[:-1]))
    if "crossentropy" in name and shape and shape[-1] > 1:
        return np.eye(shape[-1], dtype="float32")[
            rng.integers(0, shape[-1], (samples, *shape[:-1]))
        ]
    return rng.uniform(0, 1, (samples, *shape)).astype("float32")
