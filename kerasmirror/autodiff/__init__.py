"""Reverse-mode differentiation: a tape of primitives, each with its gradient beside its formula."""

from kerasmirror.autodiff import (  # noqa: F401 - loading them registers their public names
    custom_gradient,
    drawing,
    gradcheck,
    primitive,
    remat,
    tape,
)
