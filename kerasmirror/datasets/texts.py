"""What IMDB and Reuters share: texts as lists of word ranks."""

from __future__ import annotations

import json

import numpy as np


def with_start(texts, start_char, index_from):
    """Each word's rank moved up by `index_from`, and `start_char` in front of each text."""
    start = [] if start_char is None else [start_char]
    return [start + [word + (index_from or 0) for word in text] for text in texts]


def shorter_than(maxlen, texts, labels):
    """The texts, with their labels, of fewer than `maxlen` words."""
    kept = [(text, label) for text, label in zip(texts, labels, strict=True) if len(text) < maxlen]
    return [text for text, _ in kept], [label for _, label in kept]


def with_known_words(texts, num_words, skip_top, oov_char):
    """Only ranks from `skip_top` to below `num_words`; the others become `oov_char`, or vanish."""
    num_words = num_words or max(max(text) for text in texts)
    if oov_char is None:
        return [[word for word in text if skip_top <= word < num_words] for text in texts]
    return [[word if skip_top <= word < num_words else oov_char for word in text] for text in texts]


def as_array(texts):
    """An array of lists; of single words when all texts are equally long, as in Keras."""
    return np.array(texts, dtype="object")


def read_json(path):
    """The content of a JSON file."""
    with open(path, encoding="utf-8") as file:
        return json.load(file)
