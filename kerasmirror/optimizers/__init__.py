"""Optimizers and learning-rate schedules."""

from kerasmirror.optimizers import (  # noqa: F401 - loading them registers their public names
    adadelta,
    adafactor,
    adagrad,
    adam,
    ftrl,
    lamb,
    lion,
    lookup,
    loss_scale,
    multi,
    muon,
    optimizer,
    rmsprop,
    schedule_free,
    schedules,
    sgd,
)
