"""Metrics: what is measured over the batches of an epoch."""

from kerasmirror.metrics import (  # noqa: F401 - loading them registers their public names
    accuracy,
    auc,
    confusion,
    correlation,
    f_score,
    hinge,
    iou,
    lookup,
    metric,
    probabilistic,
    reduction,
    regression,
)
