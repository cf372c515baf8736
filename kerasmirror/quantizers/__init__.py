"""Quantizers: numbers in few bits, and how a model gets there."""

from kerasmirror.quantizers import (  # noqa: F401 - loading them registers their public names
    abs_max,
    config,
    fake,
    float8,
    int4,
    lookup,
)
