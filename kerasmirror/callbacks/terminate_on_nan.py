"""TerminateOnNaN: no further step after a loss that is no number."""

from __future__ import annotations

import math

from kerasmirror._export import export
from kerasmirror.callbacks.callback import Callback
from kerasmirror.core.console import print_msg


@export("callbacks.TerminateOnNaN")
class TerminateOnNaN(Callback):
    """Stops `fit` at the first batch whose loss is NaN or infinite.

    With `raise_error` it raises RuntimeError at once, so that no callback's `on_train_end` runs
    (a backup stays); otherwise training ends as `stop_training` ends it.
    Source: Keras 3.15 `keras.callbacks.TerminateOnNaN`.
    """

    def __init__(self, raise_error=False):
        super().__init__()
        self.raise_error = raise_error

    def on_batch_end(self, batch, logs=None):
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(loss):
            return
        if self.raise_error:
            raise RuntimeError(
                "TerminateOnNaN: the loss must be finite (NaN or Inf loss encountered). "
                f"Received: loss={loss} at batch {batch}"
            )
        print_msg(f"Batch {batch}: Invalid loss, terminating training")
        self.model.stop_training = True
