"""Callbacks: what happens around training, evaluation and prediction."""

from kerasmirror.callbacks import (  # noqa: F401 - loading them registers their public names
    backup_and_restore,
    callback,
    callback_list,
    csv_logger,
    early_stopping,
    history,
    lambda_callback,
    learning_rate,
    model_checkpoint,
    progbar_logger,
    progress_bar,
    remote_monitor,
    swap_ema_weights,
    terminate_on_nan,
)
