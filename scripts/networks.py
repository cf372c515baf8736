"""The layers of a network of the paper: what each takes in, gives out and costs."""

import math
import re
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "compat_tests"))
from cases import paper  # noqa: E402 - the cases are the tests'

CLASSES = {"olivetti": 40, "mnist": 10, "cifar": 10}


class LayerCase(NamedTuple):
    """One layer; shapes are without the batch axis, channels last."""

    kind: str  # "C" convolution, "M" largest of windows, "DR" dropout, "F" flatten, "D" dense
    inputs: tuple
    outputs: tuple
    window: int  # of C and M, else 0
    rate: float  # of DR, else 0
    activation: str  # "r", "sm" or ""

    @property
    def weights(self):
        """Shapes of kernel and bias; none for layers without weights."""
        if self.kind == "C":
            kernel = (self.window, self.window, self.inputs[2], self.outputs[2])
        elif self.kind == "D":
            kernel = (self.inputs[0], self.outputs[0])
        else:
            return ()
        return kernel, (self.outputs[-1],)

    @property
    def operations(self):
        """Float operations of a forward pass of one sample: two for each multiply-add."""
        if self.kind == "C":
            return 2 * math.prod(self.outputs) * self.window**2 * self.inputs[2]
        return 2 * self.inputs[0] * self.outputs[0] if self.kind == "D" else 0


def layers_of(structure, shape):
    """The LayerCases of a structure such as "C(3,32,r)x2;M(2);F();D(10,sm)"."""
    layers, shape = [], tuple(shape)
    for part in structure.split(";"):
        kind, inside, times = re.fullmatch(r"(C|M|DR|F|D)\(([^)]*)\)(?:x(\d+))?", part).groups()
        for _ in range(int(times or 1)):
            layers.append(_layer(kind, inside.split(","), shape))
            shape = layers[-1].outputs
    return layers


def _layer(kind, values, shape):
    if kind == "C":
        window, filters, activation = values
        return LayerCase(kind, shape, (*shape[:2], int(filters)), int(window), 0.0, activation)
    if kind == "M":
        window = int(values[0])
        outputs = (shape[0] // window, shape[1] // window, shape[2])
        return LayerCase(kind, shape, outputs, window, 0.0, "")
    if kind == "D":
        return LayerCase(kind, shape, (int(values[0]),), 0, 0.0, values[1])
    if kind == "F":
        return LayerCase(kind, shape, (math.prod(shape),), 0, 0.0, "")
    return LayerCase(kind, shape, shape, 0, float(values[0]), "")


def operations(structure, shape):
    """Float operations of one sample's forward pass through convolutions and dense layers."""
    return sum(layer.operations for layer in layers_of(structure, shape))


def structure_of(row):
    """(structure, input shape, classes, batch) of a row of the paper ("cifar:12")."""
    table, number = row.split(":")
    batch = 28 if table == "olivetti" else 128
    structure = paper.NETWORKS[table][int(number) - 1]
    return structure, paper.INPUT_SHAPES[table], CLASSES[table], batch


def chosen_rows(text):
    """The rows that a command line names: "all", tables ("mnist") or rows ("mnist:2")."""
    rows = []
    for part in text.split(","):
        matching = [r for r in paper.ROWS if part in ("all", r, r.split(":")[0])]
        if not matching:
            sys.exit(
                f'--rows: must be "all", a table ({", ".join(paper.NETWORKS)}) or rows such as '
                f"mnist:2. Received: {part}"
            )
        rows += [row for row in matching if row not in rows]
    return rows


def initial_weights(structure, shape, seed):
    """Kernels and biases in order: He-uniform before relu, else Glorot-uniform; zero biases.

    Every measured side starts from these, whatever random numbers it draws itself.
    """
    rng, weights = np.random.default_rng(seed), []
    for layer in layers_of(structure, shape):
        for part in layer.weights:
            if len(part) == 1:
                weights.append(np.zeros(part, np.float32))
                continue
            window, (fan_in, fan_out) = math.prod(part[:-2]), part[-2:]
            fans = window * fan_in if layer.activation == "r" else window * (fan_in + fan_out) / 2
            limit = (6 / fans if layer.activation == "r" else 3 / fans) ** 0.5
            weights.append(rng.uniform(-limit, limit, part).astype(np.float32))
    return weights
