"""What goes into a recorded pass and comes out of it, as flat lists of arrays and back."""

from __future__ import annotations

import numpy as np

from kerasmirror.core import tree
from kerasmirror.core.tensor import Tensor

_SINGLE = np.dtype(np.float32)


def arrays_in(x):
    """(arrays, their arrangement) of a model's input, or None where it is of another kind.

    The arrangement is None for one array, else (type, number or keys) of a flat list, tuple or
    dict. Arrays are float32, without masks, and not empty.
    """
    kind = type(x)
    if kind is Tensor:
        array = x.data
        if array.dtype is not _SINGLE or getattr(x, "mask", None) is not None or not array.size:
            return None
        return [array], None
    if kind is np.ndarray:
        return ([x], None) if x.dtype is _SINGLE and x.size else None
    if kind is dict:
        leaves, arrangement = x.values(), (kind, tuple(x))
    elif kind is list or kind is tuple:
        leaves, arrangement = x, (kind, len(x))
    else:
        return None
    arrays = []
    for leaf in leaves:
        found = arrays_in(leaf)
        if found is None or found[1] is not None:
            return None
        arrays += found[0]
    return (arrays, arrangement) if arrays else None


def leaves_of(x):
    """The parts of an input that `arrays_in` takes, in its order."""
    if isinstance(x, dict):
        return list(x.values())
    return list(x) if isinstance(x, (list, tuple)) else [x]


def arranged(tensors, arrangement):
    """The tensors as an input of an arrangement that `arrays_in` told."""
    if arrangement is None:
        return tensors[0]
    kind, keys = arrangement
    return dict(zip(keys, tensors, strict=True)) if kind is dict else kind(tensors)


class Outputs:
    """How a model's outputs are made of arrays: each leaf's, and its logits' where it has some."""

    def __init__(self, y):
        leaves = tree.flatten(y)
        self.are_tensors = all([type(leaf) is Tensor for leaf in leaves])
        self._arrays = []
        self._keys = []
        self._has_logits = []
        for leaf in leaves if self.are_tensors else ():
            logits = getattr(leaf, "logits", None)
            self._has_logits.append(logits is not None)
            for part in (leaf,) if logits is None else (leaf, logits):
                self._arrays.append(part.data)
                self._keys.append(part.key)
        self._structure = tree.map_structure(lambda _: None, y) if tree.is_nested(y) else None

    def take(self):
        """The arrays, and the tensors' keys; they are kept no longer."""
        arrays, keys = self._arrays, self._keys
        self._arrays = self._keys = None
        return arrays, keys

    def of(self, arrays, keys=None):
        """Outputs of other arrays, with the tensors' keys."""
        at, leaves = 0, []
        for has_logits in self._has_logits:
            leaf = Tensor(arrays[at], None if keys is None else keys[at])
            at += 1
            if has_logits:
                leaf.logits = Tensor(arrays[at], None if keys is None else keys[at])
                at += 1
            leaves.append(leaf)
        if self._structure is None:
            return leaves[0]
        return tree.pack_sequence_as(self._structure, leaves)
