"""Differentiation: a tape of primitives backwards, tangents forwards.

Each primitive has its gradient beside its formula.
"""

from kerasmirror.autodiff import (  # noqa: F401 - loading them registers their public names
    custom_gradient,
    drawing,
    forward,
    functional,
    gradcheck,
    primitive,
    remat,
    tape,
    without_gradient,
)
