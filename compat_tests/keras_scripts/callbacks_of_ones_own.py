"""Callbacks: one's own, those of Keras, and those of other packages that are installed."""

import importlib.util
import tempfile

import numpy as np
from tensorflow import keras
from tensorflow.keras.callbacks import Callback, EarlyStopping, ModelCheckpoint


class Recorder(Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append("train begins")

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append((epoch, sorted(logs)))

    def on_train_batch_end(self, batch, logs=None):
        assert logs["loss"] >= 0

    def on_train_end(self, logs=None):
        self.calls.append("train ends")


class LossSchedule(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        rate = float(self.model.optimizer.learning_rate)
        self.model.optimizer.learning_rate = rate * 0.9


keras.utils.set_random_seed(4)
x = np.random.random((128, 6)).astype("float32")
y = (x[:, :1] > 0.5).astype("float32")
model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1, activation="sigmoid")])
model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
recorder = Recorder()
others = []
if importlib.util.find_spec("tqdm"):
    from tqdm.keras import TqdmCallback

    others.append(TqdmCallback(verbose=0))
with tempfile.TemporaryDirectory() as folder:
    model.fit(
        x,
        y,
        epochs=3,
        verbose=0,
        validation_split=0.25,
        callbacks=[
            recorder,
            LossSchedule(),
            EarlyStopping(patience=2, restore_best_weights=True),
            ModelCheckpoint(folder + "/{epoch}.weights.h5", save_weights_only=True),
            *others,
        ],
    )
names = ["accuracy", "loss", "val_accuracy", "val_loss"]
expected = ["train begins", *((i, names) for i in range(3)), "train ends"]
assert recorder.calls == expected, recorder.calls
assert abs(float(model.optimizer.learning_rate) - 0.001 * 0.9**3) < 1e-9
if importlib.util.find_spec("optuna_integration"):
    import optuna
    from optuna_integration import KerasPruningCallback

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def objective(trial):
        model.optimizer.learning_rate = trial.suggest_float("rate", 1e-3, 1e-1)
        pruning = KerasPruningCallback(trial, "loss")
        return model.fit(x, y, epochs=2, verbose=0, callbacks=[pruning]).history["loss"][-1]

    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.optimize(objective, n_trials=2)
    assert len(study.trials) == 2 and all(trial.values for trial in study.trials)
print("callbacks", len(others))
