"""Experiment: all that an experiment's result depends on, and the id that follows from it."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from kerasmirror._export import lookup
from kerasmirror.core import checks
from kerasmirror.experiments import data as data_sets
from kerasmirror.experiments import networks

_OWNER = "Experiment"
_ID_LENGTH = 12  # hexadecimal digits: 48 bits, no two of a million experiments share one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """A network, its data and its training.

    Attributes: `structure`, a string (networks.py); `data`, "olivetti", "mnist", "cifar10" or
    "made"; `split`, the number of Olivetti's division into training and test data (0 to 9), else 0;
    `samples`, how many training images are used (0: all); `epochs`; `batch_size`; `optimizer`, a
    name, with `learning_rate` and further `optimizer_options`; `initializer`, a name for all
    layers or None; `l1`, `l2`; `seed`.
    Raises: ValueError (StructureError for the structure) for values that make no experiment.
    """

    structure: str
    data: str
    split: int = 0
    samples: int = 0
    epochs: int = 5
    batch_size: int = 128
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    optimizer_options: dict = dataclasses.field(default_factory=dict)
    initializer: str | None = None
    l1: float = 0.0
    l2: float = 0.0
    seed: int = 1

    def __post_init__(self):
        object.__setattr__(self, "structure", networks.canonical(self.structure))
        if self.data not in data_sets.INPUT_SHAPES:
            checks.fail(_OWNER, "data", f"one of {', '.join(data_sets.INPUT_SHAPES)}", self.data)
        for name in ("epochs", "batch_size"):
            checks.count(getattr(self, name), name, owner=_OWNER)
        for name in ("samples", "seed", "split"):
            checks.count(getattr(self, name), name, owner=_OWNER, minimum=0)
        if self.split >= data_sets.splits_of(self.data):
            checks.fail(
                _OWNER,
                "split",
                f"below {data_sets.splits_of(self.data)} for {self.data}",
                self.split,
            )
        for name in ("learning_rate", "l1", "l2"):
            value, expected = getattr(self, name), "a number of at least 0"
            checks.real_in(value, 0, None, name, owner=_OWNER, expected=expected)
            object.__setattr__(self, name, float(value))
        try:
            lookup("optimizers.get")(self.optimizer)
        except ValueError:
            checks.fail(_OWNER, "optimizer", "the name of an optimizer", self.optimizer)
        if self.initializer is not None:
            try:
                lookup("initializers.get")(self.initializer)
            except ValueError:
                checks.fail(_OWNER, "initializer", "the name of an initializer", self.initializer)

    @property
    def id(self):
        """The first digits of the SHA-256 of the description: equal experiments have equal ids."""
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_ID_LENGTH]

    @property
    def input_shape(self):
        return data_sets.INPUT_SHAPES[self.data]

    def as_dict(self):
        """The description as plain data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values):
        """The experiment of `as_dict`. Raises: ValueError for other names than an experiment's."""
        known = {field.name for field in dataclasses.fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            checks.fail(_OWNER, "values", f"about {', '.join(sorted(known))}", unknown)
        return cls(**values)

    def settings(self):
        """What networks.train needs to know, as plain data."""
        return {**self.as_dict(), "input_shape": list(self.input_shape)}
