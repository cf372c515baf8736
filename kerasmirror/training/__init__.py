"""compile, fit, evaluate, predict: from data to updated weights."""

from kerasmirror.training import compile, epoch_iterator, trainer  # noqa: A004, F401
