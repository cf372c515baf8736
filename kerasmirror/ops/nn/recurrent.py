"""Sequences through a recurrent cell: LSTM, GRU and simple cells as one primitive, others by steps.

Letters: N samples, T steps, F features, U units, G gates; h and c the states.
"""

from __future__ import annotations

import math

import numpy as np

from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import tree
from kerasmirror.core.device import contiguous, overwrite, view_of
from kerasmirror.ops.nn.precision import narrowed, widened
from kerasmirror.ops.numpy import elementwise, indexing, joining, shape

GATES = {"lstm": 4, "gru": 3, "simple": 1}


def _recurrent_spec(x, h, c, w, r, bias, recurrent_bias, *, cell, sequences, **options):
    units = r.shape[0]
    state = (x.shape[0], units)
    y = (x.shape[0], x.shape[1], units) if sequences else state
    return [(y, x.dtype), (state, x.dtype), (state, x.dtype)]


@primitive("recurrent", spec=_recurrent_spec)
def recurrent(
    k,
    x,
    h,
    c,
    w,
    r,
    bias,
    recurrent_bias,
    *,
    cell,
    sequences,
    backwards=False,
    mask=None,
    zero_masked=False,
):
    """(y, h, c) of `cell` ("lstm", "gru" or "simple") over the steps of x, from the states h and c.

    y is the output of each step (`sequences`) or of the last one; with `backwards` the steps are
    taken from the last one on. Where `mask` is false, a step leaves the states as they are and its
    output is the one before, or 0 with `zero_masked`.
    Shapes: x (N, T, F), h and c (N, U), w (F, G U), r (U, G U), biases (G U,) or None, mask (N, T),
    y (N, T, U) or (N, U). Only an lstm uses c, others give zeros for it; only a gru has a
    recurrent bias.
    Source: Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; Cho et al.
    2014, https://arxiv.org/abs/1406.1078, in the variant of Keras's `reset_after`.
    """
    parts = x, h, c, w, r, bias, recurrent_bias
    dtypes = [None if part is None else part.dtype for part in parts]
    x, h, c, w, r, bias, recurrent_bias = widened(*parts)
    n, steps, features = x.shape
    units = r.shape[0]
    width = units * GATES[cell]
    order = slice(None, None, -1 if backwards else 1)
    rows = contiguous(x.transpose(1, 0, 2)[order]).reshape(steps * n, features)
    z = k.dense(rows, w, bias, "linear").reshape(steps, n, width)
    hs, cs = k.zeros((steps + 1, n, units), x.dtype), k.zeros((steps + 1, n, units), x.dtype)
    extra = k.zeros((steps, n, units), x.dtype)
    hs[0] = h
    if cell == "lstm":  # without a second state it stays 0
        cs[0] = c
    off = None if mask is None else contiguous(~mask.T.astype(bool)[order])
    for t in range(steps):
        inner = k.dense(hs[t], r, recurrent_bias, "linear")
        before, after = (_at(hs, t), _at(cs, t)), (_at(hs, t + 1), _at(cs, t + 1))
        k.recurrent_step(cell, _at(z, t), inner, *before, *after, _at(extra, t))
        if off is not None:
            _keep(k, hs, t + 1, off[t], hs[t])
            _keep(k, cs, t + 1, off[t], cs[t])
    shown = None if off is None else _shown(k, off, zero_masked).astype(x.dtype)[..., None]
    outputs = hs[1:] if shown is None else hs[1:] * shown
    y = contiguous(outputs.transpose(1, 0, 2)) if sequences else outputs[-1].copy()

    def backward(grads, needs):
        dy, dh, dc = (None if part is None else widened(part)[0] for part in grads)
        dh = k.zeros((n, units), x.dtype) if dh is None else dh.copy()
        unused = dc is None or cell != "lstm"
        dc = k.zeros((n, units), x.dtype) if unused else dc.copy()
        if dy is not None:
            dy = dy.transpose(1, 0, 2) if sequences else dy[None]
            weights = None if shown is None else shown if sequences else shown[-1:]
            dy = dy if weights is None else dy * weights
        dz = k.zeros((steps, n, width), x.dtype)
        dinner = k.zeros((steps, n, width), x.dtype) if cell == "gru" else dz
        direct = k.zeros((n, units), x.dtype)
        for t in reversed(range(steps)):
            if dy is not None and (sequences or t == steps - 1):
                dh = dh + (dy[t] if sequences else dy[0])
            dh = contiguous(dh)
            held = None if off is None else (dh, dc.copy())
            arrays = [_at(array, t) for array in (z, extra, hs, cs, dz, dinner)]
            k.recurrent_step_grad(cell, dh, dc, *arrays, direct)
            if off is not None:
                _keep(k, dz, t, off[t], 0)
                _keep(k, dinner, t, off[t], 0)
            dh = k.dense_grad_input(dinner[t], r) + direct
            if off is not None:
                skipped = off[t][:, None]
                dh, dc = k.where(skipped, held[0], dh), k.where(skipped, held[1], dc)
        flat, inner = dz.reshape(steps * n, width), dinner.reshape(steps * n, width)
        dx = dw = dr = db = drb = None
        if needs[0]:
            dx = k.dense_grad_input(flat, w).reshape(steps, n, features)[order]
            dx = contiguous(dx.transpose(1, 0, 2))
        if needs[3]:
            dw = k.dense_grad_kernel(rows, flat)
        if needs[4]:
            dr = k.dense_grad_kernel(hs[:-1].reshape(steps * n, units), inner)
        if needs[5]:
            db = k.bias_grad(flat)
        if needs[6]:
            drb = k.bias_grad(inner)
        found = dx, dh, dc, dw, dr, db, drb
        return tuple(
            [
                None if d is None or dtype is None or not need else narrowed(d, dtype)
                for d, dtype, need in zip(found, dtypes, needs, strict=True)
            ]
        )

    results = y, hs[-1].copy(), cs[-1].copy()
    return tuple([narrowed(part, dtypes[0]) for part in results]), backward


@recurrent.forward
def _recurrent_tangent(
    k, inputs, changes, y, *, cell, sequences, backwards=False, mask=None, zero_masked=False
):
    x, h, c, w, r, bias, recurrent_bias = widened(*inputs)
    changed = [
        np.zeros_like(part) if change is None and part is not None else change
        for part, change in zip((x, h, c, w, r, bias, recurrent_bias), changes, strict=True)
    ]
    dx, dh, dc, dw, dr, db, drb = widened(*changed)
    if cell != "lstm":
        c, dc = np.zeros_like(c), np.zeros_like(c)
    order = slice(None, None, -1 if backwards else 1)
    off = None if mask is None else ~mask.T.astype(bool)[order]
    outputs = []
    for t in range(x.shape[1])[order]:
        z = x[:, t] @ w + (0 if bias is None else bias)
        dz = dx[:, t] @ w + x[:, t] @ dw + (0 if db is None else db)
        inner = h @ r + (0 if recurrent_bias is None else recurrent_bias)
        dinner = dh @ r + h @ dr + (0 if drb is None else drb)
        after = _step_tangent(cell, (z, inner, h, c), (dz, dinner, dh, dc))
        if off is not None:
            held = off[len(outputs)][:, None]
            after = [np.where(held, a, b) for a, b in zip((h, c, dh, dc), after, strict=True)]
        h, c, dh, dc = after
        outputs.append(dh)
    if off is not None:
        shown = _shown(k, off, zero_masked)[..., None]
        outputs = [np.where(s, d, 0) for s, d in zip(shown, outputs, strict=True)]
    return np.stack(outputs, 1) if sequences else outputs[-1], dh, dc


def _step_tangent(cell, values, changes):
    """The states h, c behind one step and their changes; see `recurrent_step` for the formulas."""
    (z, inner, h, c), (dz, dinner, dh, dc) = values, changes
    unused = np.zeros_like(c)  # a cell without a second state gives zeros for it
    if cell == "simple":
        after = np.tanh(z + inner)
        return after, unused, (1 - after * after) * (dz + dinner), unused
    z, inner, dz, dinner = (np.split(p, GATES[cell], axis=1) for p in (z, inner, dz, dinner))

    def gate(number):
        value = 0.5 * np.tanh(0.5 * (z[number] + inner[number])) + 0.5
        return value, value * (1 - value) * (dz[number] + dinner[number])

    if cell == "gru":
        (u, du), (r, dr) = gate(0), gate(1)
        g = np.tanh(z[2] + r * inner[2])
        dg = (1 - g * g) * (dz[2] + dr * inner[2] + r * dinner[2])
        return u * h + (1 - u) * g, unused, du * (h - g) + u * dh + (1 - u) * dg, unused
    (i, di), (f, df), (o, do) = gate(0), gate(1), gate(3)
    g = np.tanh(z[2] + inner[2])
    dg = (1 - g * g) * (dz[2] + dinner[2])
    c, dc = f * c + i * g, df * c + f * dc + di * g + i * dg
    squashed = np.tanh(c)
    return o * squashed, c, do * squashed + o * (1 - squashed * squashed) * dc, dc


def _at(array, t):
    """Step t of an array, in its own memory, to be written to: `array[t]` is a copy on a GPU."""
    if isinstance(array, np.ndarray):
        return array[t]
    return view_of(array, t * math.prod(array.shape[1:]), array.shape[1:])


def _keep(k, array, t, off, values):
    """Write `values` over step t of an array in the rows where `off`."""
    overwrite(_at(array, t), k.where(off[:, None], values, array[t]))


def _shown(k, off, zero_masked):
    """Where (T, N) an output is not 0: at steps that count, and between them unless masked."""
    return ~off if zero_masked else k.cumsum((~off).astype(np.float32), 0) > 0


def run_steps(step, x, states, *, sequences, backwards=False, mask=None, zero_masked=False):
    """(last output, outputs, states) of `step(inputs, states) -> (output, states)` over x's steps.

    `mask` and the options are those of `recurrent`; outputs are those of all steps, or of the last
    one alone without `sequences`.
    """
    steps = range(x.shape[1])
    outputs, output = [], None
    for t in reversed(steps) if backwards else steps:
        now, new_states = step(x[:, t], states)
        if mask is None:
            output, states = now, new_states
        else:
            on = mask[:, t]
            before = output if output is not None else elementwise.multiply(now, 0)
            if zero_masked:
                before = elementwise.multiply(now, 0)
            output = _chosen(on, now, before)
            states = tree.map_structure(
                lambda new, old, on=on: _chosen(on, new, old), new_states, states
            )
        outputs.append(output)
    outputs = joining.stack(outputs if sequences else outputs[-1:], axis=1)
    return output, outputs, states


def _chosen(on, new, old):
    axes = tuple(range(1, len(new.shape)))
    return indexing.where(shape.expand_dims(on, axes) if axes else on, new, old)
