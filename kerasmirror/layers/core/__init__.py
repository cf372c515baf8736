"""Layers that models are made of: inputs, products with weights, embeddings, functions."""

from kerasmirror.layers.core import (  # noqa: F401 - loading them registers their public names
    dense,
    einsum_dense,
    embedding,
    identity,
    input_layer,
    lambda_layer,
    masking,
    reversible_embedding,
    wrapper,
)
