"""Connectionist temporal classification: its loss, and labels read off the outputs."""

from __future__ import annotations

import numpy as np

from kerasmirror._export import export
from kerasmirror.autodiff import tangents
from kerasmirror.autodiff.composite import composite
from kerasmirror.autodiff.primitive import primitive
from kerasmirror.core import checks, dtypes
from kerasmirror.core.device import kernels_at
from kerasmirror.core.tensor import Tensor
from kerasmirror.ops.nn.precision import narrowed, widened
from kerasmirror.ops.tensor import float_tensor, to_tensor


def _loss_spec(target, output, target_length, output_length, mask_index):
    _check_shapes("ops.ctc_loss", target, output, target_length, output_length)
    return (output.shape[0],), dtypes.result_type(output.dtype, "float32")


def _check_shapes(owner, target, output, target_length, output_length):
    _check_ranks(owner, target=(target, 2), output=(output, 3))
    for name, lengths in (("target_length", target_length), ("output_length", output_length)):
        if (
            len(lengths.shape) != 1
            or None not in (lengths.shape[0], output.shape[0])
            and (lengths.shape[0] != output.shape[0])
        ):
            raise ValueError(
                f"{owner}: `{name}` must have shape ({output.shape[0]},), one for each sample. "
                f"Received: {name}.shape={tuple(lengths.shape)}"
            )


@export("ops.ctc_loss", "ops.nn.ctc_loss")
@composite(_loss_spec)
def ctc_loss(target, output, target_length, output_length, mask_index=0):
    """Minus the log probability of the labels, summed over all their alignments in time.

    Class `mask_index` is the blank. Where no alignment fits into the time (a label needs a step,
    and one more after an equal label), the loss is infinity and its gradient zero.
    Shapes: target (N, L) of class numbers, output (N, T, K) of logits, target_length and
    output_length (N,); result (N,).
    Raises: ValueError for shapes that do not fit, lengths beyond L or T, and labels that are no
    class or the blank. Source: Graves et al. 2006, https://doi.org/10.1145/1143844.1143891, Eq. 8;
    Keras 3.15 `keras.ops.ctc_loss`.
    """
    owner = "ops.ctc_loss"
    output = float_tensor(output)
    parts = [to_tensor(part) for part in (target, target_length, output_length)]
    _check_shapes(owner, parts[0], output, *parts[1:])
    labels, label_lengths, times = (part.data.astype(np.int64) for part in parts)
    blank = _blank(mask_index, output.shape[2], owner)
    _check_lengths(owner, label_lengths, labels.shape[1], "target_length")
    _check_lengths(owner, times, output.shape[1], "output_length")
    used = np.arange(labels.shape[1]) < label_lengths[:, None]
    wrong = used & ((labels < 0) | (labels >= output.shape[2]) | (labels == blank))
    if wrong.any():
        raise ValueError(
            f"{owner}: `target` must hold classes of [0, {output.shape[2]}) other than the blank "
            f"{blank}. Received: {labels[wrong].tolist()[0]} in sample "
            f"{np.argwhere(wrong).tolist()[0][0]}"
        )
    return _ctc_loss(output, labels=labels, label_lengths=label_lengths, times=times, blank=blank)


def _ctc_spec(output, *, labels, label_lengths, times, blank):
    return (output.shape[0],), dtypes.result_type(output.dtype, "float32")


@primitive("ctc_loss", spec=_ctc_spec, tangent=tangents.reducing(lambda options: (1, 2)))
def _ctc_loss(k, output, *, labels, label_lengths, times, blank):
    (wide,) = widened(output)
    loss, grad = k.ctc_loss(wide, labels, label_lengths, times, blank)

    def backward(dy, needs):
        dx = grad * dy.astype(grad.dtype, copy=False)[:, None, None]
        return (narrowed(dx, output.dtype),)

    return loss, backward


def _decoded_spec(inputs, strategy, top_paths, **options):
    _check_ranks("ops.ctc_decode", inputs=(inputs, 3))
    samples, steps, _ = inputs.shape
    paths = 1 if strategy == "greedy" else top_paths
    dtype = dtypes.result_type(inputs.dtype, "float32")
    return [((paths, samples, steps), "int32"), ((samples, paths), dtype)]


@export("ops.ctc_decode", "ops.nn.ctc_decode")
@composite(_decoded_spec)
def ctc_decode(
    inputs,
    sequence_lengths,
    strategy="greedy",
    beam_width=100,
    top_paths=1,
    merge_repeated=True,
    mask_index=0,
):
    """The likeliest labels of each sample, and their scores.

    "greedy" takes the largest class at each time, drops repetitions (with `merge_repeated`) and
    blanks; its score is the sum of the largest inputs, negated. "beam_search" sums the alignments
    of the `beam_width` likeliest beginnings; its scores are log probabilities, best first. Class
    `mask_index` is the blank, the last one where it is None.
    Shapes: inputs (N, T, K) of logits, sequence_lengths (N,); labels (top_paths, N, T) with -1
    after the last, scores (N, top_paths); "greedy" has one path.
    Raises: ValueError for another strategy, and for shapes and lengths that do not fit.
    Source: Keras 3.15 `keras.ops.ctc_decode`.
    """
    owner = "ops.ctc_decode"
    if strategy not in ("greedy", "beam_search"):
        raise ValueError(
            f"{owner}: Invalid strategy, it must be 'greedy' or 'beam_search'. "
            f"Received: strategy={strategy!r}"
        )
    beam_width = checks.positive_int(beam_width, "beam_width", owner=owner)
    top_paths = checks.positive_int(top_paths, "top_paths", owner=owner)
    inputs = float_tensor(inputs)
    _check_ranks(owner, inputs=(inputs, 3))
    paths = 1 if strategy == "greedy" else top_paths
    dtype = dtypes.result_type(inputs.dtype, "float32")
    if paths > beam_width:
        raise ValueError(
            f"{owner}: `top_paths` must be at most `beam_width`. "
            f"Received: top_paths={top_paths}, beam_width={beam_width}"
        )
    values = inputs.data.astype(dtype)
    times = to_tensor(sequence_lengths).data.astype(np.int64)
    _check_lengths(owner, times, values.shape[1], "sequence_lengths")
    blank = _blank(-1 if mask_index is None else mask_index, values.shape[2], owner)
    if strategy == "greedy":
        labels, scores = _greedy(values, times, merge_repeated, blank)
    else:
        k = kernels_at(values)
        labels, scores = k.ctc_beam_search(k.log_softmax(values), times, beam_width, paths, blank)
    return Tensor(labels), Tensor(scores)


def _greedy(values, times, merge_repeated, blank):
    samples, steps, _ = values.shape
    best = values.argmax(-1)
    within = np.arange(steps) < times[:, None]
    kept = within & (best != blank)
    if merge_repeated:
        kept[:, 1:] &= best[:, 1:] != best[:, :-1]
    labels = np.full((1, samples, steps), -1, np.int32)
    for n in range(samples):
        path = best[n, kept[n]]
        labels[0, n, : len(path)] = path
    scores = -np.where(within, values.max(-1), 0).sum(-1, keepdims=True)
    return labels, scores.astype(values.dtype)


def _blank(mask_index, classes, owner):
    place = mask_index + classes if mask_index < 0 else mask_index
    if not 0 <= place < classes:
        raise ValueError(
            f"{owner}: `mask_index` must be one of the {classes} classes. "
            f"Received: mask_index={mask_index}"
        )
    return place


def _check_ranks(owner, **values):
    for name, (value, rank) in values.items():
        if len(value.shape) != rank:
            raise ValueError(
                f"{owner}: `{name}` must have {rank} axes. "
                f"Received: {name}.shape={tuple(value.shape)}"
            )


def _check_lengths(owner, lengths, longest, name):
    if lengths.size and (lengths.min() < 0 or lengths.max() > longest):
        raise ValueError(
            f"{owner}: `{name}` must be within 0 and {longest}. Received: {lengths.tolist()}"
        )
