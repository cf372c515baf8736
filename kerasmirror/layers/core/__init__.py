"""Dense, Input and the like."""

from kerasmirror.layers.core import dense, input_layer  # noqa: F401
