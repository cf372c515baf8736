"""Convolutions."""

from kerasmirror.layers.convolutional import conv  # noqa: F401
