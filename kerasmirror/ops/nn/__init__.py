"""Operations of neural networks: `keras.ops.nn`."""

from kerasmirror.ops.nn import (  # noqa: F401 - loading them registers their public names
    activation,
    attention,
    conv,
    conv_algorithm,
    ctc,
    dense,
    encoding,
    fold,
    loss,
    normalization,
    pool,
)
