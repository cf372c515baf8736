"""The same model in kerasmirror and in real Keras, side by side.

Real Keras runs in a child process, so this process never imports it. `compare(build)` is the way
in, `assert_parity(build)` the same for tests (fixtures: kerasmirror.parity.pytest_plugin), and
`python -m kerasmirror parity TARGET` by hand.
"""

from kerasmirror.parity.compare import TOLERANCES, assert_parity, compare
from kerasmirror.parity.peer import Peer, PeerError, RealKeras
from kerasmirror.parity.report import Report

__all__ = [
    "TOLERANCES",
    "Peer",
    "PeerError",
    "RealKeras",
    "Report",
    "assert_parity",
    "compare",
]
