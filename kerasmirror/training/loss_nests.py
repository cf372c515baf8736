"""Losses in a nest of their own: some for an output, some for outputs together, several for one.

    loss={"a": [for_all_of_a, (None, for_the_second_of_a)], "b": for_b}

A loss stands at a path of the model's outputs and gets what is there, a tensor or a nest of them.
A list where the outputs have no list holds several losses for the same place.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from kerasmirror.core import tree


class Part(NamedTuple):
    """One loss: where its outputs and targets are, what it counts, and what it is called."""

    path: tuple
    loss: Any
    weight: Any
    name: Any


def is_nest_of_nests(loss):
    """Whether losses were given as more than one for each output, or one for all."""
    if not tree.is_nested(loss):
        return False
    parts = loss.values() if isinstance(loss, dict) else loss
    return any(tree.is_nested(part) for part in parts)


def parts_of(loss, loss_weights, y_true, y_pred, output_names):
    """The losses of a nest, each a Part.

    Raises: KeyError for a place that outputs or targets do not have, ValueError for weights that
    are not as many as the losses.
    """
    if isinstance(loss, dict) and not isinstance(y_pred, dict) and output_names:
        loss = [loss.get(name) for name in output_names]
        if isinstance(loss_weights, dict):
            loss_weights = [loss_weights.get(name) for name in output_names]
    flat = tree.flatten(loss)
    weights = [None] * len(flat) if loss_weights is None else tree.flatten(loss_weights)
    if len(weights) != len(flat):
        raise ValueError(
            "Model.compile: `loss_weights` must match the number of losses. Received: "
            f"{len(flat)} losses and {len(weights)} weights"
        )
    weighted = [_Weighted(*pair) for pair in zip(flat, weights, strict=True)]
    names = output_names or [None] * len(tree.flatten(y_pred))
    places = [path for path, _ in tree.flatten_with_path(y_pred)]
    named = dict(zip(places, names, strict=False))
    found = []
    _collect(tree.pack_sequence_as(loss, weighted), y_true, y_pred, (), named, found)
    return found


class _Weighted:
    """A loss and its weight, as one leaf."""

    def __init__(self, loss, weight):
        self.loss = loss
        self.weight = weight


def _collect(losses, y_true, y_pred, path, named, found):
    if isinstance(losses, _Weighted):
        if losses.loss is not None:
            name = _name(path, y_pred, named)
            found.append(Part(path, losses.loss, losses.weight, name))
        return
    if isinstance(losses, (list, tuple)):
        is_flat = not any(map(tree.is_nested, losses))
        if is_flat and len(losses) == len(tree.flatten(y_pred)):
            losses = tree.pack_sequence_as(y_pred, losses)
            if isinstance(losses, _Weighted):
                _collect(losses, y_true, y_pred, path, named, found)
                return
        elif not isinstance(y_pred, type(losses)):
            for one in losses:
                _collect(one, y_true, y_pred, path, named, found)
            return
    for step in list(losses) if isinstance(losses, dict) else range(len(losses)):
        inner = losses[step]
        if isinstance(inner, _Weighted) and inner.loss is None:
            continue
        if not (_has(y_pred, step) and _has(y_true, step)):
            raise KeyError(
                f"Model.compile: the path {(*path, step)} in the `loss` argument, can't be found "
                "in either the model's output (`y_pred`) or in the labels (`y_true`)."
            )
        _collect(inner, y_true[step], y_pred[step], (*path, step), named, found)


def _has(nest, step):
    if isinstance(step, int) and not isinstance(nest, dict):
        return isinstance(nest, (list, tuple)) and step < len(nest)
    return isinstance(nest, dict) and step in nest


def _name(path, y_pred, named):
    if tree.is_nested(y_pred):
        if path:
            return "/".join(map(str, path))
        if isinstance(y_pred, dict):
            return "_".join(map(str, y_pred))
        return "_".join(str(name) for name in named.values())
    if path and isinstance(path[-1], int) and named.get(path) is not None:
        path = (*path[:-1], named[path])
    return "/".join(map(str, path)) if path else named.get(path)


def at(path, nest):
    """What stands at a path of a nest."""
    for step in path:
        nest = nest[step]
    return nest
