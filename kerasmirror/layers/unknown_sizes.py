"""Calls on placeholders whose code computes with a size that nobody knows yet.

`ops.shape(x)[0]` is None while a model is being made, so `ops.zeros((ops.shape(x)[0], 3))` cannot
run. Such a call is repeated with two sizes in place of each unknown one: where the shapes of the
two results differ, a size of the result is unknown.
"""

from __future__ import annotations

from kerasmirror.core import tree
from kerasmirror.core.symbolic import KerasTensor
from kerasmirror.core.tensor import get_keras_mask, set_keras_mask

# With many divisors: halves, quarters and patches of them are whole. A window may need large ones,
# a table of 20 places small ones.
_SIZES = ((96, 144), (12, 18), (4, 6))
_BY_NONE = (TypeError, ValueError, AttributeError)  # what arithmetic with None raises


def outputs_of(layer, args, kwargs):
    """What `layer.call` gives for placeholders, also where it computes with unknown sizes."""
    try:
        return layer.call(*args, **kwargs)
    except _BY_NONE:
        if not _has_unknown((args, kwargs)) or _keeps_states(layer):
            raise
        for sizes in _SIZES:
            try:
                runs = [_call_at(layer, size, args, kwargs) for size in sizes]
                return tree.map_structure(_common, *runs)
            except Exception:  # noqa: BLE001 - not for want of a size: the first error says why
                continue
        raise


def _has_unknown(arguments):
    leaves = tree.flatten(arguments)
    return any(isinstance(leaf, KerasTensor) and None in leaf.shape for leaf in leaves)


def _keeps_states(layer):
    """Whether a layer would keep a state for each row of a batch: of how many is not known."""
    return any(getattr(one, "stateful", False) for one in layer._flatten_layers())


def _call_at(layer, size, args, kwargs):
    args, kwargs = tree.map_structure(lambda leaf: _filled(leaf, size), (list(args), kwargs))
    return layer.call(*args, **kwargs)


def _filled(leaf, size):
    if not isinstance(leaf, KerasTensor):
        return leaf
    shape = tuple(size if given is None else given for given in leaf.shape)
    filled = KerasTensor(shape, leaf.dtype, record_history=False)
    if (mask := get_keras_mask(leaf)) is not None:
        set_keras_mask(filled, _filled(mask, size))
    return filled


def _common(one, other):
    shape = getattr(one, "shape", None)
    if shape is None:
        return one
    if len(shape) != len(other.shape):
        raise ValueError("a result's number of axes depends on a size")
    sizes = (a if a == b else None for a, b in zip(shape, other.shape, strict=True))
    result = KerasTensor(tuple(sizes), one.dtype, record_history=False)
    masks = get_keras_mask(one), get_keras_mask(other)
    if masks[0] is not None and masks[1] is not None:
        set_keras_mask(result, _common(*masks))
    return result
