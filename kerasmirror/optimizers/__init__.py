"""Optimizers and learning-rate schedules."""

from kerasmirror.optimizers import (  # noqa: F401 - loading them registers their public names
    adadelta,
    adagrad,
    adam,
    ftrl,
    lamb,
    lion,
    lookup,
    optimizer,
    rmsprop,
    schedules,
    sgd,
)
