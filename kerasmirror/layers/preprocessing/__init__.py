"""Layers that prepare data."""

from kerasmirror.layers.preprocessing import bounding_boxes, numeric  # noqa: F401
