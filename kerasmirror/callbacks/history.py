"""History: the record of a training run."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.callbacks.callback import Callback


@export("callbacks.History")
class History(Callback):
    """Keeps each epoch's logs; every `fit` adds one and returns it.

    `epoch` lists the epochs' numbers, `history` maps a log's name to its value in each of them.
    Source: Keras 3.15 `keras.callbacks.History`.
    """

    def __init__(self):
        super().__init__()
        self.history = {}

    def on_train_begin(self, logs=None):
        self.epoch = []

    def on_epoch_end(self, epoch, logs=None):
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        self.model.history = self
