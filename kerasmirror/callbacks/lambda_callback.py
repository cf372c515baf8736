"""LambdaCallback: hooks given as functions."""

from __future__ import annotations

from kerasmirror._export import export
from kerasmirror.callbacks.callback import Callback


@export("callbacks.LambdaCallback")
class LambdaCallback(Callback):
    """A callback made of functions, one for each hook wanted.

    Args: `on_epoch_begin(epoch, logs)`, `on_train_begin(logs)`, `on_train_batch_end(batch, logs)`
    and so on; any further keyword becomes an attribute, so other hooks can be given as well.
    Source: Keras 3.15 `keras.callbacks.LambdaCallback`.
    """

    def __init__(
        self,
        on_epoch_begin=None,
        on_epoch_end=None,
        on_train_begin=None,
        on_train_end=None,
        on_train_batch_begin=None,
        on_train_batch_end=None,
        **kwargs,
    ):
        super().__init__()
        self.__dict__.update(kwargs)
        given = {
            "on_epoch_begin": on_epoch_begin,
            "on_epoch_end": on_epoch_end,
            "on_train_begin": on_train_begin,
            "on_train_end": on_train_end,
            "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end,
        }
        for hook, function in given.items():
            if function is not None:
                setattr(self, hook, function)
