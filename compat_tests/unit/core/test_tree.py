"""Nested structures, against real Keras."""

from __future__ import annotations

import collections

import pytest

import kerasmirror

Point = collections.namedtuple("Point", ["x", "y"])
STRUCTURES = {
    "leaf": 3,
    "none": None,
    "empty": [],
    "list": [1, [2, 3], (4,)],
    "dict in its own order": {"b": 1, "a": [2, {"d": 3, "c": 4}]},
    "ordered dict": collections.OrderedDict([("b", 1), ("a", (2, 3))]),
    "default dict": collections.defaultdict(list, {"z": [1], "y": [2, 3]}),
    "named tuple": [Point(1, (2, 3)), {"p": Point(4, 5)}],
    "string": ["ab", ("c",)],
    "int keys": {2: "two", 1: "one"},
}


@pytest.fixture
def real():
    return pytest.importorskip("keras").tree


@pytest.mark.keras
@pytest.mark.parametrize("name", STRUCTURES)
def test_every_function_gives_what_keras_gives(name, real):
    ours, structure = kerasmirror.tree, STRUCTURES[name]
    assert ours.is_nested(structure) == real.is_nested(structure)
    assert ours.flatten(structure) == real.flatten(structure)
    assert ours.flatten_with_path(structure) == real.flatten_with_path(structure)
    assert ours.lists_to_tuples(structure) == real.lists_to_tuples(structure)
    leaves = [f"leaf {i}" for i in range(len(real.flatten(structure)))]
    packed, expected = (t.pack_sequence_as(structure, leaves) for t in (ours, real))
    assert packed == expected and type(packed) is type(expected)
    mapped, expected = (t.map_structure(lambda x: (x, 1), structure) for t in (ours, real))
    assert mapped == expected and type(mapped) is type(expected)
    if isinstance(structure, dict):
        assert list(mapped) == list(expected)

    def swap(x):
        return "pair" if isinstance(x, tuple) else None

    for top_down in (True, False):
        assert ours.traverse(swap, structure, top_down) == real.traverse(swap, structure, top_down)
    ours.assert_same_structure(structure, packed)


def test_mapping_walks_structures_together():
    tree = kerasmirror.tree
    assert tree.map_structure(lambda a, b: a + b, [1, {"k": 2}], [10, {"k": 20}]) == [11, {"k": 22}]
    assert tree.map_structure(lambda a: a + 1, [1, None], none_is_leaf=False) == [2, None]


@pytest.mark.parametrize(
    ("first", "second"),
    [([1], (1,)), ([1], [1, 2]), ({"a": 1}, {"b": 1}), ([1], 1), (1, [1]), ([[1]], [1])],
)
def test_structures_that_differ_are_refused(first, second):
    with pytest.raises(ValueError, match="structures"):
        kerasmirror.tree.assert_same_structure(first, second)
    with pytest.raises(ValueError, match="structures"):
        kerasmirror.tree.map_structure(lambda a, b: a, first, second)


def test_packing_wants_as_many_leaves_as_the_structure_has():
    with pytest.raises(ValueError) as raised:
        kerasmirror.tree.pack_sequence_as([1, [2, 3]], [1, 2])
    assert str(raised.value) == (
        "keras.tree.pack_sequence_as: `flat_sequence` must have 3 leaves. Received: 2"
    )


def test_a_function_that_is_none_is_refused():
    with pytest.raises(TypeError) as raised:
        kerasmirror.tree.map_structure(3, [1])
    assert (
        str(raised.value) == "keras.tree.map_structure: `func` must be callable. Received: func=3"
    )
