"""Nested structures of lists, tuples, named tuples, deques and dicts. Public as `keras.tree`.

A dict's leaves come in the order of its sorted keys, as in Keras (optree's rule), except an
OrderedDict's, which keep their order. Dicts of all kinds are alike where they have the same keys.
"""

from __future__ import annotations

import collections
import warnings

from kerasmirror._export import export

_NESTED = (list, tuple, dict, collections.deque)


@export("tree.MAP_TO_NONE")
class MAP_TO_NONE:  # noqa: N801 - Keras's name
    """What a function given to `traverse` gives for a part that is to become None."""


@export("tree.is_nested")
def is_nested(structure):
    """Whether `structure` is a list, tuple, deque or dict."""
    return isinstance(structure, _NESTED)


def _keys(structure):
    if isinstance(structure, collections.OrderedDict):
        return list(structure)
    try:
        return sorted(structure)
    except TypeError:
        return sorted(structure, key=lambda key: (type(key).__qualname__, repr(key)))


def _children(structure):
    if isinstance(structure, dict):
        return [structure[key] for key in _keys(structure)]
    return list(structure)


def _rebuild(structure, children):
    if isinstance(structure, dict):
        by_key = dict(zip(_keys(structure), children, strict=True))
        items = [(key, by_key[key]) for key in structure]
        if isinstance(structure, collections.defaultdict):
            return type(structure)(structure.default_factory, items)
        return type(structure)(items)
    if hasattr(structure, "_fields"):
        return type(structure)(*children)
    if isinstance(structure, collections.deque):
        return type(structure)(children, structure.maxlen)
    return type(structure)(children)


@export("tree.flatten")
def flatten(structure):
    """The leaves of a nested structure, as a list."""
    if not is_nested(structure):
        return [structure]
    leaves = []
    for child in _children(structure):
        if is_nested(child):
            leaves.extend(flatten(child))
        else:
            leaves.append(child)
    return leaves


@export("tree.map_structure")
def map_structure(func, *structures, none_is_leaf=True):
    """`func` applied to each leaf, or to the leaves of several structures that stand in one place.

    With `none_is_leaf=False`, a None stays None and `func` does not see it.
    Raises: ValueError when the structures differ.
    """
    if not callable(func):
        raise TypeError(f"keras.tree.map_structure: `func` must be callable. Received: func={func}")
    if not structures:
        raise ValueError("keras.tree.map_structure: at least one structure must be given.")
    first = structures[0]
    if not is_nested(first):
        if len(structures) > 1 and any(is_nested(s) for s in structures[1:]):
            raise ValueError(f"keras.tree: the structures differ: {structures}")
        if not none_is_leaf and first is None:
            if any(s is not None for s in structures):
                raise ValueError(f"keras.tree: the structures differ: {structures}")
            return None
        return func(*structures)
    for other in structures[1:]:
        _check_alike(first, other)
    columns = _columns(first, structures)
    return _rebuild(
        first, [map_structure(func, *column, none_is_leaf=none_is_leaf) for column in columns]
    )


def _columns(first, structures):
    """The children of structures that are alike, together; those of dicts by the first's keys."""
    if isinstance(first, dict):
        return [tuple([s[key] for s in structures]) for key in _keys(first)]
    return zip(*(_children(s) for s in structures), strict=True)


@export("tree.map_structure_up_to")
def map_structure_up_to(shallow_structure, func, *structures):
    """`func` applied to the parts of `structures` that stand where `shallow_structure` has leaves.

    Raises: ValueError when a structure does not nest as `shallow_structure` does, or there is none.
    """
    if not structures:
        raise ValueError("keras.tree.map_structure_up_to: at least one structure must be given.")
    if not callable(func):
        raise TypeError(
            f"keras.tree.map_structure_up_to: `func` must be callable. Received: func={func}"
        )
    if not is_nested(shallow_structure):
        return func(*structures)
    for other in structures:
        _check_alike(shallow_structure, other)
    return _rebuild(
        shallow_structure,
        [
            map_structure_up_to(shallow, func, *column)
            for shallow, *column in _columns(shallow_structure, (shallow_structure, *structures))
        ],
    )


@export("tree.map_shape_structure")
def map_shape_structure(func, structure):
    """`map_structure` over shapes: tuples and lists of nothing but ints and Nones are leaves."""
    if not is_nested(structure) or (
        isinstance(structure, (list, tuple))
        and all(size is None or isinstance(size, int) for size in structure)
    ):
        return func(structure)
    children = [map_shape_structure(func, child) for child in _children(structure)]
    return _rebuild(structure, children)


def _check_alike(first, other):
    if isinstance(first, dict):
        alike = isinstance(other, dict) and set(first) == set(other)
    else:
        alike = type(first) is type(other) and len(first) == len(other)
    if not alike:
        raise ValueError(
            f"keras.tree: the structures must be alike, expected a {type(first).__name__}. "
            f"Received: {first!r} and {other!r}"
        )


@export("tree.assert_same_structure")
def assert_same_structure(a, b, check_types=None):
    """Raise ValueError unless `a` and `b` nest alike (leaves may differ).

    Types of containers always count; for what ignores them there is `assert_same_paths`.
    `check_types` has no effect, as in Keras, and says so.
    """
    if check_types is not None:
        warnings.warn(
            "keras.tree.assert_same_structure: `check_types` has no effect any more. "
            "`keras.tree.assert_same_paths` compares without the types of containers.",
            DeprecationWarning,
            stacklevel=2,
        )
    _assert_same(a, b)


def _assert_same(a, b):
    if not is_nested(a) and not is_nested(b):
        return
    if not is_nested(a):
        raise ValueError(f"keras.tree: the structures must be alike. Received: {a!r} and {b!r}")
    _check_alike(a, b)
    for left, right in _columns(a, (a, b)):
        _assert_same(left, right)


@export("tree.assert_same_paths")
def assert_same_paths(a, b):
    """Raise ValueError unless the same keys and positions lead to the leaves of `a` and `b`."""
    paths = [{path for path, _ in flatten_with_path(structure)} for structure in (a, b)]
    for one, other, names in ((*paths, ("a", "b")), (*paths[::-1], ("b", "a"))):
        if one - other:
            raise ValueError(
                f"keras.tree.assert_same_paths: `{names[0]}` and `{names[1]}` must have the same "
                f"paths. Received: paths {sorted(one - other, key=repr)} in `{names[0]}` only"
            )


@export("tree.pack_sequence_as")
def pack_sequence_as(structure, flat_sequence):
    """A structure nested as `structure`, with the leaves of `flat_sequence`.

    Raises: ValueError when the number of leaves differs.
    """
    leaves = list(flat_sequence)
    expected = len(flatten(structure))
    if len(leaves) != expected:
        raise ValueError(
            f"keras.tree.pack_sequence_as: `flat_sequence` must have {expected} leaves. "
            f"Received: {len(leaves)}"
        )
    remaining = iter(leaves)
    return _pack(structure, remaining)


def _pack(structure, remaining):
    if not is_nested(structure):
        return next(remaining)
    return _rebuild(structure, [_pack(child, remaining) for child in _children(structure)])


@export("tree.flatten_with_path")
def flatten_with_path(structure):
    """(path, leaf) pairs; a path is the tuple of keys and positions that leads to the leaf."""
    if not is_nested(structure):
        return [((), structure)]
    steps = _keys(structure) if isinstance(structure, dict) else range(len(structure))
    pairs = []
    for step, child in zip(steps, _children(structure), strict=True):
        pairs.extend(((step, *path), leaf) for path, leaf in flatten_with_path(child))
    return pairs


@export("tree.lists_to_tuples")
def lists_to_tuples(structure):
    """The same structure with every list made a tuple."""
    if not is_nested(structure):
        return structure
    children = [lists_to_tuples(child) for child in _children(structure)]
    return tuple(children) if isinstance(structure, list) else _rebuild(structure, children)


@export("tree.traverse")
def traverse(func, structure, top_down=True):
    """The structure after `func` has replaced its parts; where `func` gives None, the part stays.

    With `top_down`, a part that `func` replaces is not looked into. MAP_TO_NONE makes it None.
    """
    if top_down:
        replaced = func(structure)
        if replaced is not None:
            return None if replaced is MAP_TO_NONE else replaced
    if is_nested(structure):
        children = [traverse(func, child, top_down) for child in _children(structure)]
        structure = _rebuild(structure, children)
    if not top_down:
        replaced = func(structure)
        if replaced is not None:
            return None if replaced is MAP_TO_NONE else replaced
    return structure
