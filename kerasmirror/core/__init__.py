"""Tensors, variables, names, dtypes, configuration, serialization: what all else stands on."""

from kerasmirror.core import (  # noqa: F401 - loading them registers their public names
    config,
    dtype_policy,
    dtypes,
    names,
    scopes,
    serialization,
    symbolic,
    tensor,
    tracking,
    tree,
    variable,
)
