"""Convolutions."""

from kerasmirror.layers.convolutional import (  # noqa: F401 - loading them registers their names
    conv,
    depthwise,
    separable,
    transpose,
)
