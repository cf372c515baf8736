"""Connectionist temporal classification: the loss with its gradient, and beam search.

Logits (N, T, K). The labels of a sample with a blank before, between and after them are the states
s = 0 .. 2L; an alignment starts in state 0 or 1, stays, goes on by one, or skips a blank between
two labels that differ, and ends in one of the last two.

Source: Graves et al. 2006, https://doi.org/10.1145/1143844.1143891, section 4.1.
"""

from __future__ import annotations

import math

import numpy as np

from . import memory
from .launch import helper, kernel, launch

__all__ = ["ctc_beam_search", "ctc_loss"]


def ctc_loss(logits, labels, label_lengths, times, blank):
    """(loss of each sample, its gradient in the logits).

    Shapes: logits (N, T, K), labels (N, L) of class numbers, label_lengths and times (N,); loss
    (N,). Where no alignment fits into the time, the loss is infinity and its gradient 0.
    """
    logits = np.ascontiguousarray(logits)
    samples, steps, _ = logits.shape
    states = 2 * labels.shape[1] + 1
    loss = memory.empty((samples,), logits.dtype)
    grad = memory.zeros(logits.shape, logits.dtype)
    forward = memory.empty((samples, steps, states), np.dtype(np.float64))
    backward = memory.empty((samples, 2, states), np.dtype(np.float64))
    integers = [np.ascontiguousarray(a, np.int64) for a in (labels, label_lengths, times)]
    launch(_ctc_loss, samples, 1, logits, *integers, loss, grad, forward, backward, blank)
    return loss, grad


@helper
def _log_add(a, b):
    """log(e^a + e^b)."""
    high, low = max(a, b), min(a, b)
    return high if low == -np.inf else high + math.log1p(math.exp(low - high))


@helper
def _log_sum(row):
    """log of the sum of e^row."""
    high = float(row[0])
    for k in range(1, row.size):
        high = max(high, float(row[k]))
    total = 0.0
    for k in range(row.size):
        total += math.exp(row[k] - high)
    return high + math.log(total)


@helper
def _class_of(labels, state, blank):
    return labels[state // 2] if state % 2 == 1 else blank


@helper
def _may_skip(labels, state):
    """Whether an alignment may come into `state` from two states before."""
    return state % 2 == 1 and state > 1 and labels[state // 2] != labels[state // 2 - 1]


@kernel
def _ctc_loss(lo, hi, thread, logits, labels, lengths, times, loss, grad, forward, backward, blank):
    for n in range(lo, hi):  # one item is one sample
        states, steps = 2 * lengths[n] + 1, times[n]
        if steps == 0:
            loss[n] = 0.0 if states == 1 else np.inf
            continue
        alpha = forward[n]
        for t in range(steps):
            # Eq. 6: the log probability of all beginnings of alignments that are in s at t.
            total = _log_sum(logits[n, t])
            for s in range(states):
                if t == 0:
                    before = 0.0 if s < 2 else -np.inf
                else:
                    before = alpha[t - 1, s]
                    if s > 0:
                        before = _log_add(before, alpha[t - 1, s - 1])
                    if _may_skip(labels[n], s):
                        before = _log_add(before, alpha[t - 1, s - 2])
                alpha[t, s] = before + logits[n, t, _class_of(labels[n], s, blank)] - total
        likelihood = alpha[steps - 1, states - 1]
        if states > 1:
            likelihood = _log_add(likelihood, alpha[steps - 1, states - 2])
        loss[n] = -likelihood
        if likelihood == -np.inf:
            continue
        for t in range(steps - 1, -1, -1):
            # Eq. 10 without the emission at t: all ends of alignments that are in s at t.
            beta, after = backward[n, t % 2], backward[n, (t + 1) % 2]
            total = _log_sum(logits[n, t])
            for k in range(logits.shape[2]):
                grad[n, t, k] = math.exp(logits[n, t, k] - total)
            for s in range(states):
                if t == steps - 1:
                    beta[s] = 0.0 if s >= states - 2 else -np.inf
                else:
                    beta[s] = after[s]
                    if s + 1 < states:
                        beta[s] = _log_add(beta[s], after[s + 1])
                    if s + 2 < states and _may_skip(labels[n], s + 2):
                        beta[s] = _log_add(beta[s], after[s + 2])
                # Eq. 16: softmax minus the share of alignments that emit this class at t.
                k = _class_of(labels[n], s, blank)
                grad[n, t, k] -= math.exp(alpha[t, s] + beta[s] - likelihood)
            for s in range(states):
                beta[s] += logits[n, t, _class_of(labels[n], s, blank)] - total


def ctc_beam_search(log_probabilities, times, width, top_paths, blank):
    """(labels, scores): the `top_paths` likeliest labellings of each sample.

    Keeps the `width` likeliest beginnings at each time; a beginning is a tuple of labels, whose
    alignments that end in a blank and in a label are summed apart (Graves 2012,
    https://doi.org/10.1007/978-3-642-24797-2, algorithm 7.1).
    Shapes: log_probabilities (N, T, K), times (N,); labels (top_paths, N, T) with -1 after the
    last, scores (N, top_paths) of log probabilities.
    """
    samples, steps, _ = log_probabilities.shape
    labels = np.full((top_paths, samples, steps), -1, np.int32)
    scores = np.full((samples, top_paths), -np.inf, log_probabilities.dtype)
    for n in range(samples):
        table = log_probabilities[n, : times[n]].astype(np.float64)
        best = _best_beginnings(table, width, blank)[:top_paths]
        for place, (path, score) in enumerate(best):
            labels[place, n, : len(path)] = path
            scores[n, place] = score
    return labels, scores


def _best_beginnings(table, width, blank):
    """[(labels, log probability)] after all rows of a table of log probabilities, best first."""
    beams = {(): (0.0, -np.inf)}  # beginning: its alignments ending in a blank, and in a label
    for row in table:
        grown = {}
        for path, (in_blank, in_label) in beams.items():
            total = np.logaddexp(in_blank, in_label)
            _add(grown, path, 0, total + row[blank])
            if path:
                _add(grown, path, 1, in_label + row[path[-1]])
            for k, score in enumerate(row):
                if k != blank:
                    # The same label again is a new one only after a blank.
                    start = in_blank if path and path[-1] == k else total
                    _add(grown, (*path, k), 1, start + score)
        ranked = sorted(grown.items(), key=lambda item: -np.logaddexp(*item[1]))
        beams = dict(ranked[:width])
    return [(path, np.logaddexp(*ends)) for path, ends in beams.items()]


def _add(beams, path, end, score):
    ends = list(beams.get(path, (-np.inf, -np.inf)))
    ends[end] = np.logaddexp(ends[end], score)
    beams[path] = tuple(ends)
