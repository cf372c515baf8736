"""The affine map behind the Dense layer."""

from __future__ import annotations

import math

import numpy as np

from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.ops.nn.precision import narrowed, widened


def _affine_spec(x, w, bias, *, activation="linear"):
    if x.shape[-1] is not None and x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"affine: `inputs` must have {w.shape[0]} values on the last axis. "
            f"Received: inputs.shape={tuple(x.shape)}, kernel.shape={tuple(w.shape)}"
        )
    return (*x.shape[:-1], w.shape[1]), x.dtype


@primitive("affine", spec=_affine_spec)
def affine(k, x, w, bias, *, activation="linear"):
    """`activation(x @ w + bias)`, activation "linear" or "relu", bias or None, in one pass.

    Shapes: x (..., K) of at least two axes, w (K, N), bias (N,), result (..., N).
    The result has x's dtype, the gradients of w and bias have w's: half-precision inputs may meet
    float32 weights.
    """
    if x.shape[-1] != w.shape[0]:
        _affine_spec(x, w, bias)
    assert bias is None or bias.shape == w.shape[1:]  # the kernel would read past its end
    dtype, w_dtype, lead = x.dtype, w.dtype, x.shape[:-1]
    x, w, bias = widened(x, w, bias)
    rows = x if x.ndim == 2 else x.reshape(-1, w.shape[0])
    y = k.dense(rows, w, bias, activation)

    def backward(dy, needs):
        dy = widened(dy)[0].reshape(y.shape)
        dx = dw = db = None
        if activation == "relu":
            dy = k.relu_grad(dy, y)
        # With y = x w + b: dx = dy w^T, dw = x^T dy, db = sum of dy's rows.
        if needs[0]:
            dx = narrowed(k.dense_grad_input(dy, w).reshape(x.shape), dtype)
        if needs[1] and needs[2]:
            dw, db = (narrowed(d, w_dtype) for d in k.dense_grad_kernel_bias(rows, dy))
        elif needs[1]:
            dw = narrowed(k.dense_grad_kernel(rows, dy), w_dtype)
        elif needs[2]:
            db = narrowed(k.bias_grad(dy), w_dtype)
        return dx, dw, db

    return narrowed(y if len(lead) == 1 else y.reshape(*lead, w.shape[1]), dtype), backward


@affine.forward
def _affine_tangent(k, inputs, changes, y, *, activation="linear"):
    return windowed_tangent(affine.rule, k, inputs, changes, y, activation)


def windowed_tangent(rule, k, inputs, changes, y, activation, channels_first=False, **options):
    """The tangent of `activation(x * w + bias)`, `*` the bilinear `rule` (a product or a conv)."""
    (x, w, _), (dx, dw, db) = inputs, changes
    dy = None
    for a, b in ((dx, w), (x, dw)):
        if a is not None and b is not None:
            dy = tangents.plus(dy, rule(k, a, b, None, activation="linear", **options)[0])
    if db is not None:
        if channels_first:
            db = db.reshape(-1, *[1] * (y.ndim - 2))
        dy = tangents.plus(dy, np.broadcast_to(db, y.shape))
    return np.where(y > 0, dy, 0) if activation == "relu" else dy


def _over_spec(x, w, bias, *, summed, activation="linear"):
    lead, inner = tuple(x.shape[:-summed]), tuple(x.shape[-summed:])
    if any(a not in (None, b) for a, b in zip(inner, w.shape[:summed], strict=True)):
        raise ValueError(
            f"affine_over: `inputs` must end in the kernel's first axes, {w.shape[:summed]}. "
            f"Received: inputs.shape={tuple(x.shape)}, kernel.shape={tuple(w.shape)}"
        )
    return (*lead, *w.shape[summed:]), x.dtype


@primitive("affine_over", spec=_over_spec)
def affine_over(k, x, w, bias, *, summed, activation="linear"):
    """`affine` that sums over several axes: the last `summed` of x, the first of w.

    Shapes: x (*P, *S), w (*S, *F), bias (*F) or None, result (*P, *F).
    """
    shape, _ = _over_spec(x, w, bias, summed=summed)
    x_shape, w_shape = x.shape, w.shape
    inner = math.prod(w_shape[:summed])
    rows, matrix = x.reshape(-1, inner), w.reshape(inner, -1)
    flat = None if bias is None else bias.reshape(-1)
    y, backward = affine.rule(k, rows, matrix, flat, activation=activation)

    def restored(dy, needs):
        dx, dw, db = backward(dy.reshape(y.shape), needs)
        return (
            None if dx is None else dx.reshape(x_shape),
            None if dw is None else dw.reshape(w_shape),
            None if db is None else db.reshape(w_shape[summed:]),
        )

    return y.reshape(shape), restored


@affine_over.forward
def _affine_over_tangent(k, inputs, changes, y, *, summed, activation="linear"):
    def run(*args, **options):
        return affine_over.rule(*args, summed=summed, **options)

    return windowed_tangent(run, k, inputs, changes, y, activation)
