"""Layers over sequences, step by step."""

from kerasmirror.layers.rnn import (  # noqa: F401 - loading them registers their public names
    bidirectional,
    gru,
    lstm,
    rnn,
    simple_rnn,
    stacked_cells,
    time_distributed,
)
