"""One step of LSTM, GRU and simple recurrent cells, and back: gates of a step from its products.

Letters: N samples, U units; z (N, G U) holds inputs @ kernel + bias and then the G activated gates,
inner (N, G U) the products with the state; h and c are the states. One thread owns one unit of one
sample: neighbours have neighbouring units, so every access of a warp is to one piece of memory.
"""

from __future__ import annotations

import math

from .indices import grid_index, quotient
from .kernel import inlined, kernel
from .launch import blocks_for, launch

__all__ = ["recurrent_step", "recurrent_step_grad"]


def recurrent_step(cell: str, z, inner, h_prev, c_prev, h, c, extra) -> None:
    """Make `z` the gates, and `h`, `c` the next states.

    lstm: z = [i f g o], c = f c_prev + i g, h = o tanh(c), extra = tanh(c).
    gru: z = [u r g], g = tanh(x_g + r inner_g), h = u h_prev + (1 - u) g, extra = inner_g.
    simple: h = z = tanh(x + inner).
    """
    if cell == "lstm":
        arrays = z, inner, c_prev, h, c, extra
    elif cell == "gru":
        arrays = z, inner, h_prev, h, extra
    else:
        arrays = z, inner, h
    launch(_STEPS[cell], blocks_for(h.size), *arrays, h.shape[1], h.size)


def recurrent_step_grad(cell: str, dh, dc, z, extra, h_prev, c_prev, dz, dinner, direct) -> None:
    """Fill `dz` and `dinner` (one array for lstm and simple), `direct` and `dc` of a step.

    dh and dc are the gradients in its h and c; dc becomes that in c_prev, `direct` the part of
    h_prev's gradient that does not go through the products.
    """
    if cell == "lstm":
        arrays = dh, dc, z, extra, c_prev, dz, direct
    elif cell == "gru":
        arrays = dh, z, extra, h_prev, dz, dinner, direct
    else:
        arrays = dh, z, dz, direct
    launch(_GRADS[cell], blocks_for(dh.size), *arrays, dh.shape[1], dh.size)


@inlined
def _sigmoid(x):
    half = type(x)(0.5)
    return math.tanh(x * half) * half + half


@kernel("T* T* T* T* T* T* i4 i4", T="f4 f8", traffic="4rw 4r r w w w 24f")
def _lstm(z, inner, c_prev, h, c, extra, units, n):
    j = grid_index()
    if j < n:
        # Unit j of the arrays (N, U) has its first gate here, the others `units` further on each.
        at = j + 3 * units * quotient(j, units)
        i = _sigmoid(z[at] + inner[at])
        f = _sigmoid(z[at + units] + inner[at + units])
        g = math.tanh(z[at + 2 * units] + inner[at + 2 * units])
        o = _sigmoid(z[at + 3 * units] + inner[at + 3 * units])
        after = f * c_prev[j] + i * g
        squashed = math.tanh(after)
        z[at], z[at + units], z[at + 2 * units], z[at + 3 * units] = i, f, g, o
        c[j], extra[j], h[j] = after, squashed, o * squashed


@kernel("T* T* T* T* T* T* T* i4 i4", T="f4 f8", traffic="r rw 4r r r 4w w 24f")
def _lstm_grad(dh, dc, z, extra, c_prev, dz, direct, units, n):
    j = grid_index()
    if j < n:
        at = j + 3 * units * quotient(j, units)
        i, f, g, o = z[at], z[at + units], z[at + 2 * units], z[at + 3 * units]
        dout, squashed, one = dh[j], extra[j], type(z[at])(1)
        total = dc[j] + dout * o * (one - squashed * squashed)
        dz[at] = total * g * i * (one - i)
        dz[at + units] = total * c_prev[j] * f * (one - f)
        dz[at + 2 * units] = total * i * (one - g * g)
        dz[at + 3 * units] = dout * squashed * o * (one - o)
        dc[j] = total * f
        direct[j] = type(one)(0)


@kernel("T* T* T* T* T* i4 i4", T="f4 f8", traffic="3rw 3r r w w 16f")
def _gru(z, inner, h_prev, h, extra, units, n):
    j = grid_index()
    if j < n:
        at = j + 2 * units * quotient(j, units)
        u = _sigmoid(z[at] + inner[at])
        r = _sigmoid(z[at + units] + inner[at + units])
        kept = inner[at + 2 * units]
        g = math.tanh(z[at + 2 * units] + r * kept)
        z[at], z[at + units], z[at + 2 * units], extra[j] = u, r, g, kept
        h[j] = u * h_prev[j] + (type(u)(1) - u) * g


@kernel("T* T* T* T* T* T* T* i4 i4", T="f4 f8", traffic="r 3r r r 3w 3w w 15f")
def _gru_grad(dh, z, extra, h_prev, dz, dinner, direct, units, n):
    j = grid_index()
    if j < n:
        at = j + 2 * units * quotient(j, units)
        u, r, g = z[at], z[at + units], z[at + 2 * units]
        dout, one = dh[j], type(z[at])(1)
        du = dout * (h_prev[j] - g) * u * (one - u)
        dg = dout * (one - u) * (one - g * g)
        dr = dg * extra[j] * r * (one - r)
        dz[at], dz[at + units], dz[at + 2 * units] = du, dr, dg
        dinner[at], dinner[at + units], dinner[at + 2 * units] = du, dr, dg * r
        direct[j] = dout * u


@kernel("T* T* T* i4 i4", T="f4 f8", traffic="rw r w 2f")
def _simple(z, inner, h, units, n):
    j = grid_index()
    if j < n:
        y = math.tanh(z[j] + inner[j])
        z[j] = y
        h[j] = y


@kernel("T* T* T* T* i4 i4", T="f4 f8", traffic="r r w w 3f")
def _simple_grad(dh, z, dz, direct, units, n):
    j = grid_index()
    if j < n:
        y = z[j]
        dz[j] = dh[j] * (type(y)(1) - y * y)
        direct[j] = type(y)(0)


_STEPS = {"lstm": _lstm, "gru": _gru, "simple": _simple}
_GRADS = {"lstm": _lstm_grad, "gru": _gru_grad, "simple": _simple_grad}
