"""One step of LSTM, GRU and simple recurrent cells, and back: gates of a step from its products.

Letters: N samples, U units; z (N, G U) holds inputs @ kernel + bias and then the G activated gates,
inner (N, G U) the products with the state; h and c are the states. All arrays are contiguous; what
a step computes is written into the arrays it is given.
"""

from __future__ import annotations

import numpy as np

from . import threads
from .launch import kernel, launch
from .vectormath import tanh32

__all__ = ["recurrent_step", "recurrent_step_grad"]

# Gates of each cell: of z, and how many operations one unit takes, for the split among threads.
GATES = {"lstm": 4, "gru": 3, "simple": 1}


def recurrent_step(cell: str, z, inner, h_prev, c_prev, h, c, extra) -> None:
    """Make `z` the gates, and `h`, `c` the next states.

    lstm: z = [i f g o], c = f c_prev + i g, h = o tanh(c), extra = tanh(c).
    gru: z = [u r g], g = tanh(x_g + r inner_g), h = u h_prev + (1 - u) g, extra = inner_g.
    simple: h = z = tanh(x + inner).
    """
    rows, units = h.shape
    if z.dtype == np.float32:
        chunk = threads.chunk_of(30 * GATES[cell] * units)
        launch(_STEPS[cell], rows, chunk, z, inner, h_prev, c_prev, h, c, extra)
        return
    gates, products = (np.split(part, GATES[cell], axis=1) for part in (z, inner))
    if cell == "lstm":
        for number, (gate, product) in enumerate(zip(gates, products, strict=True)):
            total = gate + product
            gate[...] = np.tanh(total) if number == 2 else _sigmoid(total)
        i, f, g, o = gates
        c[...] = f * c_prev + i * g
        extra[...] = np.tanh(c)
        h[...] = o * extra
    elif cell == "gru":
        u, r, g = gates
        u[...], r[...] = _sigmoid(u + products[0]), _sigmoid(r + products[1])
        extra[...] = products[2]
        g[...] = np.tanh(g + r * extra)
        h[...] = u * h_prev + (1 - u) * g
    else:
        z[...] = h[...] = np.tanh(z + inner)


def recurrent_step_grad(cell: str, dh, dc, z, extra, h_prev, c_prev, dz, dinner, direct) -> None:
    """Fill `dz` and `dinner` (one array for lstm and simple), `direct` and `dc` of a step.

    dh and dc are the gradients in its h and c; dc becomes that in c_prev, `direct` the part of
    h_prev's gradient that does not go through the products.
    """
    rows, units = dh.shape
    if z.dtype == np.float32:
        chunk = threads.chunk_of(10 * GATES[cell] * units)
        arrays = dh, dc, z, extra, h_prev, c_prev, dz, dinner, direct
        launch(_GRADS[cell], rows, chunk, *arrays)
        return
    gates, slopes = (np.split(part, GATES[cell], axis=1) for part in (z, dz))
    if cell == "lstm":
        i, f, g, o = gates
        total = dc + dh * o * (1 - extra * extra)
        slopes[0][...] = total * g * i * (1 - i)
        slopes[1][...] = total * c_prev * f * (1 - f)
        slopes[2][...] = total * i * (1 - g * g)
        slopes[3][...] = dh * extra * o * (1 - o)
        dc[...] = total * f
        direct[...] = 0
    elif cell == "gru":
        u, r, g = gates
        slopes[0][...] = dh * (h_prev - g) * u * (1 - u)
        slopes[2][...] = dh * (1 - u) * (1 - g * g)
        slopes[1][...] = slopes[2] * extra * r * (1 - r)
        dinner[...] = dz
        np.split(dinner, 3, axis=1)[2][...] *= r
        direct[...] = dh * u
    else:
        dz[...] = dh * (1 - z * z)
        direct[...] = 0


def _sigmoid(x):
    return 0.5 * np.tanh(0.5 * x) + 0.5


@kernel
def _lstm(lo, hi, thread, z, inner, h_prev, c_prev, h, c, extra):
    half = np.float32(0.5)
    units = h.shape[1]
    for n in range(lo, hi):
        gates, products = z[n], inner[n]
        i, f, g, o = gates[:units], gates[units:], gates[2 * units :], gates[3 * units :]
        pi, pf = products[:units], products[units:]
        pg, po = products[2 * units :], products[3 * units :]
        before, after, out, squashed = c_prev[n], c[n], h[n], extra[n]
        for j in range(units):
            i[j] = tanh32((i[j] + pi[j]) * half) * half + half
            f[j] = tanh32((f[j] + pf[j]) * half) * half + half
            g[j] = tanh32(g[j] + pg[j])
            o[j] = tanh32((o[j] + po[j]) * half) * half + half
        for j in range(units):
            after[j] = f[j] * before[j] + i[j] * g[j]
            squashed[j] = tanh32(after[j])
            out[j] = o[j] * squashed[j]


@kernel
def _lstm_grad(lo, hi, thread, dh, dc, z, extra, h_prev, c_prev, dz, dinner, direct):
    one = np.float32(1.0)
    units = dh.shape[1]
    for n in range(lo, hi):
        gates, slopes = z[n], dz[n]
        i, f, g, o = gates[:units], gates[units:], gates[2 * units :], gates[3 * units :]
        di, df = slopes[:units], slopes[units:]
        dg, do = slopes[2 * units :], slopes[3 * units :]
        dout, dcell, before, squashed, rest = dh[n], dc[n], c_prev[n], extra[n], direct[n]
        for j in range(units):
            total = dcell[j] + dout[j] * o[j] * (one - squashed[j] * squashed[j])
            di[j] = total * g[j] * i[j] * (one - i[j])
            df[j] = total * before[j] * f[j] * (one - f[j])
            dg[j] = total * i[j] * (one - g[j] * g[j])
            do[j] = dout[j] * squashed[j] * o[j] * (one - o[j])
            dcell[j] = total * f[j]
            rest[j] = 0


@kernel
def _gru(lo, hi, thread, z, inner, h_prev, c_prev, h, c, extra):
    half, one = np.float32(0.5), np.float32(1.0)
    units = h.shape[1]
    for n in range(lo, hi):
        gates, products = z[n], inner[n]
        u, r, g = gates[:units], gates[units:], gates[2 * units :]
        pu, pr, pg = products[:units], products[units:], products[2 * units :]
        before, out, kept = h_prev[n], h[n], extra[n]
        for j in range(units):
            u[j] = tanh32((u[j] + pu[j]) * half) * half + half
            r[j] = tanh32((r[j] + pr[j]) * half) * half + half
            kept[j] = pg[j]
            g[j] = tanh32(g[j] + r[j] * pg[j])
            out[j] = u[j] * before[j] + (one - u[j]) * g[j]


@kernel
def _gru_grad(lo, hi, thread, dh, dc, z, extra, h_prev, c_prev, dz, dinner, direct):
    one = np.float32(1.0)
    units = dh.shape[1]
    for n in range(lo, hi):
        gates, slopes, inner = z[n], dz[n], dinner[n]
        u, r, g = gates[:units], gates[units:], gates[2 * units :]
        du, dr, dg = slopes[:units], slopes[units:], slopes[2 * units :]
        eu, er, eg = inner[:units], inner[units:], inner[2 * units :]
        dout, before, kept, rest = dh[n], h_prev[n], extra[n], direct[n]
        for j in range(units):
            du[j] = dout[j] * (before[j] - g[j]) * u[j] * (one - u[j])
            eu[j] = du[j]
            dg[j] = dout[j] * (one - u[j]) * (one - g[j] * g[j])
            dr[j] = dg[j] * kept[j] * r[j] * (one - r[j])
            er[j] = dr[j]
            eg[j] = dg[j] * r[j]
            rest[j] = dout[j] * u[j]


@kernel
def _simple(lo, hi, thread, z, inner, h_prev, c_prev, h, c, extra):
    for n in range(lo, hi):
        gate, product, out = z[n], inner[n], h[n]
        for j in range(gate.size):
            gate[j] = tanh32(gate[j] + product[j])
            out[j] = gate[j]


@kernel
def _simple_grad(lo, hi, thread, dh, dc, z, extra, h_prev, c_prev, dz, dinner, direct):
    one = np.float32(1.0)
    for n in range(lo, hi):
        gate, slope, dout, rest = z[n], dz[n], dh[n], direct[n]
        for j in range(gate.size):
            slope[j] = dout[j] * (one - gate[j] * gate[j])
            rest[j] = 0


_STEPS = {"lstm": _lstm, "gru": _gru, "simple": _simple}
_GRADS = {"lstm": _lstm_grad, "gru": _gru_grad, "simple": _simple_grad}
