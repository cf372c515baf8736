"""Callbacks: what happens around training, evaluation and prediction."""

from kerasmirror.callbacks import (  # noqa: F401 - loading them registers their public names
    callback,
    callback_list,
    history,
    lambda_callback,
    progbar_logger,
    progress_bar,
)
