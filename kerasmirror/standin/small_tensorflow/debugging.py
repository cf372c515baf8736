"""`tf.debugging`: assertions about tensors; a ValueError where TensorFlow has its own type."""

from __future__ import annotations

import numpy as np

from kerasmirror import ops


def _assertion(name, holds):
    def check(x, y, message=None, summarize=None, name=None):
        if not np.all(holds(np.asarray(x), np.asarray(y))):
            raise ValueError(f"{title}: {message or 'the condition does not hold'}. {x!r}, {y!r}")

    title = f"tf.debugging.assert_{name}"
    check.__name__ = check.__qualname__ = f"assert_{name}"
    return check


assert_equal = _assertion("equal", np.equal)
assert_none_equal = _assertion("none_equal", np.not_equal)
assert_less = _assertion("less", np.less)
assert_less_equal = _assertion("less_equal", np.less_equal)
assert_greater = _assertion("greater", np.greater)
assert_greater_equal = _assertion("greater_equal", np.greater_equal)
assert_near = _assertion("near", lambda x, y: np.isclose(x, y, 1e-6, 1e-6))


def Assert(condition, data, summarize=None, name=None):  # noqa: N802 - TensorFlow's name
    if not np.all(np.asarray(condition)):
        raise ValueError(f"tf.debugging.Assert: the condition does not hold. {data}")


def check_numerics(tensor, message, name=None):
    """The tensor, which must hold neither NaN nor an infinite number."""
    tensor = ops.convert_to_tensor(tensor)
    if not np.isfinite(np.asarray(tensor)).all():
        raise ValueError(f"tf.debugging.check_numerics: {message}: the tensor has NaN or Inf.")
    return tensor


def assert_all_finite(x, message, name=None):
    return check_numerics(x, message)


def assert_non_negative(x, message=None, summarize=None, name=None):
    assert_greater_equal(x, 0, message)


def assert_positive(x, message=None, summarize=None, name=None):
    assert_greater(x, 0, message)
