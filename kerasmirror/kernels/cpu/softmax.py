"""Softmax over the last axis, its logarithm, cross-entropies from logits, and their gradients.

x (..., K) is taken as rows of K classes; one item of a kernel is one row.
"""

from __future__ import annotations

import numpy as np

from . import memory, threads, vectormath
from .launch import inlined, kernel, launch
from .simd import flat_rows

__all__ = [
    "cross_entropy_from_logits",
    "cross_entropy_from_logits_grad",
    "log_softmax",
    "log_softmax_grad",
    "softmax",
    "softmax_grad",
    "sparse_cross_entropy_from_logits",
    "sparse_cross_entropy_from_logits_grad",
]

_TOGETHER = 2048  # elements


def softmax(x: np.ndarray) -> np.ndarray:
    """e^x / sum(e^x) of each row."""
    return _map_rows(_softmax, x)


def softmax_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient for x of y = softmax(x): y * (dy - sum(dy * y))."""
    return _map_rows(_softmax_grad, y, dy)


def log_softmax(x: np.ndarray) -> np.ndarray:
    """x - log(sum(e^x)) of each row."""
    return _map_rows(_log_softmax, x)


def log_softmax_grad(dy: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Gradient for x of y = log_softmax(x): dy - e^y * sum(dy)."""
    return _map_rows(_log_softmax_grad, y, dy)


def sparse_cross_entropy_from_logits(logits: np.ndarray, labels: np.ndarray):
    """(-log(p[label]) of each row, p = softmax(logits)).

    Shapes: logits (..., K), labels (...) of whole numbers; the loss is NaN, as TensorFlow's, where
    a label is not in [0, K).
    """
    logits = np.ascontiguousarray(logits)
    loss, p = (
        memory.empty(logits.shape[:-1], logits.dtype),
        memory.empty(logits.shape, logits.dtype),
    )
    labels = np.ascontiguousarray(labels, np.int64)
    _launch_rows(_sparse_loss, _rows(logits), labels.reshape(-1), loss.reshape(-1), _rows(p))
    return loss, p


def sparse_cross_entropy_from_logits_grad(dloss, p, labels) -> np.ndarray:
    """Gradient for the logits: dloss * (p - onehot(label)); NaN where a label is not in [0, K)."""
    p = np.ascontiguousarray(p)
    dx = memory.empty(p.shape, p.dtype)
    dloss = _factors(dloss, p)
    labels = np.ascontiguousarray(labels, np.int64).reshape(-1)
    _launch_rows(_sparse_loss_grad, _rows(p), dloss, labels, _rows(dx))
    return dx


def cross_entropy_from_logits(logits: np.ndarray, targets: np.ndarray):
    """(-sum(targets * log(p)) of each row, p = softmax(logits)); targets (..., K)."""
    logits = np.ascontiguousarray(logits)
    loss, p = (
        memory.empty(logits.shape[:-1], logits.dtype),
        memory.empty(logits.shape, logits.dtype),
    )
    targets = np.ascontiguousarray(targets, logits.dtype)
    _launch_rows(_loss, _rows(logits), _rows(targets), loss.reshape(-1), _rows(p))
    return loss, p


def cross_entropy_from_logits_grad(dloss, p, targets) -> np.ndarray:
    """Gradient for the logits: dloss * (p - targets).

    That is TensorFlow's, which takes the targets of a row to add up to 1; the exact derivative is
    p * sum(targets) - targets.
    """
    p = np.ascontiguousarray(p)
    dx = memory.empty(p.shape, p.dtype)
    dloss = _factors(dloss, p)
    targets = np.ascontiguousarray(targets, p.dtype)
    _launch_rows(_loss_grad, _rows(p), _rows(targets), dloss, _rows(dx))
    return dx


def _map_rows(body, *arrays):
    y = memory.empty(arrays[0].shape, arrays[0].dtype)
    _launch_rows(body, *(_rows(a) for a in arrays), _rows(y))
    return y


def _rows(x):
    """x as contiguous rows of its last axis."""
    if not x.flags.c_contiguous:
        x = np.ascontiguousarray(x)
    if x.ndim == 2:
        return x
    width = x.shape[-1]
    return x.reshape(x.size // width if width else 0, width)


def _factors(dloss, p):
    """dloss for each row of p, flat."""
    if np.shape(dloss) != p.shape[:-1]:
        dloss = np.broadcast_to(dloss, p.shape[:-1])
    return np.ascontiguousarray(dloss, p.dtype).reshape(-1)


def _launch_rows(body, x, *others):
    launch(body, x.shape[0], threads.chunk_of(4 * x.shape[1]), x, *others)


@inlined
def _largest(x):
    """The largest value, eight at a time: one maximum would wait for itself. NaN may be missed."""
    best = x[0]
    whole = x.size // 8 * 8
    if whole:
        a, b, c, d, e, f, g, h = x[0], x[1], x[2], x[3], x[4], x[5], x[6], x[7]
        for i in range(8, whole, 8):
            a = vectormath.select(x[i] > a, x[i], a)
            b = vectormath.select(x[i + 1] > b, x[i + 1], b)
            c = vectormath.select(x[i + 2] > c, x[i + 2], c)
            d = vectormath.select(x[i + 3] > d, x[i + 3], d)
            e = vectormath.select(x[i + 4] > e, x[i + 4], e)
            f = vectormath.select(x[i + 5] > f, x[i + 5], f)
            g = vectormath.select(x[i + 6] > g, x[i + 6], g)
            h = vectormath.select(x[i + 7] > h, x[i + 7], h)
        best = max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)))
    for i in range(whole, x.size):
        best = vectormath.select(x[i] > best, x[i], best)
    return best


@inlined
def _total(x):
    """The sum, in eight partial sums."""
    zero = x.dtype.type(0)
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    whole = x.size // 8 * 8
    for i in range(0, whole, 8):
        a += x[i]
        b += x[i + 1]
        c += x[i + 2]
        d += x[i + 3]
        e += x[i + 4]
        f += x[i + 5]
        g += x[i + 6]
        h += x[i + 7]
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for i in range(whole, x.size):
        total += x[i]
    return total


@inlined
def _total_product(x, y):
    """The sum of x * y, in four partial sums."""
    zero = x.dtype.type(0)
    a, b, c, d = zero, zero, zero, zero
    whole = x.size // 4 * 4
    for i in range(0, whole, 4):
        a += x[i] * y[i]
        b += x[i + 1] * y[i + 1]
        c += x[i + 2] * y[i + 2]
        d += x[i + 3] * y[i + 3]
    total = (a + b) + (c + d)
    for i in range(whole, x.size):
        total += x[i] * y[i]
    return total


@inlined
def _exponentials(x, y, lo, hi):
    """y = e^(x - largest of the row) for rows lo to hi.

    All rows in one loop: row by row, most of ten classes would not fill a vector.
    """
    for n in range(lo, hi):
        row, out = x[n], y[n]
        largest = _largest(row)
        for i in range(row.size):
            out[i] = row[i] - largest
    flat = flat_rows(y, lo, hi)
    for i in range(flat.size):
        flat[i] = vectormath.exp(flat[i])


@inlined
def _rows_at_once(x):
    """How many rows to take together, so that they stay in the first cache."""
    return max(1, _TOGETHER // max(1, x.shape[1]))


@inlined
def _scale(y, factor):
    for i in range(y.size):
        y[i] *= factor


@kernel
def _softmax(lo, hi, thread, x, y):
    step = _rows_at_once(x)
    for start in range(lo, hi, step):
        stop = min(start + step, hi)
        _exponentials(x, y, start, stop)
        for n in range(start, stop):
            _scale(y[n], x.dtype.type(1) / _total(y[n]))


@kernel
def _softmax_grad(lo, hi, thread, y, dy, dx):
    for n in range(lo, hi):
        row, drow, out = y[n], dy[n], dx[n]
        inner = _total_product(row, drow)
        for i in range(row.size):
            out[i] = row[i] * (drow[i] - inner)


@kernel
def _log_softmax(lo, hi, thread, x, y):
    step = _rows_at_once(x)
    for start in range(lo, hi, step):
        stop = min(start + step, hi)
        _exponentials(x, y, start, stop)
        for n in range(start, stop):
            row, out = x[n], y[n]
            largest, shift = _largest(row), vectormath.log(_total(out))
            for i in range(row.size):
                out[i] = (row[i] - largest) - shift


@kernel
def _log_softmax_grad(lo, hi, thread, y, dy, dx):
    for n in range(lo, hi):
        row, drow, out = y[n], dy[n], dx[n]
        total = _total(drow)
        for i in range(row.size):
            out[i] = drow[i] - vectormath.exp(row[i]) * total


@kernel
def _sparse_loss(lo, hi, thread, x, labels, loss, p):
    step = _rows_at_once(x)
    for start in range(lo, hi, step):
        stop = min(start + step, hi)
        _exponentials(x, p, start, stop)
        for n in range(start, stop):
            total, label = _total(p[n]), labels[n]
            _scale(p[n], x.dtype.type(1) / total)
            if 0 <= label < x.shape[1]:
                loss[n] = vectormath.log(total) - (x[n, label] - _largest(x[n]))
            else:
                loss[n] = x.dtype.type(np.nan)


@kernel
def _sparse_loss_grad(lo, hi, thread, p, dloss, labels, dx):
    for n in range(lo, hi):
        row, out, label = p[n], dx[n], labels[n]
        inside = 0 <= label < row.size
        factor = dloss[n] if inside else p.dtype.type(np.nan)
        for i in range(row.size):
            out[i] = factor * row[i]
        if inside:
            out[label] = factor * (row[label] - p.dtype.type(1))


@kernel
def _loss(lo, hi, thread, x, targets, loss, p):
    step = _rows_at_once(x)
    for start in range(lo, hi, step):
        stop = min(start + step, hi)
        _exponentials(x, p, start, stop)
        for n in range(start, stop):
            row, weights, total = x[n], targets[n], _total(p[n])
            _scale(p[n], x.dtype.type(1) / total)
            largest, shift = _largest(row), vectormath.log(total)
            # A target of 0 counts nothing, also where the logit is -inf: 0 * inf would be NaN.
            sum_ = x.dtype.type(0)
            for i in range(row.size):
                if weights[i] != x.dtype.type(0):
                    sum_ += weights[i] * (shift - (row[i] - largest))
            loss[n] = sum_


@kernel
def _loss_grad(lo, hi, thread, p, targets, dloss, dx):
    for n in range(lo, hi):
        row, weights, out, factor = p[n], targets[n], dx[n], dloss[n]
        for i in range(row.size):
            out[i] = factor * (row[i] - weights[i])
