"""Nests: an array, or lists, tuples and dicts of nests. None is a nest without arrays."""


def map_named(function, nest, name=""):
    """The same nest with `function(name, array)` for each array.

    A name is "" for an array alone, else its keys and numbers, joined by dots: "left", "0.mask".
    """
    if nest is None:
        return None
    if isinstance(nest, dict):
        return {key: map_named(function, part, _below(name, key)) for key, part in nest.items()}
    if isinstance(nest, (list, tuple)):
        mapped = [map_named(function, part, _below(name, i)) for i, part in enumerate(nest)]
        return mapped if isinstance(nest, list) else tuple(mapped)
    return function(name, nest)


def _below(name, key):
    return f"{name}.{key}" if name else str(key)


def map_nest(function, nest):
    """The same nest with `function(array)` for each array."""
    return map_named(lambda name, array: function(array), nest)


def named(nest):
    """(name, array) of each array, dicts in the order of their keys."""
    found = []
    map_named(lambda name, array: found.append((name, array)), _sorted(nest))
    return found


def _sorted(nest):
    if isinstance(nest, dict):
        return {key: _sorted(nest[key]) for key in sorted(nest, key=str)}
    if isinstance(nest, (list, tuple)):
        return [_sorted(part) for part in nest]
    return nest
