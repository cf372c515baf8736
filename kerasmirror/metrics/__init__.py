"""Metrics: what is measured over the batches of an epoch."""

from kerasmirror.metrics import (  # noqa: F401 - loading them registers their public names
    accuracy,
    hinge,
    lookup,
    metric,
    probabilistic,
    reduction,
    regression,
)
