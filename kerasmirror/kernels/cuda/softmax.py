"""Softmax over the last axis, its logarithm, cross-entropies from logits, and their gradients.

x (..., K) is taken as rows of K classes. A row belongs to a power of two of neighbouring threads
of a block, at most all 256; they read it from the cache when they need it again.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda

from . import memory
from .blocks import (
    THREADS,
    largest_of_lanes,
    lowest,
    row_lanes,
    row_of,
    shared_like,
    sum_of_lanes,
)
from .casting import as_dtype
from .kernel import inlined, kernel
from .launch import launch
from .movement import broadcast_to

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


# --- kernels: (..., rows, classes, lanes of a row) -------------------------------------------


@inlined
def _largest(x, shared, place, mine, rows, n, lanes, row):
    """The largest value of this thread's row; NaN may be missed."""
    best = lowest(x[0])
    if row < rows:
        i = mine
        while i < n:
            v = x[place + i]
            best = v if v > best else best
            i += lanes
    return largest_of_lanes(shared, best, lanes)


@inlined
def _exponentials(x, shared, place, mine, rows, n, lanes, row, largest):
    """The sum of e^(x - largest) over this thread's row."""
    total = type(largest)(0)
    if row < rows:
        i = mine
        while i < n:
            total += math.exp(x[place + i] - largest)
            i += lanes
    return sum_of_lanes(shared, total, lanes)


@kernel("T* T* i4 i4 i4", T="f4 f8", registers=64, traffic="r3 w 6f")
def _softmax(x, y, rows, n, lanes):
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    place = row * n
    shared = shared_like(x[0])
    largest = _largest(x, shared, place, mine, rows, n, lanes, row)
    total = _exponentials(x, shared, place, mine, rows, n, lanes, row, largest)
    if row < rows:
        factor = type(total)(1) / total
        i = mine
        while i < n:
            y[place + i] = math.exp(x[place + i] - largest) * factor
            i += lanes


@kernel("T* T* i4 i4 i4", T="f4 f8", registers=64, traffic="r3 w 5f")
def _log_softmax(x, y, rows, n, lanes):
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    place = row * n
    shared = shared_like(x[0])
    largest = _largest(x, shared, place, mine, rows, n, lanes, row)
    total = _exponentials(x, shared, place, mine, rows, n, lanes, row, largest)
    if row < rows:
        shift = math.log(total)
        i = mine
        while i < n:
            y[place + i] = (x[place + i] - largest) - shift
            i += lanes


@kernel("T* T* T* i4 i4 i4", T="f4 f8", registers=64, traffic="r2 r2 w 4f")
def _softmax_grad(dy, y, dx, rows, n, lanes):
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    place = row * n
    total = type(y[0])(0)
    if row < rows:
        i = mine
        while i < n:
            total += dy[place + i] * y[place + i]
            i += lanes
    total = sum_of_lanes(shared_like(total), total, lanes)
    if row < rows:
        i = mine
        while i < n:
            dx[place + i] = y[place + i] * (dy[place + i] - total)
            i += lanes


@kernel("T* T* T* i4 i4 i4", T="f4 f8", registers=64, traffic="r2 r w 4f")
def _log_softmax_grad(dy, y, dx, rows, n, lanes):
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    place = row * n
    total = type(y[0])(0)
    if row < rows:
        i = mine
        while i < n:
            total += dy[place + i]
            i += lanes
    total = sum_of_lanes(shared_like(total), total, lanes)
    if row < rows:
        i = mine
        while i < n:
            dx[place + i] = dy[place + i] - math.exp(y[place + i]) * total
            i += lanes


@kernel("T* L* T* T* i4 i4 i4", T="f4 f8", L="i4 i8", registers=64, traffic="r3 - - w 6f")
def _sparse_loss(x, labels, loss, p, rows, n, lanes):
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    place = row * n
    shared = shared_like(x[0])
    largest = _largest(x, shared, place, mine, rows, n, lanes, row)
    total = _exponentials(x, shared, place, mine, rows, n, lanes, row, largest)
    if row < rows:
        if mine == 0:
            label = labels[row]
            out = type(total)(math.nan)
            if 0 <= label and label < n:
                out = math.log(total) - (x[place + label] - largest)
            loss[row] = out
        factor = type(total)(1) / total
        i = mine
        while i < n:
            p[place + i] = math.exp(x[place + i] - largest) * factor
            i += lanes


@kernel("T* T* L* T* i4 i4 i4 i4", T="f4 f8", L="i4 i8", traffic="- r - w 2f")
def _sparse_loss_grad(dloss, p, labels, dx, rows, n, lanes, step):
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    if row < rows:
        place = row * n
        factor, label = dloss[row * step], labels[row]
        one = type(factor)(1)
        if label < 0 or label >= n:
            factor = type(factor)(math.nan)
        i = mine
        while i < n:
            v = p[place + i]
            dx[place + i] = factor * (v - one if i == label else v)
            i += lanes


@kernel("T* T* T* T* i4 i4 i4", T="f4 f8", min_blocks=4, registers=64, traffic="r3 r - w 9f")
def _loss(x, targets, loss, p, rows, n, lanes):
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    place = row * n
    shared = shared_like(x[0])
    largest = _largest(x, shared, place, mine, rows, n, lanes, row)
    total = _exponentials(x, shared, place, mine, rows, n, lanes, row, largest)
    zero = type(total)(0)
    sums = zero
    if row < rows:
        factor, shift = type(total)(1) / total, math.log(total)
        i = mine
        while i < n:
            v, weight = x[place + i] - largest, targets[place + i]
            p[place + i] = math.exp(v) * factor
            # A target of 0 counts nothing, also where the logit is -inf: 0 * inf would be NaN.
            if weight != zero:
                sums += weight * (shift - v)
            i += lanes
    sums = sum_of_lanes(shared, sums, lanes)
    if row < rows and mine == 0:
        loss[row] = sums


@kernel("T* T* T* T* i4 i4 i4 i4", T="f4 f8", traffic="- r r w 2f")
def _loss_grad(dloss, p, targets, dx, rows, n, lanes, step):
    row, mine = row_of(lanes), cuda.threadIdx.x & (lanes - 1)
    if row < rows:
        place, factor = row * n, dloss[row * step]
        i = mine
        while i < n:
            dx[place + i] = factor * (p[place + i] - targets[place + i])
            i += lanes


# --- host functions -------------------------------------------------------------------------


def softmax(x):
    """e^x / sum(e^x) of each row."""
    return _map_rows(_softmax, x)


def softmax_grad(dy, y):
    """Gradient for x of y = softmax(x): y * (dy - sum(dy * y))."""
    return _map_rows(_softmax_grad, dy, y)


def log_softmax(x):
    """x - log(sum(e^x)) of each row."""
    return _map_rows(_log_softmax, x)


def log_softmax_grad(dy, y):
    """Gradient for x of y = log_softmax(x): dy - e^y * sum(dy)."""
    return _map_rows(_log_softmax_grad, dy, y)


def sparse_cross_entropy_from_logits(logits, labels):
    """(-log(p[label]) of each row, p = softmax(logits)).

    Shapes: logits (..., K), labels (...) of whole numbers; the loss is NaN, as TensorFlow's, where
    a label is not in [0, K).
    """
    loss, p = _results(logits)
    _launch_rows(_sparse_loss, logits.shape, logits, _whole(labels), loss, p)
    return loss, p


def sparse_cross_entropy_from_logits_grad(dloss, p, labels):
    """Gradient for the logits: dloss * (p - onehot(label)); NaN where a label is not in [0, K)."""
    dx = memory.empty(p.shape, p.dtype)
    dloss, step = _factors(dloss, p)
    _launch_rows(_sparse_loss_grad, p.shape, dloss, p, _whole(labels), dx, more=(step,))
    return dx


def cross_entropy_from_logits(logits, targets):
    """(-sum(targets * log(p)) of each row, p = softmax(logits)); targets (..., K)."""
    loss, p = _results(logits)
    targets = as_dtype(targets, logits.dtype)
    _launch_rows(_loss, logits.shape, logits, targets, loss, p)
    return loss, p


def cross_entropy_from_logits_grad(dloss, p, targets):
    """Gradient for the logits: dloss * (p - targets).

    That is TensorFlow's, which takes the targets of a row to add up to 1; the exact derivative is
    p * sum(targets) - targets.
    """
    dx = memory.empty(p.shape, p.dtype)
    dloss, step = _factors(dloss, p)
    targets = as_dtype(targets, p.dtype)
    _launch_rows(_loss_grad, p.shape, dloss, p, targets, dx, more=(step,))
    return dx


def _results(logits):
    return memory.empty(logits.shape[:-1], logits.dtype), memory.empty(logits.shape, logits.dtype)


def _map_rows(kernel, *arrays):
    y = memory.empty(arrays[-1].shape, arrays[-1].dtype)
    _launch_rows(kernel, y.shape, *arrays, y)
    return y


def _launch_rows(kernel, shape, *arrays, more=()):
    n = shape[-1]
    rows = math.prod(shape[:-1])
    if rows and n:
        lanes = row_lanes(rows, n)
        launch(kernel, -(-rows // (THREADS // lanes)), *arrays, rows, n, lanes, *more)


def _whole(labels):
    return labels if labels.code in ("i4", "i8") else as_dtype(labels, np.dtype(np.int64))


def _factors(dloss, p):
    """dloss, and by how much to go on in it for the next row of p."""
    dloss = as_dtype(dloss, p.dtype)
    if dloss.size == 1:
        return dloss, 0
    return dloss if dloss.shape == p.shape[:-1] else broadcast_to(dloss, p.shape[:-1]), 1
