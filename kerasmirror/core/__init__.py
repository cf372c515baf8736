"""Tensors, variables, names, dtypes, configuration, serialization: what all else stands on."""

from kerasmirror.core import (  # noqa: F401 - loading them registers their public names
    config,
    device,
    dtype_policy,
    dtype_policy_map,
    dtypes,
    names,
    operation,
    quantized_policy,
    remat,
    scopes,
    serialization,
    stateless,
    symbolic,
    tensor,
    tracking,
    tree,
    variable,
)
