"""Layers: weights and one call each."""

from kerasmirror.layers import (  # noqa: F401 - loading them registers their public names
    activation,
    adaptive_pooling,
    attention,
    convolutional,
    core,
    global_pooling,
    input_spec,
    layer,
    lookup,
    margins,
    merging,
    normalization,
    pooling,
    preprocessing,
    regularization,
    reshaping,
    rnn,
    upsampling,
)
