"""The sequences of token ids that a model is calibrated on."""

from __future__ import annotations

import numpy as np

_SEED = 42


def calibration_samples(config, owner):
    """`config.num_samples` windows of `config.sequence_length` tokens, spread over the data set.

    Texts are tokenized; all tokens follow one another, repeated where there are too few.
    Shapes: the result (samples, 1, length). Raises: ValueError without data or a tokenizer, or with
    an empty data set; TypeError for one that cannot be iterated over.
    """
    dataset, count, length = config.dataset, config.num_samples, config.sequence_length
    if dataset is None or config.tokenizer is None:
        raise ValueError(
            f"{owner}: {config.mode.upper()} quantization requires a `dataset` and a `tokenizer` "
            f"in its config. Received: dataset={dataset!r}, tokenizer={config.tokenizer!r}"
        )
    if isinstance(dataset, (str, bytes)) or not hasattr(dataset, "__iter__"):
        raise TypeError(
            f"{owner}: `dataset` must be an iterable of texts or of token ids. "
            f"Received: dataset of type {type(dataset).__name__}"
        )
    pieces = [_tokens_of(item, config.tokenizer) for item in dataset]
    if not pieces:
        raise ValueError(f"{owner}: Provided dataset is empty, `dataset` must have items.")
    tokens = np.concatenate(pieces)
    if not len(tokens):
        raise ValueError(f"{owner}: `dataset` must have items with tokens. Received: no token")
    tokens = np.tile(tokens, -(-count * length // len(tokens)))
    places = len(tokens) - length + 1
    # From a place that the data do not decide, at equal distances.
    start = int(np.random.default_rng(_SEED).integers(places))
    starts = (start + np.arange(count) * max(1, places // count)) % places
    windows = np.lib.stride_tricks.sliding_window_view(tokens, length)
    return windows[starts][:, None, :]


def _tokens_of(item, tokenizer):
    if isinstance(item, str):
        item = tokenizer.tokenize(item)
    return np.asarray(item).reshape(-1).astype(np.int32)
