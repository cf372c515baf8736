"""The tree of what a model owns, under the names that Keras gives its parts in files.

A part is addressed by the attributes that lead to it ("layers", "cell"), never by its automatic
name, so that two instances of one model class have the same addresses. In a list or dict, parts
are told apart by their class ("dense", "dense_1").
"""

from __future__ import annotations

import functools

from kerasmirror._export import lookup
from kerasmirror.core.names import to_snake_case

_KINDS = ("Layer", "optimizers.Optimizer", "metrics.Metric", "losses.Loss")
# What every object of a class has is its machinery. Its parts are what the user adds, and these:
_PARTS = {"Model": {"layers", "optimizer"}, "Sequential": {"layers", "optimizer"}}
_EXAMPLES = {
    "Layer": lambda cls: cls(name="layer"),
    "Model": lambda cls: cls(name="model"),
    "Sequential": lambda cls: cls(name="sequential"),
    "optimizers.Optimizer": lambda cls: cls(1.0, name="optimizer"),
    "metrics.Metric": lambda cls: cls(name="metric"),
    "losses.Loss": lambda cls: cls(name="loss"),
}
# Keras leaves these out, as they show the same layers once more.
_COPIES = {"operations", "_operations", "_functional"}


def kind_of(value):
    """Which kind of saveable `value` is ("Layer"), or None."""
    for kind in _KINDS:
        base = lookup(kind)
        if base is not None and isinstance(value, base):
            return kind
    return None


def is_container(value):
    """Whether `value` is a list, tuple or dict, which may hold saveables."""
    return isinstance(value, (list, tuple, dict))


def _machinery(saveable):
    """The attributes that are no parts of the tree."""
    skipped = set()
    for base in _EXAMPLES:
        cls = lookup(base)
        if cls is not None and isinstance(saveable, cls):
            skipped |= _attributes_of(base, cls)
    return skipped


@functools.cache
def _attributes_of(base, cls):
    return frozenset(dir(_EXAMPLES[base](cls))) - _PARTS.get(base, set())


def children(saveable, path):
    """(path, value) of the saveables and containers that are attributes of `saveable`.

    A Sequential's or Functional model's layers come first, then public attributes by name, then
    private ones.
    """
    skipped = _machinery(saveable)
    if {cls.__name__ for cls in type(saveable).__mro__} & {"Sequential", "Functional"}:
        yield _join(path, "layers"), list(saveable.layers)
        skipped |= _COPIES
    names = [name for name in dir(saveable) if not name.startswith("__") and name not in skipped]
    for name in sorted(names, key=lambda name: f"~{name}" if name.startswith("_") else name):
        try:
            value = getattr(saveable, name)
        except Exception:  # noqa: BLE001, S112 - a user's property may raise whatever it likes
            continue
        if is_container(value) or kind_of(value) is not None:
            yield _join(path, name), value


def items(container, path):
    """(path, value) of the saveables and containers in a list, tuple or dict."""
    used = {}
    for value in list(container.values()) if isinstance(container, dict) else container:
        if kind_of(value) is not None:
            name = to_snake_case(type(value).__name__)
        elif is_container(value):
            name = "container"
        else:
            continue
        number = used[name] = used.get(name, -1) + 1
        yield _join(path, f"{name}_{number}" if number else name), value


def _join(path, name):
    return f"{path}/{name}" if path else name
