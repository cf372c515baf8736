"""Layers that prepare data."""

from kerasmirror.layers.preprocessing import numeric  # noqa: F401
