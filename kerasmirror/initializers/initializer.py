"""Initializer: what gives a new weight its first values."""

from __future__ import annotations

from kerasmirror._export import export


@export("initializers.Initializer", "Initializer")
class Initializer:
    """Base class: a subclass defines `__call__(shape, dtype=None)`, `get_config()` if needed."""

    def __call__(self, shape, dtype=None):
        raise NotImplementedError("Initializer subclasses must implement the `__call__()` method.")

    def get_config(self):
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)

    def clone(self):
        """A twin from the same config; without a seed in it, one that draws other values."""
        return type(self).from_config(self.get_config())
