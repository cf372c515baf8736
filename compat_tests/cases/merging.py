"""Merging layers: how to make them and the shapes of their inputs."""

from typing import Any, NamedTuple


class MergeCase(NamedTuple):
    """`make(keras)` gives the layer, `shapes` the shapes of its inputs, batch axis included."""

    id: str
    make: Any
    shapes: list


def layer(name, *args, **options):
    return lambda keras: getattr(keras.layers, name)(*args, **options)


PAIR = [(3, 4, 5), (3, 4, 5)]
CASES = [
    *[
        MergeCase(name.lower(), layer(name), PAIR)
        for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    ],
    *[
        MergeCase(f"{name.lower()}-three-broadcast", layer(name), [(3, 4, 5), (3, 1, 5), (3, 4, 1)])
        for name in ("Add", "Multiply", "Average", "Maximum", "Minimum")
    ],
    MergeCase("concatenate-axis-1", layer("Concatenate", axis=1), [(3, 4, 5), (3, 2, 5)]),
    MergeCase("concatenate-three", layer("Concatenate"), [(3, 4), (3, 2), (3, 1)]),
    MergeCase("dot-vectors", layer("Dot", axes=1), [(3, 4), (3, 4)]),
    MergeCase("dot-cosine", layer("Dot", axes=-1, normalize=True), [(3, 4), (3, 4)]),
    MergeCase("dot-matrices", layer("Dot", axes=(1, 2)), [(3, 4, 5), (3, 6, 4)]),
    MergeCase("dot-last", layer("Dot", axes=(2, 1)), [(3, 4, 5), (3, 5, 2)]),
    MergeCase("dot-vector-matrix", layer("Dot", axes=(1, 1)), [(3, 4), (3, 4, 5)]),
    MergeCase("dot-images", layer("Dot", axes=(3, 2)), [(2, 3, 4, 5), (2, 3, 5)]),
]
