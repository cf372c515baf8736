"""Losses: as functions of targets and predictions, and as classes that weigh and reduce."""

from kerasmirror.losses import (  # noqa: F401 - loading them registers their public names
    ctc,
    hinge,
    lookup,
    loss,
    probabilistic,
    regression,
    segmentation,
    similarity,
)
