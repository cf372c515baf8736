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
    "deque": [collections.deque([1, (2, 3)]), 4],
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


def outcome(run):
    """What `run()` gives, or the type of what it raises."""
    try:
        return run()
    except Exception as error:
        return type(error)


TOGETHER = {
    "up to": lambda t: t.map_structure_up_to([0, (0, 0)], str, [[1, 2], ({"a": 3}, 4)]),
    "up to, two": lambda t: t.map_structure_up_to([0], lambda a, b: (a, b), [[1, 2]], [3]),
    "up to, by keys": lambda t: t.map_structure_up_to(
        {"a": 0, "b": 0}, lambda a: a, collections.OrderedDict([("b", [1]), ("a", 2)])
    ),
    "too shallow": lambda t: t.map_structure_up_to([0, [0]], str, [1, 2]),
    "of another type": lambda t: t.map_structure_up_to((0, 0), str, [1, 2]),
    "of nothing": lambda t: t.map_structure_up_to([0], str),
    "not callable": lambda t: t.map_structure_up_to([0], 3, [1]),
    "shapes": lambda t: t.map_shape_structure(len, {"a": (1, None), "b": [(2,), [3, 4]], "c": ()}),
    "shape in a pair": lambda t: t.map_shape_structure(str, (None, (1, 2))),
    "kinds of dicts": lambda t: t.map_structure(
        lambda a, b: a - b, {"a": 1, "b": 2}, collections.OrderedDict([("b", 1), ("a", 5)])
    ),
    "list and tuple": lambda t: t.map_structure(lambda a, b: a, [1], (1,)),
    "deeper": lambda t: t.map_structure(lambda a, b: a, [1], [[1]]),
    "none and one": lambda t: t.map_structure(
        lambda a, b: 0, [None, 1], [2, 1], none_is_leaf=False
    ),
    "none and none": lambda t: t.map_structure(
        lambda a, b: 0, [None, 1], [None, 1], none_is_leaf=False
    ),
    "same dicts": lambda t: t.assert_same_structure({"a": 1}, collections.OrderedDict(a=2)),
    "leaf and list": lambda t: t.assert_same_structure(1, [1]),
    "same paths": lambda t: t.assert_same_paths(Point(1, [2]), [3, (4,)]),
    "other paths": lambda t: t.assert_same_paths([1, [2]], {"a": 1}),
    "to none": lambda t: t.traverse(lambda x: t.MAP_TO_NONE if x == 1 else None, [1, [1, 2]]),
    "to none, bottom up": lambda t: t.traverse(
        lambda x: t.MAP_TO_NONE if x == 1 else None, [1, [1, 2]], top_down=False
    ),
}


@pytest.mark.keras
@pytest.mark.parametrize("name", TOGETHER)
def test_structures_walked_together_give_what_keras_gives(name, real):
    ours, expected = (outcome(lambda t=t: TOGETHER[name](t)) for t in (kerasmirror.tree, real))
    assert ours == expected and type(ours) is type(expected)


def test_none_is_a_leaf_of_a_shallow_structure():
    assert kerasmirror.tree.map_structure_up_to([None, None], len, [[1, 1], [2]]) == [2, 1]


def test_paths_that_differ_are_named_and_check_types_says_that_it_does_nothing():
    with pytest.raises(ValueError) as raised:
        kerasmirror.tree.assert_same_paths([1, [2]], {"a": 1})
    assert str(raised.value) == (
        "keras.tree.assert_same_paths: `a` and `b` must have the same paths. "
        "Received: paths [(0,), (1, 0)] in `a` only"
    )
    with pytest.warns(DeprecationWarning, match="`check_types` has no effect any more"):
        kerasmirror.tree.assert_same_structure([1], [2], check_types=False)
