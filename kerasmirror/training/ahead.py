"""Tell processes that compile kernels ahead what a model's training step will need."""

from __future__ import annotations

import weakref

import numpy as np

from kerasmirror.core import serialization
from kerasmirror.kernels import helpers


def announce(model, data):
    """Let helpers, if a kernel is missing, compile for the training step of `model` on `data`."""
    reference, batch = weakref.ref(model), [_like(part) for part in data]
    helpers.describe(lambda: _description(reference(), batch))


def _description(model, batch):
    """Plain data from which `take_step` builds a model; None for what is no plain data."""
    if model is None or batch[0] is None:
        return None
    try:
        return {
            "model": serialization.serialize_keras_object(model),
            "compile": model.get_compile_config(),
            "batch": batch,
        }
    except Exception:  # noqa: BLE001 - whatever a user's get_config raises, training goes on
        return None


def take_step(description):
    """Take the training step that `description` tells of, on zeros."""
    model = serialization.deserialize_keras_object(description["model"])
    model.compile_from_config(description["compile"])
    x, y, sample_weight = (_zeros(part) for part in description["batch"])
    model.train_on_batch(x, y, sample_weight)


def _like(part):
    """The shapes and types of a batch's part as plain data; None for other than arrays."""
    if isinstance(part, np.ndarray):
        return {"shape": part.shape, "dtype": part.dtype.name}
    if isinstance(part, (list, tuple)):
        return [_like(item) for item in part]
    return None


def _zeros(part):
    if part is None:
        return None
    if isinstance(part, list):
        return [_zeros(item) for item in part]
    return np.zeros(part["shape"], part["dtype"])
