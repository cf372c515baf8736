"""Normalizations that learn: batch normalization."""

from kerasmirror.layers.normalization import batch  # noqa: F401
