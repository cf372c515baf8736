"""Activation functions of `keras.ops`: elementwise ones, gated ones, and the softmax family.

Formulas and derivatives stand in kernels/scalar.py. Whole numbers become `floatx` first, except
in `relu`. A NaN comes out as NaN, but for `threshold`.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core.device import contiguous
from kerasmirror.core.tensor import Tensor
from kerasmirror.kernels import scalar
from kerasmirror.ops import shapes
from kerasmirror.ops.elementwise import elementwise, unary
from kerasmirror.ops.nn.precision import narrowed, widened
from kerasmirror.ops.tensor import float_tensor, to_tensor


def _paths(*names):
    return [f"{prefix}.{name}" for name in names for prefix in ("ops", "ops.nn")]


# --- without parameters ---------------------------------------------------------------------


@export(*_paths("relu"))
def relu(x):
    """`max(x, 0)`, of x's dtype. Source: Keras 3.15 `keras.ops.relu`."""
    return _relu(x if type(x) is Tensor else to_tensor(x))


@primitive("relu", spec=shapes.same, tangent=tangents.diagonal)
def _relu(k, x):
    if x.dtype.kind == "c":
        raise TypeError(f"ops.relu: `x` must be real. Received: x.dtype={x.dtype}")
    if x.dtype.kind in "iub":
        return np.maximum(x, x.dtype.type(0)), None
    dtype = x.dtype
    y = k.relu(*widened(x))

    def backward(dy, needs):
        return (narrowed(k.relu_grad(*widened(dy), y), dtype),)

    return narrowed(y, dtype), backward


relu6 = unary(
    "relu6",
    scalar.relu6,
    scalar.relu6_grad,
    doc="`min(max(x, 0), 6)`. Source: Keras 3.15 `keras.ops.relu6`.",
    paths=_paths("relu6"),
)
sparse_sigmoid = unary(
    "sparse_sigmoid",
    scalar.sparse_sigmoid,
    scalar.sparse_sigmoid_grad,
    doc="`min(max((x + 1) / 2, 0), 1)`. Source: Keras 3.15 `keras.ops.sparse_sigmoid`.",
    paths=_paths("sparse_sigmoid"),
)
silu = unary(
    "silu",
    scalar.silu,
    scalar.silu_grad,
    doc="`x * sigmoid(x)`. Source: https://arxiv.org/abs/1702.03118.",
    paths=_paths("silu", "swish"),
)
log_sigmoid = unary(
    "log_sigmoid",
    scalar.log_sigmoid,
    scalar.log_sigmoid_grad,
    doc="`log(sigmoid(x))`, without overflow. Source: Keras 3.15 `keras.ops.log_sigmoid`.",
    paths=_paths("log_sigmoid"),
)
hard_sigmoid = unary(
    "hard_sigmoid",
    scalar.hard_sigmoid,
    scalar.hard_sigmoid_grad,
    doc="`min(max(x + 3, 0), 6) / 6`. Source: Keras 3.15 `keras.ops.hard_sigmoid`.",
    paths=_paths("hard_sigmoid"),
)
hard_silu = unary(
    "hard_silu",
    scalar.hard_silu,
    scalar.hard_silu_grad,
    doc="`x * hard_sigmoid(x)`. Source: https://arxiv.org/abs/1905.02244, Section 5.2.",
    paths=_paths("hard_silu", "hard_swish"),
)
hard_tanh = unary(
    "hard_tanh",
    scalar.hard_tanh,
    scalar.hard_tanh_grad,
    doc="`min(max(x, -1), 1)`. Source: Keras 3.15 `keras.ops.hard_tanh`.",
    paths=_paths("hard_tanh"),
)
tanh_shrink = unary(
    "tanh_shrink",
    scalar.tanh_shrink,
    scalar.tanh_shrink_grad,
    doc="`x - tanh(x)`. Source: Keras 3.15 `keras.ops.tanh_shrink`.",
    paths=_paths("tanh_shrink"),
)
selu = unary(
    "selu",
    scalar.selu,
    scalar.selu_grad,
    doc="`1.0507 * elu(x, 1.67326)`. Source: https://arxiv.org/abs/1706.02515, Equation 2.",
    paths=_paths("selu"),
)
softplus = unary(
    "softplus",
    scalar.softplus,
    scalar.softplus_grad,
    doc="`log(1 + e^x)`, without overflow. Source: Keras 3.15 `keras.ops.softplus`.",
    paths=_paths("softplus"),
)
softsign = unary(
    "softsign",
    scalar.softsign,
    scalar.softsign_grad,
    doc="`x / (1 + |x|)`. Source: Keras 3.15 `keras.ops.softsign`.",
    paths=_paths("softsign"),
)
sparse_plus = unary(
    "sparse_plus",
    scalar.sparse_plus,
    scalar.sparse_plus_grad,
    doc="0 up to -1, `(x + 1)^2 / 4` up to 1, then x. Source: Keras 3.15 `keras.ops.sparse_plus`.",
    paths=_paths("sparse_plus"),
)

_sigmoid = elementwise("sigmoid", scalar.sigmoid, grad_from_output=scalar.sigmoid_grad_from_output)


@export(*_paths("sigmoid"))
def sigmoid(x):
    """`1 / (1 + e^-x)`; the result's `logits` is x, for `binary_crossentropy`.

    Source: Keras 3.15 `keras.ops.sigmoid`.
    """
    x = float_tensor(x)
    return with_logits(_sigmoid(x), x)


def with_logits(y, logits):
    """`y`, carrying what it was computed from, so that a cross-entropy need not take its log."""
    if type(y) is Tensor:
        y.logits = logits
    return y


# --- with parameters ------------------------------------------------------------------------

_leaky_relu = elementwise("leaky_relu", scalar.leaky_relu, scalar.leaky_relu_grad)
_hard_shrink = elementwise("hard_shrink", scalar.hard_shrink, scalar.hard_shrink_grad)
_soft_shrink = elementwise("soft_shrink", scalar.soft_shrink, scalar.soft_shrink_grad)
_threshold = elementwise("threshold", scalar.threshold, scalar.threshold_grad)
_elu = elementwise("elu", scalar.elu, scalar.elu_grad)
_celu = elementwise("celu", scalar.celu, scalar.celu_grad)
_squareplus = elementwise("squareplus", scalar.squareplus, scalar.squareplus_grad)
_gelu = elementwise("gelu", scalar.gelu, scalar.gelu_grad)
_gelu_approximate = elementwise(
    "gelu_approximate", scalar.gelu_approximate, scalar.gelu_approximate_grad
)


@export(*_paths("leaky_relu"))
def leaky_relu(x, negative_slope=0.2):
    """x, or `negative_slope * x` where x < 0. Source: Keras 3.15 `keras.ops.leaky_relu`."""
    return _leaky_relu(float_tensor(x), negative_slope=float(negative_slope))


@export(*_paths("hard_shrink"))
def hard_shrink(x, threshold=0.5):
    """x where `|x| > threshold`, else 0. Source: Keras 3.15 `keras.ops.hard_shrink`."""
    return _hard_shrink(float_tensor(x), threshold=float(threshold))


@export(*_paths("soft_shrink"))
def soft_shrink(x, threshold=0.5):
    """`sign(x) * max(|x| - threshold, 0)`. Source: Keras 3.15 `keras.ops.soft_shrink`."""
    return _soft_shrink(float_tensor(x), threshold=float(threshold))


@export(*_paths("threshold"))
def threshold(x, threshold, default_value):
    """x where `x > threshold`, else `default_value`. Source: Keras 3.15 `keras.ops.threshold`."""
    return _threshold(
        float_tensor(x), threshold=float(threshold), default_value=float(default_value)
    )


@export(*_paths("elu"))
def elu(x, alpha=1.0):
    """x where x > 0, else `alpha * (e^x - 1)`. Source: https://arxiv.org/abs/1511.07289."""
    return _elu(float_tensor(x), alpha=float(alpha))


@export(*_paths("celu"))
def celu(x, alpha=1.0):
    """`max(x, 0) + alpha * (e^(min(x, 0) / alpha) - 1)`. Source: https://arxiv.org/abs/1704.07483."""
    return _celu(float_tensor(x), alpha=float(alpha))


@export(*_paths("squareplus"))
def squareplus(x, b=4):
    """`(x + sqrt(x^2 + b)) / 2`. Source: https://arxiv.org/abs/2112.11687."""
    return _squareplus(float_tensor(x), b=float(b))


@export(*_paths("gelu"))
def gelu(x, approximate=True):
    """`x * P(N(0, 1) <= x)`, by tanh where `approximate`, else by erf.

    Source: https://arxiv.org/abs/1606.08415, Section 2.
    """
    return (_gelu_approximate if approximate else _gelu)(float_tensor(x))


# --- gated ----------------------------------------------------------------------------------


@export(*_paths("glu"))
def glu(x, axis=-1):
    """`a * sigmoid(b)`, a and b the two halves of x along `axis`.

    Raises: ValueError when the axis has an odd size.
    Source: https://arxiv.org/abs/1612.08083, Equation 1.
    """
    x = float_tensor(x)
    axis = shapes.canonical_axis(axis, len(x.shape), "ops.glu")
    if x.shape[axis] is not None and x.shape[axis] % 2:
        raise ValueError(
            f"ops.glu: `x` must have an even size along the axis. "
            f"Received: x.shape={tuple(x.shape)}, axis={axis}"
        )
    return _glu(x, axis=axis)


def _glu_spec(x, *, axis):
    size = x.shape[axis]
    half = None if size is None else size // 2
    return (*x.shape[:axis], half, *x.shape[axis + 1 :]), x.dtype


@primitive("glu", spec=_glu_spec)
def _glu(k, x, *, axis):
    a, b = k.split(x, [x.shape[axis] // 2] * 2, axis)
    s = k.map_scalar(scalar.sigmoid, b)

    def backward(dy, needs):
        da = k.map_scalar(scalar.multiply, dy, s)
        ds = k.map_scalar(scalar.multiply, dy, a)
        return (k.concatenate([da, k.map_scalar(scalar.sigmoid_grad_from_output, s, ds)], axis),)

    return k.map_scalar(scalar.multiply, a, s), backward


@_glu.forward
def _glu_tangent(k, inputs, changes, y, *, axis):
    (a, b), (da, db) = (np.split(part, 2, axis=axis) for part in (inputs[0], changes[0]))
    s = k.map_scalar(scalar.sigmoid, contiguous(b))
    return da * s + a * k.map_scalar(scalar.sigmoid_grad_from_output, s, db)


# --- softmax family -------------------------------------------------------------------------


@export(*_paths("softmax"))
def softmax(x, axis=-1):
    """`e^x / sum(e^x)` along `axis`: an int, a tuple of ints, or None for all axes together.

    For an int or None the result's `logits` is x, for the cross-entropies. A softmax over an axis
    of size 1, which is always 1, warns.
    Source: Keras 3.15 `keras.ops.softmax`.
    """
    x = float_tensor(x)
    rank = len(x.shape)
    if isinstance(axis, int) and -rank <= axis < rank and x.shape[axis] == 1:
        warnings.warn(
            f"You are using a softmax over axis {axis} of a tensor of shape {tuple(x.shape)}. This "
            "axis has size 1. The softmax operation will always return the value 1, which is "
            "likely not what you intended. Did you mean to use a sigmoid instead?",
            stacklevel=2,
        )
    if axis == -1 and rank:
        return with_logits(_softmax(x, axes=(rank - 1,)), x)
    y = _softmax(x, axes=shapes.canonical_axes(axis, rank, "ops.softmax"))
    return y if isinstance(axis, (tuple, list)) else with_logits(y, x)


@export(*_paths("log_softmax"))
def log_softmax(x, axis=-1):
    """`x - log(sum(e^x))` along `axis`: an int, a tuple of ints, or None for all axes together.

    Source: Keras 3.15 `keras.ops.log_softmax`.
    """
    x = float_tensor(x)
    return _log_softmax(x, axes=shapes.canonical_axes(axis, len(x.shape), "ops.log_softmax"))


@export(*_paths("sparsemax"))
def sparsemax(x, axis=-1):
    """`max(x - tau, 0)` along `axis`, with tau as Keras 3.15 computes it.

    With z sorted downwards and S the k first of them for which `1 + i z_i > z_1 + ... + z_i`, the
    paper's tau is `(sum of z over S - 1) / k`; Keras sums `z_1 + ... + z_i` over S instead, which
    is the same for k = 1 alone, and so does this function: the two agree, and results add up to 1
    only there.
    Source: https://arxiv.org/abs/1602.02068, Algorithm 1; Keras 3.15 `keras.ops.sparsemax`.
    """
    x = float_tensor(x)
    return _sparsemax(x, axis=shapes.canonical_axis(axis, len(x.shape), "ops.sparsemax"))


def _to_rows(k, x, axes):
    """`x` with the axes last and as one; as it is where the last one is meant."""
    rank = x.ndim
    if axes == (rank - 1,):
        return x
    if axes != tuple(range(rank - len(axes), rank)):
        x = k.transpose(x, (*(i for i in range(rank) if i not in axes), *axes))
    return x.reshape(-1, math.prod(x.shape[rank - len(axes) :]))


def _from_rows(k, y, shape, axes):
    rank = len(shape)
    if axes == (rank - 1,):
        return y
    order = (*(i for i in range(rank) if i not in axes), *axes)
    y = y.reshape([shape[i] for i in order])
    return y if order == tuple(range(rank)) else k.transpose(y, np.argsort(order))


def _row_wise(name, forward, grad):
    """A primitive over rows: `forward(k, x)`, and `grad(k, dy, y)` from its result."""

    @primitive(name, spec=shapes.same, tangent=tangents.symmetric)
    def rule(k, x, *, axes):
        shape, dtype = x.shape, x.dtype
        if axes == (x.ndim - 1,) and dtype.kind == "f" and dtype.itemsize > 2:
            y = forward(k, x)
            return y, lambda dy, needs: (grad(k, dy, y),)
        y = forward(k, _to_rows(k, *widened(x), axes))

        def backward(dy, needs):
            dx = grad(k, _to_rows(k, *widened(dy), axes), y)
            return (narrowed(_from_rows(k, dx, shape, axes), dtype),)

        return narrowed(_from_rows(k, y, shape, axes), dtype), backward

    return rule


_softmax = _row_wise("softmax", lambda k, x: k.softmax(x), lambda k, dy, y: k.softmax_grad(dy, y))
_log_softmax = _row_wise(
    "log_softmax", lambda k, x: k.log_softmax(x), lambda k, dy, y: k.log_softmax_grad(dy, y)
)


@_log_softmax.forward
def _log_softmax_tangent(k, inputs, changes, y, *, axes):
    # log(softmax(x)) = x - log(sum(e^x)), whose derivative is the softmax
    (dx,) = changes
    return dx - np.sum(np.exp(y) * dx, axes, keepdims=True)


def _supports(x):
    """The threshold of each row, how its values are sorted, and what each one counts for in it."""
    order = np.argsort(-x, axis=-1, kind="stable")
    z = np.take_along_axis(x, order, -1)
    sums = np.cumsum(z, axis=-1)
    positions = np.arange(1, x.shape[-1] + 1, dtype=x.dtype)
    support = z - (sums - 1) / positions > 0
    count = support.sum(axis=-1, keepdims=True).astype(x.dtype)
    tau = (np.where(support, sums, 0).sum(axis=-1, keepdims=True) - 1) / count
    # z_i stands in the sums of places i to k of the support: k - i + 1 of them.
    share = np.where(support, (count - positions + 1) / count, 0).astype(x.dtype)
    return tau, order, share


@primitive("sparsemax", spec=shapes.same)
def _sparsemax(k, x, *, axis):
    shape, dtype = x.shape, x.dtype
    x = _to_rows(k, *widened(x), (axis,))
    tau, order, share = _supports(x)
    above = x - tau

    def backward(dy, needs):
        dy = np.where(above >= 0, _to_rows(k, *widened(dy), (axis,)), 0)
        dz = -dy.sum(axis=-1, keepdims=True) * share
        dx = dy.astype(x.dtype)
        np.put_along_axis(dx, order, np.take_along_axis(dx, order, -1) + dz, -1)
        return (narrowed(_from_rows(k, dx, shape, (axis,)), dtype),)

    y = np.maximum(above, 0)
    return narrowed(_from_rows(k, y, shape, (axis,)), dtype), backward


@_sparsemax.forward
def _sparsemax_tangent(k, inputs, changes, y, *, axis):
    x, dx = (_to_rows(k, *widened(part), (axis,)) for part in (inputs[0], changes[0]))
    tau, order, share = _supports(x)
    dtau = np.sum(share * np.take_along_axis(dx, order, -1), axis=-1, keepdims=True)
    return _from_rows(k, np.where(x - tau >= 0, dx - dtau, 0), y.shape, (axis,))
