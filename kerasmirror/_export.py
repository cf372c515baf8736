"""One registry of public names: namespaces, aliases, `get()` and saved names all come from it."""

from __future__ import annotations

import sys
import types

_BY_PATH: dict[str, object] = {}
_PATHS_OF: dict[int, list[str]] = {}


def export(*paths):
    """Register a symbol under public paths: `@export("layers.Conv2D", "layers.Convolution2D")`.

    The first path is the canonical one: saved files and error messages use it.
    Raises: ValueError when another symbol already has one of the names.
    """

    def register(symbol):
        for path in paths:
            holder = _BY_PATH.setdefault(path, symbol)
            if holder is not symbol:
                raise ValueError(f"export: `{path}` is taken by {holder!r}. Received: {symbol!r}")
        _PATHS_OF.setdefault(id(symbol), []).extend(paths)
        return symbol

    return register


def lookup(path, default=None):
    """The symbol exported as `path` ("layers.Dense"), or `default`."""
    return _BY_PATH.get(path, default)


def public_path(symbol):
    """The canonical public path of `symbol` ("layers.Dense"), or None for what is not public."""
    paths = _PATHS_OF.get(id(symbol))
    return paths[0] if paths and _BY_PATH.get(paths[0]) is symbol else None


def replace(symbol, other):
    """Let `other` have all public paths of `symbol`."""
    paths = _PATHS_OF[id(symbol)]
    for path in paths:
        _BY_PATH[path] = other
    _PATHS_OF[id(other)] = list(paths)


def family(prefix):
    """All symbols right below `prefix` ("layers"), by their own name."""
    start = prefix + "."
    return {
        path[len(start) :]: symbol
        for path, symbol in _BY_PATH.items()
        if path.startswith(start) and "." not in path[len(start) :]
    }


def public_names():
    """Every public path with its symbol."""
    return dict(_BY_PATH)


def publish(package, reason=None):
    """Fill the namespaces: each exported symbol becomes an attribute of its public module.

    A namespace without a file of its own (`mixed_precision`) becomes a module here. `reason(path)`
    tells why a public name of Keras is not there; using such a name raises an AttributeError with
    it.
    """
    modules = {"": sys.modules[package]}
    for path, symbol in _BY_PATH.items():
        *parents, name = path.split(".")
        module = sys.modules[package]
        for i, parent in enumerate(parents):
            module = modules[".".join(parents[: i + 1])] = _submodule(module, parent)
        setattr(module, name, symbol)
    for path, module in modules.items():
        if reason is not None:
            module.__dict__.setdefault("__getattr__", _explaining(module, path, reason))


def _explaining(module, path, reason):
    def missing(name):
        why = reason(f"{path}.{name}" if path else name)
        why = f": {why}" if why else ""
        raise AttributeError(
            f"module {module.__name__!r} has no attribute {name!r}{why}", name=name, obj=module
        )

    return missing


def _submodule(module, name):
    # Imports of what is below a namespace without a file, by whichever name, ask for its folders.
    vars(module).setdefault("__path__", [])
    full = f"{module.__name__}.{name}"
    found = sys.modules.get(full)
    if found is None:
        found = types.ModuleType(full, f"Public names of `{full}`.")
        sys.modules[full] = found
    setattr(module, name, found)
    return found
