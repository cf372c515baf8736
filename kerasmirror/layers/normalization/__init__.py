"""Layers that normalize: by the batch, the sample, groups of channels, or a weight's norm."""

from kerasmirror.layers.normalization import batch, group, layer, spectral  # noqa: F401
