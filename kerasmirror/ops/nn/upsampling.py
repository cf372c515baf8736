"""Places of a tensor repeated along its axes: what UpSampling and RepeatVector do."""

from __future__ import annotations

from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive


def _repeated_spec(x, *, counts):
    sizes = [None if n is None else n * c for n, c in zip(x.shape, counts, strict=True)]
    return tuple(sizes), x.dtype


@primitive("repeat_places", spec=_repeated_spec, tangent=tangents.linear)
def repeat_places(k, x, *, counts):
    """Each place of axis i `counts[i]` times in a row."""
    axes = [axis for axis, count in enumerate(counts) if count != 1]

    def backward(dy, needs):
        for axis in axes:
            dy = k.repeat_places_grad_input(dy, axis, counts[axis])
        return (dy,)

    y = x
    for axis in reversed(axes):  # the last axis first: the shorter rows are copied less often
        y = k.repeat_places(y, axis, counts[axis])
    return y, backward
