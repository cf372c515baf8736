"""Nested structures of lists, tuples, named tuples and dicts. Public as `keras.tree`.

A dict's leaves come in the order of its sorted keys, as in Keras (optree's rule), except an
OrderedDict's, which keep their order.
"""

from __future__ import annotations

import collections

from kerasmirror._export import export


@export("tree.is_nested")
def is_nested(structure):
    """Whether `structure` is a list, tuple or dict."""
    return isinstance(structure, (list, tuple, dict))


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
        if not none_is_leaf and all(s is None for s in structures):
            return None
        return func(*structures)
    for other in structures[1:]:
        _check_alike(first, other)
    columns = zip(*(_children(s) for s in structures), strict=True)
    return _rebuild(
        first, [map_structure(func, *column, none_is_leaf=none_is_leaf) for column in columns]
    )


def _check_alike(first, other):
    alike = is_nested(other) and type(first) is type(other) and len(first) == len(other)
    if alike and isinstance(first, dict):
        alike = set(first) == set(other)
    if not alike:
        raise ValueError(
            f"keras.tree: the structures must be alike. Received: {first!r} and {other!r}"
        )


@export("tree.assert_same_structure")
def assert_same_structure(a, b, check_types=None):
    """Raise ValueError unless `a` and `b` nest alike (leaves may differ).

    Types always count, so `check_types` can only be None or True.
    """
    if check_types is False:
        raise ValueError(
            "keras.tree.assert_same_structure: `check_types` must be None or True, the types of "
            "containers always count. Received: check_types=False"
        )
    if not is_nested(a) and not is_nested(b):
        return
    if not is_nested(a):
        raise ValueError(f"keras.tree: the structures must be alike. Received: {a!r} and {b!r}")
    _check_alike(a, b)
    for left, right in zip(_children(a), _children(b), strict=True):
        assert_same_structure(left, right)


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

    With `top_down`, a part that `func` replaces is not looked into.
    """
    if top_down:
        replaced = func(structure)
        if replaced is not None:
            return replaced
    if is_nested(structure):
        children = [traverse(func, child, top_down) for child in _children(structure)]
        structure = _rebuild(structure, children)
    if not top_down:
        replaced = func(structure)
        if replaced is not None:
            return replaced
    return structure
