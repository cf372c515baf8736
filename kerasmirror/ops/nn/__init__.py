"""Operations of neural networks: `keras.ops.nn`."""

from kerasmirror.ops.nn import (  # noqa: F401 - loading them registers their public names
    activation,
    conv,
    dense,
    encoding,
    loss,
    normalization,
    pool,
)
