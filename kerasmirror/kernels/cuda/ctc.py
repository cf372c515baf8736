"""Connectionist temporal classification: the loss with its gradient.

Logits (N, T, K). The labels of a sample with a blank before, between and after them are the states
s = 0 .. 2L; an alignment starts in state 0 or 1, stays, goes on by one, or skips a blank between
two labels that differ, and ends in one of the last two. Log probabilities are float64: over long
times float32 loses the gradient's digits.

Source: Graves et al. 2006, https://doi.org/10.1145/1143844.1143891, section 4.1.
"""

from __future__ import annotations

import math

import numpy as np
from numba import cuda, float64, int32

from . import memory
from .array import DeviceArray
from .casting import as_dtype
from .indices import add32, grid_index, quotient, remainder
from .kernel import inlined, kernel
from .launch import blocks_for, launch

__all__ = ["ctc_beam_search", "ctc_loss"]

_THREADS = 128
_MINUS_INFINITY = float64(-np.inf)


def ctc_loss(logits, labels, label_lengths, times, blank):
    """(loss of each sample, its gradient in the logits).

    Shapes: logits (N, T, K), labels (N, L) of class numbers, label_lengths and times (N,), which
    may be arrays of the host; loss (N,). Where no alignment fits into the time, the loss is
    infinity and its gradient 0.
    """
    samples, steps, classes = logits.shape
    length = labels.shape[1]
    labels, label_lengths, times = (_whole(part) for part in (labels, label_lengths, times))
    loss = memory.empty((samples,), logits.dtype)
    grad = memory.empty(logits.shape, logits.dtype)
    log_sums = memory.empty((samples, steps), np.float64)
    shares = memory.empty((samples, steps, 2 * length + 1), np.float64)
    backward = memory.empty((samples, 2, 2 * length + 1), np.float64)
    # Of each label: the place of the next equal one (L behind the last), and whether it is first.
    following = memory.empty((samples, length), np.int32)
    first = memory.empty((samples, length), np.int32)
    rows, pairs, sizes = samples * steps, samples * length, (steps, classes, length, blank)
    launch(_log_sums, rows, logits, log_sums, classes)
    equal = labels, label_lengths, following, first
    launch(_equal_labels, blocks_for(pairs), *equal, length, pairs)
    given = logits, log_sums, labels, label_lengths, times, loss, shares
    launch(_alignments, samples, *given, backward, *sizes)
    launch(_gradient, rows, *given, following, first, grad, *sizes)
    return loss, grad


def _whole(part):
    """Whole numbers, of the host or on the device, as int32 on the device."""
    if isinstance(part, DeviceArray):
        return as_dtype(part, np.dtype(np.int32))
    return memory.to_device(np.asarray(part, np.int32))


@inlined
def _log_add(a, b):
    """log(e^a + e^b)."""
    high, low = (a, b) if a > b else (b, a)
    return high if low == _MINUS_INFINITY else high + math.log1p(math.exp(low - high))


@inlined
def _class_of(labels, row, state, blank):
    return labels[row + (state >> 1)] if state & 1 else int32(blank)


@inlined
def _may_skip(labels, row, state):
    """Whether an alignment may come into `state` from two states before."""
    place = row + (state >> 1)
    return state & 1 == 1 and state > 1 and labels[place] != labels[place - 1]


@kernel("T* f8* i4", T="f4 f8", block=_THREADS, traffic="r - 3f")
def _log_sums(logits, sums, classes):
    # One block owns one row of logits: each thread goes along with the largest value so far.
    row = cuda.blockIdx.x
    me = cuda.threadIdx.x
    high, total = _MINUS_INFINITY, float64(0)
    k = me
    while k < classes:
        value = float64(logits[row * classes + k])
        if value > high:
            total = total * math.exp(high - value) + float64(1)
            high = value
        elif value > _MINUS_INFINITY or value != value:
            total += math.exp(value - high)
        k += _THREADS
    highs = cuda.shared.array(_THREADS, float64)
    totals = cuda.shared.array(_THREADS, float64)
    highs[me], totals[me] = high, total
    cuda.syncthreads()
    half = _THREADS // 2
    while half > 0:
        if me < half:
            other, rest = highs[me + half], totals[me + half]
            if other > highs[me]:
                totals[me] = totals[me] * math.exp(highs[me] - other) + rest
                highs[me] = other
            elif rest != 0:
                totals[me] += rest * math.exp(other - highs[me])
        cuda.syncthreads()
        half >>= 1
    if me == 0:
        sums[row] = highs[0] + math.log(totals[0])


@kernel("i4* i4* i4* i4* i4 i4", traffic="r - w w 0f")
def _equal_labels(labels, lengths, following, first, length, n):
    i = grid_index()
    if i < n:
        place = remainder(i, length)
        row = i - place
        used = lengths[quotient(i, length)]
        other = add32(place, 1)
        while other < used and labels[row + other] != labels[i]:
            other += 1
        following[i] = other if other < used else length
        other = add32(place, -1)
        while other >= 0 and labels[row + other] != labels[i]:
            other -= 1
        first[i] = 1 if other < 0 else 0


@kernel(
    "T* f8* i4* i4* i4* T* f8* f8* i4 i4 i4 i4",
    T="f4 f8",
    block=_THREADS,
    traffic="r - - - - - r3w rw 12f",
)
def _alignments(
    logits, log_sums, labels, lengths, times, loss, shares, backward, steps, classes, length, blank
):
    # One block owns one sample, one thread every _THREADS-th state. `shares` are first the log
    # probabilities of beginnings (alpha), then the share of alignments that are in s at t.
    n = cuda.blockIdx.x
    most = 2 * length + 1
    states, used = 2 * lengths[n] + 1, times[n]
    row = n * length
    if used == 0:
        if cuda.threadIdx.x == 0:
            loss[n] = type(loss[n])(0) if states == 1 else type(loss[n])(np.inf)
        return
    t = 0
    while t < used:
        # Eq. 6: the log probability of all beginnings of alignments that are in s at t.
        here = (n * steps + t) * most
        before = here - most
        emitted = (n * steps + t) * classes
        total = log_sums[n * steps + t]
        s = cuda.threadIdx.x
        while s < states:
            if t == 0:
                value = float64(0) if s < 2 else _MINUS_INFINITY
            else:
                value = shares[before + s]
                if s > 0:
                    value = _log_add(value, shares[before + s - 1])
                if _may_skip(labels, row, s):
                    value = _log_add(value, shares[before + s - 2])
            k = _class_of(labels, row, s, blank)
            shares[here + s] = value + float64(logits[emitted + k]) - total
            s += _THREADS
        cuda.syncthreads()
        t += 1
    last = (n * steps + used - 1) * most + states - 1
    likelihood = shares[last]
    if states > 1:
        likelihood = _log_add(likelihood, shares[last - 1])
    if cuda.threadIdx.x == 0:
        loss[n] = -likelihood
    # Before any of what was read here becomes a share.
    cuda.syncthreads()
    if likelihood == _MINUS_INFINITY:
        return
    t = used - 1
    while t >= 0:
        # Eq. 10 without the emission at t: all ends of alignments that are in s at t.
        here = (n * steps + t) * most
        now, after = (2 * n + (t & 1)) * most, (2 * n + 1 - (t & 1)) * most
        emitted = (n * steps + t) * classes
        total = log_sums[n * steps + t]
        s = cuda.threadIdx.x
        while s < states:
            if t == used - 1:
                value = float64(0) if s >= states - 2 else _MINUS_INFINITY
            else:
                value = backward[after + s]
                if s + 1 < states:
                    value = _log_add(value, backward[after + s + 1])
                if s + 2 < states and _may_skip(labels, row, s + 2):
                    value = _log_add(value, backward[after + s + 2])
            k = _class_of(labels, row, s, blank)
            shares[here + s] = math.exp(shares[here + s] + value - likelihood)
            backward[now + s] = value + float64(logits[emitted + k]) - total
            s += _THREADS
        cuda.syncthreads()
        t -= 1


@kernel(
    "T* f8* i4* i4* i4* T* f8* i4* i4* T* i4 i4 i4 i4",
    T="f4 f8",
    block=_THREADS,
    traffic="r - - - - - r - - w 3f",
)
def _gradient(
    logits, log_sums, labels, lengths, times, loss, shares, following, first, grad,
    steps, classes, length, blank
):  # fmt: skip
    # Eq. 16: softmax minus the share of alignments that emit this class at t. One block owns the
    # classes of one sample at one time; the thread of a class's first label subtracts for it.
    at = cuda.blockIdx.x
    n = quotient(at, steps)
    me = cuda.threadIdx.x
    counts = at - n * steps < times[n] and loss[n] != type(loss[n])(np.inf)
    total = log_sums[at]
    k = me
    while k < classes:
        place = at * classes + k
        v = logits[place]
        grad[place] = math.exp(type(v)(float64(v) - total)) if counts else type(v)(0)
        k += _THREADS
    cuda.syncthreads()
    if counts:
        here, row, used = at * (2 * length + 1), n * length, lengths[n]
        i = me
        while i <= used:
            if i == used:  # one thread for the blanks, the states with even numbers
                share, s = float64(0), 0
                while s <= 2 * used:
                    share += shares[here + s]
                    s += 2
                place = at * classes + blank
                grad[place] = type(loss[n])(float64(grad[place]) - share)
            elif first[row + i]:
                share, other = float64(0), i
                while other < length:
                    share += shares[here + 2 * other + 1]
                    other = following[row + other]
                place = at * classes + labels[row + i]
                grad[place] = type(loss[n])(float64(grad[place]) - share)
            i += _THREADS


def ctc_beam_search(log_probabilities, times, width, top_paths, blank):
    """(labels, scores): the `top_paths` likeliest labellings of each sample, on the CPU alone.

    Raises: NotImplementedError; its beams are tables of labellings that grow and merge.
    """
    raise NotImplementedError(
        "kerasmirror: ctc_beam_search has no CUDA kernel. Run it on the CPU: "
        'with keras.device("cpu:0"): ..., on tensors made there (`keras.ops.convert_to_numpy` '
        "brings them)."
    )
