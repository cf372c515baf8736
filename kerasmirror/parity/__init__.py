"""The same model in kerasmirror and in real Keras, side by side.

Real Keras runs on TensorFlow in a child process, so this process never imports it.
`compare_model(build, x, y, loss)` is the way in; `python -m kerasmirror.parity FILE:FUNCTION` the
same by hand.
"""

from kerasmirror.parity.compare import compare_model
from kerasmirror.parity.peer import RealKeras
from kerasmirror.parity.report import Report

__all__ = ["RealKeras", "Report", "compare_model"]
