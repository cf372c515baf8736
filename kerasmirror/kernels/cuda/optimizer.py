"""Update rules of optimizers on flat arrays, in place: one launch and one pass for each.

w weights, g gradients, m first and v second moments; all of one dtype, float32 or float64. A rule
is written for one value of each array and compiled to a kernel by `_in_place`. Each rounds in the
order of Keras 3.15's optimizer of its name, but for multiply-adds; factors that depend on the step
alone (bias corrections) come from the caller.
"""

from __future__ import annotations

import inspect
import math

import numpy as np
from numba import cuda, float64

from . import memory
from .indices import grid_index, grid_size
from .kernel import inlined, kernel
from .launch import blocks_for, launch
from .traffic import operations_of
from .vectors import groups_in, load4, store4

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

# A thread takes four neighbours with one load of each array, or a single value: those behind the
# last whole four, and all where an array starts in the middle of 16 bytes.
_SOURCE = """\
def {name}({arrays}, n, groups, {numbers}):
    i = grid_index()
    if i < groups:
{loads}
{steps}
{stores}
    else:
        i += 3 * groups
        if i < n:
            {results}= rule({elements}, {numbers})
{writes}
"""

_NORM_BLOCKS = 1024  # the most blocks, and then threads, that share out a sum
_THREADS = 256


def _in_place(rule):
    """The kernel of a rule: its positional arguments are arrays, and all but g it gives anew."""
    kinds = inspect.signature(rule).parameters.values()
    arrays = [p.name for p in kinds if p.kind is p.POSITIONAL_ONLY]
    numbers = ", ".join(p.name for p in kinds if p.kind is not p.POSITIONAL_ONLY)
    written = [name for name in arrays if name != "g"]

    def lines(indent, template, items):
        return "\n".join(" " * indent + template.format(item) for item in items)

    steps = [
        f"{''.join(f'{a}{i}, ' for a in written)}= "
        f"rule({', '.join(f'{a}_[{i}]' for a in arrays)}, {numbers})"
        for i in range(4)
    ]
    source = _SOURCE.format(
        name=rule.__name__,
        arrays=", ".join(arrays),
        numbers=numbers,
        loads=lines(8, "{0}_ = load4({0}, i)", arrays),
        steps=lines(8, "{}", steps),
        stores=lines(8, "store4({0}, i, {0}0, {0}1, {0}2, {0}3)", written),
        results="".join(f"{a}0, " for a in written),
        elements=", ".join(f"{a}[i]" for a in arrays),
        writes=lines(12, "{0}[i] = {0}0", written),
    )
    scope = {"grid_index": grid_index, "load4": load4, "store4": store4, "rule": inlined(rule)}
    exec(compile(source, __file__, "exec"), scope)  # noqa: S102 - our own template
    words = ["T*"] * len(arrays) + ["i4", "i4"] + ["T"] * len(numbers.split())
    traffic = " ".join("r" if name == "g" else "rw" for name in arrays)
    traffic += f" {operations_of(rule)}f"
    return kernel(" ".join(words), T="f4 f8", traffic=traffic)(scope[rule.__name__])


def _update(body, arrays, *numbers):
    n = arrays[0].size
    groups = groups_in(*arrays)
    launch(body, blocks_for(n - 3 * groups), *arrays, n, groups, *numbers)


# --- rules ----------------------------------------------------------------------------------


@_in_place
def _sgd(w, g, /, lr):
    return (w - g * lr,)


def sgd_update(w, g, lr):
    """W -= g lr."""
    _update(_sgd, (w, g), lr)


@_in_place
def _momentum(w, g, m, /, lr, momentum):
    m = m * momentum - g * lr
    return w + m, m


@_in_place
def _nesterov(w, g, m, /, lr, momentum):
    m = m * momentum - g * lr
    return w + (m * momentum - g * lr), m


def momentum_update(w, g, m, lr, momentum, nesterov):
    """M = m momentum - g lr, then w += m, or with nesterov w += m momentum - g lr."""
    _update(_nesterov if nesterov else _momentum, (w, g, m), lr, momentum)


@_in_place
def _adam(w, g, m, v, /, step_size, rest_1, rest_2, epsilon):
    m += (g - m) * rest_1
    v += (g * g - v) * rest_2
    return w - m * step_size / (math.sqrt(v) + epsilon), m, v


def adam_update(w, g, m, v, step_size, beta_1, beta_2, epsilon):
    """M += (g - m)(1 - beta_1), v += (g^2 - v)(1 - beta_2), w -= m step_size / (sqrt(v) + epsilon).

    step_size is lr sqrt(1 - beta_2^t) / (1 - beta_1^t).
    """
    _update(_adam, (w, g, m, v), step_size, 1 - beta_1, 1 - beta_2, epsilon)


@_in_place
def _amsgrad(w, g, m, v, v_max, /, step_size, rest_1, rest_2, epsilon):
    m += (g - m) * rest_1
    v += (g * g - v) * rest_2
    v_max = v if v > v_max else v_max
    return w - m * step_size / (math.sqrt(v_max) + epsilon), m, v, v_max


def amsgrad_update(w, g, m, v, v_max, step_size, beta_1, beta_2, epsilon):
    """As adam_update, with v_max = max(v_max, v) under the root. https://arxiv.org/abs/1904.09237."""
    _update(_amsgrad, (w, g, m, v, v_max), step_size, 1 - beta_1, 1 - beta_2, epsilon)


@_in_place
def _adamax(w, g, m, u, /, step_size, rest_1, beta_2, epsilon):
    m += (g - m) * rest_1
    u, size = beta_2 * u, abs(g)
    u = size if size > u else u
    return w - m * step_size / (u + epsilon), m, u


def adamax_update(w, g, m, u, step_size, beta_1, beta_2, epsilon):
    """M += (g - m)(1 - beta_1), u = max(beta_2 u, |g|), w -= m step_size / (u + epsilon).

    step_size is lr / (1 - beta_1^t).
    """
    _update(_adamax, (w, g, m, u), step_size, 1 - beta_1, beta_2, epsilon)


@_in_place
def _nadam(w, g, m, v, /, lr, m_factor, g_factor, v_divisor, rest_1, rest_2, epsilon):
    m += (g - m) * rest_1
    v += (g * g - v) * rest_2
    ahead = m_factor * m + g_factor * g
    return w - ahead * lr / (math.sqrt(v / v_divisor) + epsilon), m, v


def nadam_update(w, g, m, v, lr, m_factor, g_factor, v_divisor, beta_1, beta_2, epsilon):
    """Moments as adam_update; w -= (m m_factor + g g_factor) lr / (sqrt(v / v_divisor) + epsilon).

    With Keras's u_t: m_factor is u_(t+1) / (1 - product of u up to t + 1), g_factor
    (1 - u_t) / (1 - product of u up to t) and v_divisor 1 - beta_2^t.
    """
    numbers = lr, m_factor, g_factor, v_divisor, 1 - beta_1, 1 - beta_2, epsilon
    _update(_nadam, (w, g, m, v), *numbers)


@_in_place
def _adagrad(w, g, accumulator, /, lr, epsilon):
    accumulator += g * g
    return w - lr * g / math.sqrt(accumulator + epsilon), accumulator


def adagrad_update(w, g, accumulator, lr, epsilon):
    """Accumulator += g^2, w -= lr g / sqrt(accumulator + epsilon)."""
    _update(_adagrad, (w, g, accumulator), lr, epsilon)


@_in_place
def _adadelta(w, g, square, delta, /, lr, rho, rest, epsilon):
    square = rho * square + rest * (g * g)
    d = -(math.sqrt(delta + epsilon) * g / math.sqrt(square + epsilon))
    return w + lr * d, square, rho * delta + rest * (d * d)


def adadelta_update(w, g, square, delta, lr, rho, epsilon):
    """Square and delta: means of g^2 and of d^2; d = -rms(delta) g / rms(square), w += lr d."""
    _update(_adadelta, (w, g, square, delta), lr, rho, 1 - rho, epsilon)


@_in_place
def _rmsprop(w, g, v, /, lr, rho, rest, epsilon):
    v = rho * v + rest * (g * g)
    return w - lr * g / math.sqrt(v + epsilon), v


def rmsprop_update(w, g, v, lr, rho, epsilon):
    """V = rho v + (1 - rho) g^2, w -= lr g / sqrt(v + epsilon)."""
    _update(_rmsprop, (w, g, v), lr, rho, 1 - rho, epsilon)


@_in_place
def _rmsprop_momentum(w, g, v, m, /, lr, rho, rest, momentum, epsilon):
    v = rho * v + rest * (g * g)
    m = momentum * m + lr * g / math.sqrt(v + epsilon)
    return w - m, v, m


def rmsprop_momentum_update(w, g, v, m, lr, rho, momentum, epsilon):
    """V as rmsprop_update, m = momentum m + lr g / sqrt(v + epsilon), w -= m."""
    _update(_rmsprop_momentum, (w, g, v, m), lr, rho, 1 - rho, momentum, epsilon)


@_in_place
def _centered_rmsprop(w, g, v, average, /, lr, rho, rest, epsilon):
    v = rho * v + rest * (g * g)
    average = rho * average + rest * g
    return w - lr * g / math.sqrt(v - average * average + epsilon), v, average


def centered_rmsprop_update(w, g, v, average, lr, rho, epsilon):
    """As rmsprop_update, less the squared mean gradient: sqrt(v - average^2 + epsilon)."""
    _update(_centered_rmsprop, (w, g, v, average), lr, rho, 1 - rho, epsilon)


@_in_place
def _centered_momentum(w, g, v, m, average, /, lr, rho, rest, momentum, epsilon):
    v = rho * v + rest * (g * g)
    average = rho * average + rest * g
    m = momentum * m + lr * g / math.sqrt(v - average * average + epsilon)
    return w - m, v, m, average


def centered_rmsprop_momentum_update(w, g, v, m, average, lr, rho, momentum, epsilon):
    """As rmsprop_momentum_update, with the root of centered_rmsprop_update."""
    _update(_centered_momentum, (w, g, v, m, average), lr, rho, 1 - rho, momentum, epsilon)


@_in_place
def _lion(w, g, m, /, lr, beta_1, rest_1, beta_2, rest_2):
    ahead = m * beta_1 + g * rest_1
    zero = type(w)(0)
    step = lr if ahead > zero else (-lr if ahead < zero else lr * ahead)
    return w - step, m * beta_2 + g * rest_2


def lion_update(w, g, m, lr, beta_1, beta_2):
    """W -= lr sign(m beta_1 + g (1 - beta_1)), then m = m beta_2 + g (1 - beta_2)."""
    # Keras subtracts in the variable's dtype.
    one, beta_1, beta_2 = w.dtype.type(1), w.dtype.type(beta_1), w.dtype.type(beta_2)
    _update(_lion, (w, g, m), lr, beta_1, one - beta_1, beta_2, one - beta_2)


@_in_place
def _axpy(w, g, /, alpha):
    return (w + alpha * g,)


def axpy(w, g, alpha):
    """W += alpha g; g may be w."""
    _update(_axpy, (w, g), alpha)


@_in_place
def _scale(w, /, alpha):
    return (w * alpha,)


def scale(w, alpha):
    """W *= alpha."""
    _update(_scale, (w,), alpha)


@_in_place
def _lerp(w, g, /, momentum, rest):
    return (momentum * w + rest * g,)


def lerp(target, w, momentum):
    """Target = momentum target + (1 - momentum) w."""
    momentum = w.dtype.type(momentum)
    _update(_lerp, (target, w), momentum, w.dtype.type(1) - momentum)


# --- norms ----------------------------------------------------------------------------------


def squared_norm(g) -> float:
    """The sum of g^2, added up in float64 in an order that the size alone decides.

    A number of the host, which waits for it: `squared_norm_into` does not.
    """
    total = memory.empty((1,), np.float64)
    squared_norm_into(g, total)
    return total.item()


def squared_norm_into(g, total) -> None:
    """Write the sum of g^2 to `total`, a float64 array of one value on the device."""
    blocks = max(1, min(_NORM_BLOCKS, blocks_for(g.size, 16 * _THREADS)))
    sums = memory.empty((blocks,), np.float64)
    launch(_square_sums, blocks, g, sums, g.size)
    launch(_sum, 1, sums, total, blocks)


# Sums of float32 squares need the range and the digits of float64; memory is what takes the time.
@kernel("T* f8* i4", T="f4 f8", block=_THREADS, traffic="r - 2f")
def _square_sums(g, sums, n):
    total = float64(0)
    i = grid_index()
    step = grid_size()
    while i < n:
        value = float64(g[i])
        total += value * value
        i += step
    total = _sum_of_block(total)
    if cuda.threadIdx.x == 0:
        sums[cuda.blockIdx.x] = total


@kernel("f8* f8* i4", block=_THREADS, traffic="r - 1f")
def _sum(sums, total, n):
    mine = float64(0)
    i = cuda.threadIdx.x
    while i < n:
        mine += sums[i]
        i += cuda.blockDim.x
    mine = _sum_of_block(mine)
    if cuda.threadIdx.x == 0:
        total[0] = mine


@inlined
def _sum_of_block(value):
    """The sum of a block's values, right in thread 0."""
    parts = cuda.shared.array(_THREADS, float64)
    me = cuda.threadIdx.x
    parts[me] = value
    cuda.syncthreads()
    half = _THREADS // 2
    while half > 0:
        if me < half:
            parts[me] += parts[me + half]
        cuda.syncthreads()
        half >>= 1
    return parts[0]
