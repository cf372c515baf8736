"""A batch's three parts, class weights, and the check that arrays are equally long."""

from __future__ import annotations

import numpy as np

from kerasmirror.core import checks, tree


def unpack(data):
    """(x, y, sample_weight) of a batch that is x, (x,), (x, y) or (x, y, sample_weight).

    Raises: ValueError for more parts.
    """
    if isinstance(data, list):
        data = tuple(data)
    if not isinstance(data, tuple):
        return data, None, None
    if len(data) > 3:
        raise ValueError(
            "keras: a batch must be `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)`. "
            f"Received: a tuple of {len(data)} parts"
        )
    return data + (None,) * (3 - len(data))


def pack(data, alone_in_tuple=False):
    """What a model's `train_step` gets of (x, y, sample_weight): without the None at the end.

    `x` alone is no tuple, unless the data came as `(x,)`, or x is a list, which could be (x, y).
    """
    x, y, sample_weight = data
    if sample_weight is not None:
        return data
    if y is not None:
        return x, y
    return (x,) if alone_in_tuple or isinstance(x, (list, tuple)) else x


def check_same_length(x, y, sample_weight):
    """The number of samples in every array.

    Raises: ValueError when the arrays differ in length, or there is none.
    """
    sizes = {}
    for name, part in (("x", x), ("y", y), ("sample_weight", sample_weight)):
        for leaf in tree.flatten(part):
            if leaf is not None:
                if not leaf.shape:
                    raise ValueError(
                        f"keras: `{name}` must have a first axis of samples. Received: a scalar"
                    )
                sizes.setdefault(name, []).append(leaf.shape[0])
    distinct = {size for group in sizes.values() for size in group}
    if len(distinct) != 1:
        described = ", ".join(f"{name}: {group}" for name, group in sizes.items())
        raise ValueError(
            "keras: all arrays must contain the same number of samples (data cardinality). "
            f"Received: lengths {described or 'of nothing'}"
        )
    return distinct.pop()


def class_weights_to_sample_weights(y, class_weight):
    """One weight per sample: that of its class, 1 where `class_weight` names none.

    `y` holds class numbers (n,) or (n, 1), or one row of scores per sample.
    """
    if not isinstance(class_weight, dict):
        checks.fail("keras", "class_weight", "a dict from class number to weight", class_weight)
    if y is None or tree.is_nested(y):
        raise ValueError(
            "keras: `class_weight` needs a single array `y` of classes. "
            f"Received: y of type {type(y)}"
        )
    y = np.asarray(y)
    if y.ndim > 1 and y.shape[-1] != 1:
        classes = np.argmax(y, axis=-1)
    else:
        classes = np.round(y.reshape(y.shape[0], -1)[:, 0] if y.ndim > 1 else y)
    classes = classes.astype("int32")
    weights = np.ones(classes.shape, "float32")
    for label, weight in class_weight.items():
        weights[classes == label] = weight
    return weights
