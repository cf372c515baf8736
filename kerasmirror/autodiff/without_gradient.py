"""The stated list of operations that nothing can be differentiated through."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.autodiff.primitive import PRIMITIVES
from kerasmirror.autodiff.tangents import WithoutGradient

# Functions that read values and are no primitives.
_FUNCTIONS = {
    "histogram": "counts come out",
    "nonzero": "whole numbers come out",
    "unique": "it chooses values by comparing them",
    "ctc_decode": "whole numbers come out, and scores of a search",
}


@export("autodiff.without_gradient")
def without_gradient():
    """Names of operations without a gradient, each with the reason.

    A gradient or tangent ends there: the tape gives None, `jvp` 0. But `eig` and `lu_factor`, whose
    gradients exist and are not computed here, raise NotImplementedError.
    """
    reasons = {
        p.name: p.tangent.reason for p in PRIMITIVES if isinstance(p.tangent, WithoutGradient)
    }
    return dict(sorted({**_FUNCTIONS, **reasons}.items()))
