"""BackupAndRestore: training that goes on where it was cut off."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil

import numpy as np

from kerasmirror._export import export
from kerasmirror.callbacks.callback import Callback
from kerasmirror.saving import weights
from kerasmirror.saving.atomic import replacing

_STATE = "training_state"
_LARGEST_STATE = 1 << 20


@export("callbacks.BackupAndRestore")
class BackupAndRestore(Callback):
    """Saves the training's state after each epoch, or every `save_freq` batches, in `backup_dir`.

    A `fit` that finds one there, in a new process too, goes on with the epoch after it (with an
    int `save_freq`: anew with the epoch it was saved in), with the weights, the optimizer, the
    layers' seed generators and the states of Python's and NumPy's `random` of that time. After
    `keras.utils.set_random_seed` it ends bit by bit as one that was never cut off. The file is
    written whole or not at all.

    Args: `double_checkpoint` also keeps the state before, for the case that the last one cannot
    be read. `delete_checkpoint` removes the files once all epochs are done.
    Raises: ValueError for an empty `backup_dir`, another `save_freq` or a model without weights.
    Source: Keras 3.15 `keras.callbacks.BackupAndRestore`, which reads and writes the same files,
    without the random states.
    """

    def __init__(
        self, backup_dir, save_freq="epoch", double_checkpoint=False, delete_checkpoint=True
    ):
        super().__init__()
        if not backup_dir:
            raise ValueError(
                "BackupAndRestore: `backup_dir` must be the path of a folder (Empty `backup_dir` "
                "argument passed). "
                f"Received: backup_dir={backup_dir!r}"
            )
        if save_freq != "epoch" and not isinstance(save_freq, int):
            raise ValueError(
                'BackupAndRestore: `save_freq` must be "epoch" or a number of batches (Invalid '
                "value). "
                f"Received: save_freq={save_freq!r}"
            )
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._weights_path = os.path.join(self.backup_dir, "latest.weights.h5")
        self._training_metadata_path = os.path.join(self.backup_dir, "training_metadata.json")
        self._prev_weights_path = _previous(self._weights_path)
        self._prev_training_metadata_path = _previous(self._training_metadata_path)
        self._batches_since_saving = 0
        self._last_batch_seen = 0
        self._current_epoch = 0

    def on_train_begin(self, logs=None):
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore: the model must be built before `fit`, by calling it on data or "
                f"by `build()`. Received: model={self.model!r}"
            )
        if not os.path.exists(self._weights_path):
            return
        try:
            self._restore(self._weights_path, self._training_metadata_path)
        except OSError:
            previous = self._prev_weights_path
            if not os.path.exists(previous):
                raise
            # Keras reads only names that end as weight files do.
            shutil.copyfile(previous, self._weights_path)
            self._restore(self._weights_path, self._prev_training_metadata_path)

    def _restore(self, weights_path, metadata_path):
        optimizer = self.model.optimizer
        if optimizer is not None and not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        found = []
        weights.load_model_weights(
            self.model, weights_path, read=lambda file: found.append(_read_state(file))
        )
        state = found[0]
        if state is None and os.path.exists(metadata_path):  # a backup that Keras wrote
            with open(metadata_path, encoding="utf-8") as file:
                state = json.load(file)
        if state is not None:
            self._current_epoch = int(state["epoch"])
            self.model._initial_epoch = self._current_epoch
            _set_random_states(self.model, state)

    def on_epoch_begin(self, epoch, logs=None):
        self._current_epoch = epoch

    def on_epoch_end(self, epoch, logs=None):
        self._current_epoch = epoch + 1
        self._last_batch_seen = 0
        if self.save_freq == "epoch":
            self._save()

    def on_train_batch_end(self, batch, logs=None):
        if self.save_freq == "epoch":
            return
        new_epoch = batch <= self._last_batch_seen
        self._batches_since_saving += batch + 1 if new_epoch else batch - self._last_batch_seen
        self._last_batch_seen = batch
        if self._batches_since_saving >= self.save_freq:
            self._batches_since_saving = 0
            self._save()

    def _save(self):
        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint:
            for path in (self._weights_path, self._training_metadata_path):
                if os.path.exists(path):
                    shutil.copyfile(path, _previous(path))
        progress = {"epoch": self._current_epoch, "batch": self._last_batch_seen}
        state = json.dumps({**progress, **_random_states(self.model)}).encode("ascii")
        # In one file: a cut between two would leave the weights of one time, the epoch of another.
        weights.save_model_weights(
            self.model,
            self._weights_path,
            add=lambda file: file.create_dataset(_STATE, data=np.frombuffer(state, np.uint8)),
        )
        with (
            replacing(self._training_metadata_path) as path,
            open(path, "w", encoding="utf-8") as file,
        ):
            json.dump(progress, file)

    def on_train_end(self, logs=None):
        self.model._initial_epoch = None
        # After Ctrl-C, epochs are left to do: the backup is what the user wants to go on with.
        done = self._current_epoch >= (self.params or {}).get("epochs", 0)
        if not self.delete_checkpoint or not (done or self.model.stop_training):
            return
        for path in (self._weights_path, self._training_metadata_path):
            for one in (path, _previous(path)):
                with contextlib.suppress(FileNotFoundError):
                    os.remove(one)
        with contextlib.suppress(OSError):  # it holds files that are not ours, or is gone
            os.rmdir(self.backup_dir)


def _previous(path):
    return f"{path}.bkp"


def _generator_states(model):
    """The seed generators' variables: those that are no weights."""
    own = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in own]


def _random_states(model):
    kind, keys, *rest = np.random.get_state()
    return {
        "generators": [variable.numpy().tolist() for variable in _generator_states(model)],
        "python_random": random.getstate(),
        "numpy_random": [kind, keys.tolist(), *rest],
    }


def _read_state(file):
    """What `_save` put beside the weights, or None."""
    if _STATE not in file or not hasattr(file[_STATE], "shape"):
        return None
    dataset = file[_STATE]
    if dataset.dtype != np.uint8 or len(dataset.shape) != 1 or dataset.shape[0] > _LARGEST_STATE:
        raise ValueError("BackupAndRestore: the backup holds no state of a training.")
    return json.loads(dataset[()].tobytes())


def _set_random_states(model, state):
    variables = _generator_states(model)
    values = state.get("generators", [])
    if len(values) == len(variables):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(np.array(value, variable.data.dtype))
    if "python_random" in state:
        version, keys, gauss = state["python_random"]
        random.setstate((version, tuple(keys), gauss))
    if "numpy_random" in state:
        kind, keys, *rest = state["numpy_random"]
        np.random.set_state((kind, np.array(keys, np.uint32), *rest))
