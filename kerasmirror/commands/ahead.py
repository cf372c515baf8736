"""A process that compiles the kernels of another one's model into the cache (kernels/helpers.py).

A line of its input describes a model and a batch. It takes a training step of that model without
computing anything, and compiles what the step needs, the last kernel first, since the other process
begins with the first.
"""

import json
import os
import queue
import sys
import threading
import warnings

import numpy as np

from kerasmirror import layers, models
from kerasmirror.kernels import for_device
from kerasmirror.training import ahead

# Seconds without a model after which the program is likely to train none.
_PATIENCE = 60


def notes_of(computation):
    """The (kernel, arguments) that `computation` would compile."""
    noting = for_device("cpu").noting.noting()
    with warnings.catch_warnings(), np.errstate(all="ignore"), noting as notes:
        warnings.simplefilter("ignore")
        computation()
    return notes


def _notes_of_model(line):
    """What is needed for the training step that `line` describes; nothing if that is not clear."""
    try:
        return notes_of(lambda: ahead.take_step(json.loads(line)))
    except Exception:  # noqa: BLE001 - classes that are not known here, a step that needs results
        return []


def _read(lines):
    for line in sys.stdin:
        lines.put(line)
    os._exit(0)  # whatever is being compiled, nobody waits for it


def _usual_step():
    """A training step whose kernels nearly every model needs."""
    hidden, output = layers.Dense(64, "relu"), layers.Dense(10, "softmax")
    model = models.Sequential([layers.Input((64,)), hidden, layers.Dropout(0.5), output])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.train_on_batch(np.zeros((32, 64), np.float32), np.zeros(32, np.int64))


def main():
    """Compile for the models that standard input describes, until it ends."""
    lines = queue.SimpleQueue()
    threading.Thread(target=_read, args=(lines,), daemon=True).start()
    for_device("cpu").noting.compile_launchers()  # the other process goes on with one thread
    waiting = notes_of(_usual_step)  # until a model is known
    while True:
        try:
            waiting = _notes_of_model(lines.get(timeout=0 if waiting else _PATIENCE))
        except queue.Empty:
            if not waiting:
                return
        if waiting:
            kernel, args = waiting.pop()
            kernel.compile_for_others(args)
