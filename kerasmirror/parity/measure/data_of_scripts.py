"""The data that a script trains on: arrays, or what a dataset's first batches give."""

import numpy as np

from .nests import map_named, map_nest, named

_EXPECTED = (
    "parity: a script must call `fit` with inputs and targets, arrays or lists or dicts of them, "
    "or with a dataset of batches of these, with sample weights or without. Received: "
)


def first_samples(fitted, samples):
    """(x, y, sample weights) of the arguments of a `fit`, as nests of arrays.

    Raises: ValueError for arguments of another kind, for class weights.
    """
    if fitted.get("class_weight") is not None:
        raise ValueError(
            "parity: a script's `fit` must say with `sample_weight` what it weighs. "
            "Received: class_weight"
        )
    x, y, weights = (fitted.get(name) for name in ("x", "y", "sample_weight"))
    try:
        if y is None and not isinstance(x, (np.ndarray, dict, list)):
            x, y, weights = _of_dataset(x, samples)
        found = [
            map_nest(lambda part: np.asarray(part)[:samples], nest) for nest in (x, y, weights)
        ]
    except (ValueError, TypeError, IndexError) as error:  # unequal parts, or nothing with rows
        raise ValueError(f"{_EXPECTED}something else ({error})") from None
    if found[0] is None or found[1] is None:
        missing = "no targets" if found[1] is None else "no inputs"
        raise ValueError(_EXPECTED + missing)
    if any(array.dtype.kind == "O" for nest in found for _, array in named(nest)):
        raise ValueError(_EXPECTED + "something else")
    return tuple(found)


def _of_dataset(batches, samples):
    """(x, y, weights) of as many batches as have `samples` samples."""
    parts, count = [], 0
    if not hasattr(batches, "__iter__"):
        batches = map(batches.__getitem__, range(len(batches)))
    for batch in batches:
        if not isinstance(batch, (list, tuple)) or not 2 <= len(batch) <= 3:
            raise ValueError("batches that are no pairs or triples")
        parts.append([map_nest(np.asarray, part) for part in batch])
        count += len(named(parts[-1][0])[0][1])
        if samples is not None and count >= samples:
            break
    if not parts:
        raise ValueError("no batches")
    found = [_joined(nests) for nests in zip(*parts, strict=True)]
    return (*found, None)[:3]


def _joined(nests):
    arrays = [dict(named(nest)) for nest in nests]
    return map_named(lambda name, _: np.concatenate([one[name] for one in arrays]), nests[0])
