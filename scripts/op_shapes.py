"""The distinct layers of rows of the paper, as the shapes that scripts/op_cases.py times."""

import math
from typing import NamedTuple

import networks


class OpShape(NamedTuple):
    """A layer at a batch size: what is timed for each, and in which rows it stands."""

    batch: int
    layer: networks.LayerCase
    rows: tuple
    first: bool  # in every row the first with weights, so that its input needs no gradient


def layer_shapes(kind, rows):
    """The distinct layers of a kind ("C", "D", "M", "DR"); activation and rate do not count."""
    found = {}
    for row in rows:
        structure, shape, _, batch = networks.structure_of(row)
        layers = networks.layers_of(structure, shape)
        first = next(layer for layer in layers if layer.weights)
        for layer in layers:
            if layer.kind == kind:
                key = (batch, layer.inputs, layer.outputs, layer.window)
                found.setdefault(key, []).append((row, layer, layer is first))
    return [
        OpShape(
            key[0],
            uses[0][1],
            tuple(dict.fromkeys(row for row, _, _ in uses)),
            all(first for _, _, first in uses),
        )
        for key, uses in found.items()
    ]


def class_shapes(rows):
    """{(batch, classes): rows}"""
    found = {}
    for row in rows:
        _, _, classes, batch = networks.structure_of(row)
        found.setdefault((batch, classes), []).append(row)
    return found


def parameter_counts(rows):
    """{parameters of a network: rows}"""
    found = {}
    for row in rows:
        structure, shape, _, _ = networks.structure_of(row)
        layers = networks.layers_of(structure, shape)
        count = sum(math.prod(part) for layer in layers for part in layer.weights)
        found.setdefault(count, []).append(row)
    return found
