"""Task: what one comparison is about, and its data."""

from __future__ import annotations

import numpy as np

from kerasmirror.parity.measure.nests import map_nest, named
from kerasmirror.parity.targets import made_data, usual_loss

_PARTS = ("inputs", "targets", "sample weights")


class Task:
    """What is built, the data, and the settings of its training, the same for both sides."""

    def __init__(self, build, data, settings, seed):
        self.build, self.data, self.settings, self.seed = build, data, settings, seed
        self.same_draws = True

    @property
    def samples(self):
        return len(named(self.data[0])[0][1])

    def batch(self, size):
        """The first `size` samples."""
        return tuple(map_nest(lambda part: part[:size], nest) for nest in self.data)


def settings_of(known, loss, loss_weights, optimizer):
    """The settings for measure.building.compiled: what the user says, or the usual loss."""
    usual = None
    if loss is None and not known["compiled"] and known["outputs"] is not None:
        numbers, outputs = known["outputs"]
        usual = map_nest(lambda i: usual_loss(outputs[i]), numbers)
    elif loss is None and not known["compiled"]:
        usual = usual_loss(None)
    return {
        "loss": loss,
        "loss_weights": loss_weights,
        "optimizer": optimizer,
        "usual_loss": usual,
    }


def data_of(known, given, settings, samples, seed):
    """(x, y, sample weights) as nests of arrays: the given ones, a script's own, or made ones.

    Raises: ValueError for data that are no nests of arrays of as many rows.
    """
    data = given if given is not None else known["data"]
    if data is None:
        if known["inputs"] is None or known["outputs"] is None:
            raise ValueError(
                "compare: `data` must be given for a model that does not know the shapes of "
                "its inputs and outputs. Received: data=None"
            )
        data = made_data(known["inputs"], _with_losses(known["outputs"], settings), samples, seed)
    if not isinstance(data, (list, tuple)) or not 2 <= len(data) <= 3:
        raise ValueError(
            f"compare: `data` must be (x, y) or (x, y, sample_weight). Received: {_kind(data)}"
        )
    data = tuple(map_nest(np.asarray, part) for part in (*data, None)[:3])
    _check(data)
    return data


def _kind(data):
    return f"{type(data).__name__} of {len(data)}" if hasattr(data, "__len__") else repr(data)


def _check(data):
    rows = {}
    for title, nest in zip(_PARTS, data, strict=True):
        for name, array in named(nest):
            title_of_it = f"{title} {name}".strip()
            if array.dtype.kind == "O" or not array.ndim:
                raise ValueError(
                    "compare: `data` must be arrays with a row for each sample, or lists or dicts "
                    f"of them. Received: {title_of_it} of shape {array.shape}, {array.dtype}"
                )
            rows[title_of_it] = len(array)
    if not any(title.startswith(_PARTS[0]) for title in rows):
        raise ValueError("compare: `data` must have inputs. Received: none")
    if len(set(rows.values())) > 1:
        text = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise ValueError(f"compare: `data` must have equally many rows. Received: {text}")


def _with_losses(outputs, settings):
    """The outputs as described, each with the name of the loss that it will have."""
    numbers, leaves = outputs
    loss = settings["loss"] if settings["loss"] is not None else settings["usual_loss"]
    if loss is None:
        return outputs
    keys = {i: key for key, i in named(numbers)}
    leaves = [{**leaf, "loss": _loss_of(loss, i, keys[i], leaf)} for i, leaf in enumerate(leaves)]
    return numbers, leaves


def _loss_of(loss, place, key, output):
    if isinstance(loss, dict) and "class_name" not in loss:
        loss = loss.get(key, loss.get(output["name"]))
    elif isinstance(loss, (list, tuple)):
        loss = loss[place] if place < len(loss) else None
    return loss.get("class_name") if isinstance(loss, dict) else loss
