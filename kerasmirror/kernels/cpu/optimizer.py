"""Update rules of optimizers on flat arrays, in place and in one pass over memory.

w weights, g gradients, m first and v second moments; all of one dtype, float32 or float64, and of
any shape so long as they are contiguous. Each rule rounds in the order of Keras 3.15's optimizer of
its name; factors that depend on the step alone (bias corrections) come from the caller.
"""

from __future__ import annotations

import math

import numpy as np

from . import threads
from .launch import kernel, launch

__all__ = [
    "adadelta_update",
    "adagrad_update",
    "adam_update",
    "adamax_update",
    "amsgrad_update",
    "axpy",
    "centered_rmsprop_momentum_update",
    "centered_rmsprop_update",
    "lerp",
    "lion_update",
    "momentum_update",
    "nadam_update",
    "rmsprop_momentum_update",
    "rmsprop_update",
    "scale",
    "sgd_update",
    "squared_norm",
]

# Loops that write more than three arrays run in two parts over stretches that stay in the cache:
# LLVM gives up on vector code when more than 8 pairs of arrays might overlap.
_STRETCH = 1024
_NORM_BLOCK = 4096


def sgd_update(w, g, lr):
    """W -= g lr."""
    _update(_sgd, (w, g), lr)


def momentum_update(w, g, m, lr, momentum, nesterov):
    """M = m momentum - g lr, then w += m, or with nesterov w += m momentum - g lr."""
    _update(_momentum, (w, g, m), lr, momentum, flag=nesterov)


def adam_update(w, g, m, v, step_size, beta_1, beta_2, epsilon):
    """M += (g - m)(1 - beta_1), v += (g^2 - v)(1 - beta_2), w -= m step_size / (sqrt(v) + epsilon).

    step_size is lr sqrt(1 - beta_2^t) / (1 - beta_1^t).
    """
    _update(_adam, (w, g, m, v), step_size, 1 - beta_1, 1 - beta_2, epsilon)


def amsgrad_update(w, g, m, v, v_max, step_size, beta_1, beta_2, epsilon):
    """As adam_update, with v_max = max(v_max, v) under the root. https://arxiv.org/abs/1904.09237."""
    _update(_amsgrad, (w, g, m, v, v_max), step_size, 1 - beta_1, 1 - beta_2, epsilon)


def adamax_update(w, g, m, u, step_size, beta_1, beta_2, epsilon):
    """M += (g - m)(1 - beta_1), u = max(beta_2 u, |g|), w -= m step_size / (u + epsilon).

    step_size is lr / (1 - beta_1^t).
    """
    _update(_adamax, (w, g, m, u), step_size, 1 - beta_1, beta_2, epsilon)


def nadam_update(w, g, m, v, lr, m_factor, g_factor, v_divisor, beta_1, beta_2, epsilon):
    """Moments as adam_update; w -= (m m_factor + g g_factor) lr / (sqrt(v / v_divisor) + epsilon).

    With Keras's u_t: m_factor is u_(t+1) / (1 - product of u up to t + 1), g_factor
    (1 - u_t) / (1 - product of u up to t) and v_divisor 1 - beta_2^t.
    """
    numbers = (lr, m_factor, g_factor, v_divisor, 1 - beta_1, 1 - beta_2, epsilon)
    _update(_nadam, (w, g, m, v), *numbers)


def adagrad_update(w, g, accumulator, lr, epsilon):
    """Accumulator += g^2, w -= lr g / sqrt(accumulator + epsilon)."""
    _update(_adagrad, (w, g, accumulator), lr, epsilon)


def adadelta_update(w, g, square, delta, lr, rho, epsilon):
    """Square and delta: means of g^2 and of d^2; d = -rms(delta) g / rms(square), w += lr d."""
    _update(_adadelta, (w, g, square, delta), lr, rho, 1 - rho, epsilon)


def rmsprop_update(w, g, v, lr, rho, epsilon):
    """V = rho v + (1 - rho) g^2, w -= lr g / sqrt(v + epsilon)."""
    _update(_rmsprop, (w, g, v), lr, rho, 1 - rho, epsilon)


def rmsprop_momentum_update(w, g, v, m, lr, rho, momentum, epsilon):
    """V as rmsprop_update, m = momentum m + lr g / sqrt(v + epsilon), w -= m."""
    _update(_rmsprop_momentum, (w, g, v, m), lr, rho, 1 - rho, momentum, epsilon)


def centered_rmsprop_update(w, g, v, average, lr, rho, epsilon):
    """As rmsprop_update, less the squared mean gradient: sqrt(v - average^2 + epsilon)."""
    _update(_centered_rmsprop, (w, g, v, average), lr, rho, 1 - rho, epsilon)


def centered_rmsprop_momentum_update(w, g, v, m, average, lr, rho, momentum, epsilon):
    """As rmsprop_momentum_update, with the root of centered_rmsprop_update."""
    _update(_centered_momentum, (w, g, v, m, average), lr, rho, 1 - rho, momentum, epsilon)


def lion_update(w, g, m, lr, beta_1, beta_2):
    """W -= lr sign(m beta_1 + g (1 - beta_1)), then m = m beta_2 + g (1 - beta_2)."""
    # Keras subtracts in the variable's dtype.
    one, beta_1, beta_2 = w.dtype.type(1), w.dtype.type(beta_1), w.dtype.type(beta_2)
    _update(_lion, (w, g, m), lr, beta_1, one - beta_1, beta_2, one - beta_2)


def axpy(w, g, alpha):
    """W += alpha g; g may be w."""
    if w is g:
        _update(_grow, (w,), alpha)
    else:
        _update(_axpy, (w, g), alpha)


def scale(w, alpha):
    """W *= alpha."""
    _update(_scale, (w,), alpha)


def lerp(target, w, momentum):
    """Target = momentum target + (1 - momentum) w."""
    momentum = w.dtype.type(momentum)
    _update(_lerp, (target, w), momentum, w.dtype.type(1) - momentum)


def squared_norm(g) -> float:
    """The sum of g^2, added up in float64 in an order that the size alone decides."""
    g = np.ascontiguousarray(g).reshape(-1)
    sums = np.zeros(-(-g.size // _NORM_BLOCK))
    launch(_squared_norm, sums.size, threads.GRAIN // _NORM_BLOCK, g, sums)
    return float(sums.sum())


def _update(body, arrays, *numbers, flag=None):
    flat = []
    for i, array in enumerate(arrays):
        if i == 1 and not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)  # g alone is only read
        # A reshape of anything else would be a copy, and the update would be lost.
        flat.append(array.reshape(-1) if array.flags.c_contiguous else array)
    scalars = [float(n) for n in numbers] + ([] if flag is None else [int(flag)])
    launch(body, flat[0].size, threads.GRAIN // 2, *flat, *scalars)


@kernel
def _sgd(lo, hi, thread, w, g, lr):
    w, g, lr = w[lo:hi], g[lo:hi], w.dtype.type(lr)
    for i in range(w.size):
        w[i] -= g[i] * lr


@kernel
def _momentum(lo, hi, thread, w, g, m, lr, momentum, nesterov):
    lr, momentum = w.dtype.type(lr), w.dtype.type(momentum)
    w, g, m = w[lo:hi], g[lo:hi], m[lo:hi]
    if nesterov:
        for i in range(w.size):
            m[i] = m[i] * momentum - g[i] * lr
            w[i] += m[i] * momentum - g[i] * lr
    else:
        for i in range(w.size):
            m[i] = m[i] * momentum - g[i] * lr
            w[i] += m[i]


@kernel
def _adam(lo, hi, thread, w, g, m, v, step_size, rest_1, rest_2, epsilon):
    step_size, epsilon = w.dtype.type(step_size), w.dtype.type(epsilon)
    rest_1, rest_2 = w.dtype.type(rest_1), w.dtype.type(rest_2)
    w, g, m, v = w[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi]
    for i in range(w.size):
        m[i] += (g[i] - m[i]) * rest_1
        v[i] += (g[i] * g[i] - v[i]) * rest_2
        w[i] -= m[i] * step_size / (math.sqrt(v[i]) + epsilon)


@kernel
def _amsgrad(lo, hi, thread, w_, g_, m_, v_, v_max_, step_size, rest_1, rest_2, epsilon):
    step_size, epsilon = w_.dtype.type(step_size), w_.dtype.type(epsilon)
    rest_1, rest_2 = w_.dtype.type(rest_1), w_.dtype.type(rest_2)
    for start in range(lo, hi, _STRETCH):
        stop = min(start + _STRETCH, hi)
        w, g, m, v, v_max = (
            w_[start:stop], g_[start:stop], m_[start:stop], v_[start:stop], v_max_[start:stop]
        )  # fmt: skip
        for i in range(w.size):
            m[i] += (g[i] - m[i]) * rest_1
            v[i] += (g[i] * g[i] - v[i]) * rest_2
        for i in range(w.size):
            v_max[i] = max(v_max[i], v[i])
            w[i] -= m[i] * step_size / (math.sqrt(v_max[i]) + epsilon)


@kernel
def _adamax(lo, hi, thread, w, g, m, u, step_size, rest_1, beta_2, epsilon):
    step_size, epsilon = w.dtype.type(step_size), w.dtype.type(epsilon)
    rest_1, beta_2 = w.dtype.type(rest_1), w.dtype.type(beta_2)
    w, g, m, u = w[lo:hi], g[lo:hi], m[lo:hi], u[lo:hi]
    for i in range(w.size):
        m[i] += (g[i] - m[i]) * rest_1
        u[i] = max(beta_2 * u[i], abs(g[i]))
        w[i] -= m[i] * step_size / (u[i] + epsilon)


@kernel
def _nadam(
    lo, hi, thread, w, g, m, v, lr, m_factor, g_factor, v_divisor, rest_1, rest_2, epsilon
):  # fmt: skip
    lr, m_factor, g_factor = w.dtype.type(lr), w.dtype.type(m_factor), w.dtype.type(g_factor)
    v_divisor, epsilon = w.dtype.type(v_divisor), w.dtype.type(epsilon)
    rest_1, rest_2 = w.dtype.type(rest_1), w.dtype.type(rest_2)
    w, g, m, v = w[lo:hi], g[lo:hi], m[lo:hi], v[lo:hi]
    for i in range(w.size):
        m[i] += (g[i] - m[i]) * rest_1
        v[i] += (g[i] * g[i] - v[i]) * rest_2
        ahead = m_factor * m[i] + g_factor * g[i]
        w[i] -= ahead * lr / (math.sqrt(v[i] / v_divisor) + epsilon)


@kernel
def _adagrad(lo, hi, thread, w, g, accumulator, lr, epsilon):
    lr, epsilon = w.dtype.type(lr), w.dtype.type(epsilon)
    w, g, accumulator = w[lo:hi], g[lo:hi], accumulator[lo:hi]
    for i in range(w.size):
        accumulator[i] += g[i] * g[i]
        w[i] -= lr * g[i] / math.sqrt(accumulator[i] + epsilon)


@kernel
def _adadelta(lo, hi, thread, w, g, square, delta, lr, rho, rest, epsilon):
    lr, epsilon = w.dtype.type(lr), w.dtype.type(epsilon)
    rho, rest = w.dtype.type(rho), w.dtype.type(rest)
    w, g, square, delta = w[lo:hi], g[lo:hi], square[lo:hi], delta[lo:hi]
    for i in range(w.size):
        square[i] = rho * square[i] + rest * (g[i] * g[i])
        d = -(math.sqrt(delta[i] + epsilon) * g[i] / math.sqrt(square[i] + epsilon))
        delta[i] = rho * delta[i] + rest * (d * d)
        w[i] += lr * d


@kernel
def _rmsprop(lo, hi, thread, w, g, v, lr, rho, rest, epsilon):
    lr, epsilon = w.dtype.type(lr), w.dtype.type(epsilon)
    rho, rest = w.dtype.type(rho), w.dtype.type(rest)
    w, g, v = w[lo:hi], g[lo:hi], v[lo:hi]
    for i in range(w.size):
        v[i] = rho * v[i] + rest * (g[i] * g[i])
        w[i] -= lr * g[i] / math.sqrt(v[i] + epsilon)


@kernel
def _rmsprop_momentum(lo, hi, thread, w, g, v, m, lr, rho, rest, momentum, epsilon):
    lr, epsilon, momentum = w.dtype.type(lr), w.dtype.type(epsilon), w.dtype.type(momentum)
    rho, rest = w.dtype.type(rho), w.dtype.type(rest)
    w, g, v, m = w[lo:hi], g[lo:hi], v[lo:hi], m[lo:hi]
    for i in range(w.size):
        v[i] = rho * v[i] + rest * (g[i] * g[i])
        m[i] = momentum * m[i] + lr * g[i] / math.sqrt(v[i] + epsilon)
        w[i] -= m[i]


@kernel
def _centered_rmsprop(lo, hi, thread, w, g, v, average, lr, rho, rest, epsilon):
    lr, epsilon = w.dtype.type(lr), w.dtype.type(epsilon)
    rho, rest = w.dtype.type(rho), w.dtype.type(rest)
    w, g, v, average = w[lo:hi], g[lo:hi], v[lo:hi], average[lo:hi]
    for i in range(w.size):
        v[i] = rho * v[i] + rest * (g[i] * g[i])
        average[i] = rho * average[i] + rest * g[i]
        w[i] -= lr * g[i] / math.sqrt(v[i] - average[i] * average[i] + epsilon)


@kernel
def _centered_momentum(
    lo, hi, thread, w_, g_, v_, m_, average_, lr, rho, rest, momentum, epsilon
):  # fmt: skip
    lr, epsilon, momentum = w_.dtype.type(lr), w_.dtype.type(epsilon), w_.dtype.type(momentum)
    rho, rest = w_.dtype.type(rho), w_.dtype.type(rest)
    for start in range(lo, hi, _STRETCH):
        stop = min(start + _STRETCH, hi)
        w, g, v, m, average = (
            w_[start:stop], g_[start:stop], v_[start:stop], m_[start:stop], average_[start:stop]
        )  # fmt: skip
        for i in range(w.size):
            v[i] = rho * v[i] + rest * (g[i] * g[i])
            average[i] = rho * average[i] + rest * g[i]
        for i in range(w.size):
            root = math.sqrt(v[i] - average[i] * average[i] + epsilon)
            m[i] = momentum * m[i] + lr * g[i] / root
        for i in range(w.size):
            w[i] -= m[i]


@kernel
def _lion(lo, hi, thread, w, g, m, lr, beta_1, rest_1, beta_2, rest_2):
    lr, zero = w.dtype.type(lr), w.dtype.type(0)
    beta_1, rest_1 = w.dtype.type(beta_1), w.dtype.type(rest_1)
    beta_2, rest_2 = w.dtype.type(beta_2), w.dtype.type(rest_2)
    w, g, m = w[lo:hi], g[lo:hi], m[lo:hi]
    for i in range(w.size):
        ahead = m[i] * beta_1 + g[i] * rest_1
        w[i] -= lr if ahead > zero else (-lr if ahead < zero else lr * ahead)
        m[i] = m[i] * beta_2 + g[i] * rest_2


@kernel
def _axpy(lo, hi, thread, w, g, alpha):
    w, g, alpha = w[lo:hi], g[lo:hi], w.dtype.type(alpha)
    for i in range(w.size):
        w[i] += alpha * g[i]


@kernel
def _grow(lo, hi, thread, w, alpha):
    w, alpha = w[lo:hi], w.dtype.type(alpha)
    for i in range(w.size):
        w[i] += alpha * w[i]


@kernel
def _scale(lo, hi, thread, w, alpha):
    w, alpha = w[lo:hi], w.dtype.type(alpha)
    for i in range(w.size):
        w[i] *= alpha


@kernel
def _lerp(lo, hi, thread, target, w, momentum, rest):
    momentum, rest = w.dtype.type(momentum), w.dtype.type(rest)
    target, w = target[lo:hi], w[lo:hi]
    for i in range(w.size):
        target[i] = momentum * target[i] + rest * w[i]


@kernel
def _squared_norm(lo, hi, thread, g, sums):
    lanes = np.empty(16, np.float64)
    for block in range(lo, hi):  # one item owns one sum
        part = g[block * _NORM_BLOCK : min((block + 1) * _NORM_BLOCK, g.size)]
        lanes[:] = 0.0
        whole = part.size // 16 * 16
        for start in range(0, whole, 16):
            for lane in range(16):
                value = np.float64(part[start + lane])
                lanes[lane] += value * value
        for i in range(whole, part.size):
            lanes[i - whole] += np.float64(part[i]) * np.float64(part[i])
        sums[block] = lanes.sum()
