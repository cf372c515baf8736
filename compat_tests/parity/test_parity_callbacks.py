"""Callbacks driven by the same sequence of logs on both sides; progress bars by the same clock."""

import importlib

import numpy as np
import pytest
from side_by_side import real_keras

import kerasmirror

pytestmark = [
    pytest.mark.keras,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


@pytest.fixture(scope="module")
def tf_keras():
    return real_keras()[0]


class Optimizer:
    def __init__(self):
        self.learning_rate = 0.1


class Model:
    """Just what callbacks touch; its weights are the number of epochs it has seen."""

    def __init__(self):
        self.stop_training = False
        self.optimizer = Optimizer()
        self.metrics = []
        self.weights = [np.array([0.0])]
        self.saved = []

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = [weight.copy() for weight in weights]

    def save_weights(self, filepath, overwrite):
        self.saved.append((filepath.rsplit("/", 1)[1], float(self.weights[0][0])))


def run(keras, make, logs):
    """Everything that is seen of a run: the epochs, logs, weights, rates and saved files."""
    model = Model()
    callbacks = keras.callbacks.CallbackList(
        [make(keras.callbacks)], add_history=True, model=model, epochs=len(logs)
    )
    rates = []
    callbacks.on_train_begin()
    for epoch, entry in enumerate(logs):
        callbacks.on_epoch_begin(epoch)
        for batch in range(3):
            callbacks.on_train_batch_begin(batch)
            callbacks.on_train_batch_end(batch, dict(entry))
        model.weights[0] = model.weights[0] + 1
        callbacks.on_epoch_end(epoch, dict(entry))
        rates.append(float(model.optimizer.learning_rate))
        if model.stop_training:
            break
    callbacks.on_train_end({})
    history = model.history
    return history.epoch, history.history, rates, model.weights[0].tolist(), model.saved


def losses(seed):
    rng = np.random.RandomState(seed)
    values = np.abs(np.cumsum(rng.normal(-0.05, 0.2, size=25)) + 1).round(2)
    return [{"loss": float(v) / 2, "val_loss": float(v), "val_accuracy": float(v)} for v in values]


CASES = {
    "stop": lambda c: c.EarlyStopping(),
    "stop-patience": lambda c: c.EarlyStopping(patience=3, restore_best_weights=True, verbose=1),
    "stop-delta": lambda c: c.EarlyStopping(min_delta=0.15, patience=2),
    "stop-max": lambda c: c.EarlyStopping("val_accuracy", mode="max", patience=2),
    "stop-baseline": lambda c: c.EarlyStopping(baseline=0.9, patience=3, restore_best_weights=True),
    "stop-late": lambda c: c.EarlyStopping(start_from_epoch=5, verbose=1),
    "plateau": lambda c: c.ReduceLROnPlateau(patience=1, factor=0.5, verbose=1),
    "plateau-cooldown": lambda c: c.ReduceLROnPlateau(
        patience=2, cooldown=2, min_delta=0.1, min_lr=1e-3
    ),
    "plateau-max": lambda c: c.ReduceLROnPlateau("val_accuracy", mode="max", patience=1),
    "schedule": lambda c: c.LearningRateScheduler(lambda epoch, rate: rate * 0.9, verbose=1),
    "schedule-epoch": lambda c: c.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)),
    "lambda": lambda c: c.LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(new=epoch)),
    "nan": lambda c: c.TerminateOnNaN(),
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("case", CASES)
def test_a_run_is_the_same_with_both(tf_keras, capsys, case, seed):
    logs = losses(seed)
    if case == "nan":
        logs[7]["loss"] = float("nan")
    expected = run(tf_keras, CASES[case], logs)
    printed = capsys.readouterr().out
    assert repr(run(kerasmirror, CASES[case], logs)) == repr(expected)
    assert capsys.readouterr().out == printed


CHECKPOINTS = {
    "each": {},
    "best": {"save_best_only": True},
    "best-max": {"save_best_only": True, "monitor": "val_accuracy", "mode": "max"},
    "threshold": {"save_best_only": True, "initial_value_threshold": 0.8},
    "batches": {"save_freq": 4},
}


@pytest.mark.parametrize("case", CHECKPOINTS)
def test_checkpoints_are_saved_at_the_same_times(tf_keras, tmp_path, capsys, case):
    def make(callbacks):
        return callbacks.ModelCheckpoint(
            str(tmp_path / "{epoch:02d}-{val_loss:.2f}.weights.h5"),
            save_weights_only=True,
            verbose=1,
            **CHECKPOINTS[case],
        )

    expected = run(tf_keras, make, losses(3))
    printed = capsys.readouterr().out
    assert run(kerasmirror, make, losses(3)) == expected
    assert capsys.readouterr().out == printed


@pytest.mark.parametrize("arguments", [{}, {"separator": ";"}, {"append": True}])
def test_csv_files_are_the_same(tf_keras, tmp_path, arguments):
    paths = [tmp_path / "theirs.csv", tmp_path / "ours.csv"]
    for keras, path in zip((tf_keras, kerasmirror), paths, strict=True):
        for seed in (4, 5):
            run(keras, lambda c, path=path: c.CSVLogger(str(path), **arguments), losses(seed))
    assert paths[0].read_bytes() == paths[1].read_bytes()


# Progress bars


class Clock:
    def __init__(self):
        self.now = 1000.0
        self.steps = np.random.RandomState(0).exponential(0.3, size=5000).cumsum()
        self.calls = 0

    def time(self):
        return self.now + self.steps[self.calls]

    def next(self):
        self.calls += 1


@pytest.fixture
def clock(tf_keras, monkeypatch):
    clock = Clock()
    ours = importlib.import_module("kerasmirror.callbacks.progress_bar")
    theirs = importlib.import_module("keras.src.utils.progbar")
    for module in (ours, theirs):
        monkeypatch.setattr(module, "time", clock)
    return clock


def text_of(keras, clock, capsys, use):
    clock.calls = 0
    use(keras)
    return capsys.readouterr().out


@pytest.mark.parametrize("verbose", [0, 1, 2])
@pytest.mark.parametrize("target", [1, 7, 10, 123, None, 0])
@pytest.mark.parametrize(
    "metrics", [{}, {"stateful_metrics": ["accuracy"]}, {"stateless_metrics": ["loss"]}]
)
def test_progress_bars_print_the_same(tf_keras, clock, capsys, verbose, target, metrics):
    def use(keras):
        bar = keras.utils.Progbar(target, verbose=verbose, **metrics)
        rng = np.random.RandomState(1)
        for step in range(1, (target or 9) + 1):
            clock.next()
            values = [("loss", float(rng.normal())), ("accuracy", float(rng.normal() * 1e-3))]
            bar.update(step, values)
        clock.next()
        bar.update(target or 9, [("loss", 1.0), ("extra", -2.0)], finalize=True)

    assert text_of(kerasmirror, clock, capsys, use) == text_of(tf_keras, clock, capsys, use)


@pytest.mark.parametrize("verbose", [0, 1, 2])  # "auto" differs where stdout is no terminal
@pytest.mark.parametrize("steps", [4, None])
@pytest.mark.parametrize("epochs", [1, 3])
def test_the_logger_of_fit_prints_the_same(tf_keras, clock, capsys, verbose, steps, epochs):
    def use(keras):
        callbacks = keras.callbacks.CallbackList(
            add_progbar=True, verbose=verbose, epochs=epochs, steps=steps
        )
        callbacks.on_train_begin()
        for epoch in range(epochs):
            callbacks.on_epoch_begin(epoch)
            for batch in range(4):
                clock.next()
                callbacks.on_train_batch_begin(batch)
                callbacks.on_train_batch_end(batch, {"loss": 1.0 / (batch + 1), "accuracy": 0.5})
                # Keras prints batches from another thread: the clock waits for it.
                getattr(callbacks, "_flush_futures", int)()
            callbacks.on_test_begin()
            callbacks.on_test_batch_end(0, {"loss": 3.0})
            callbacks.on_test_end({"loss": 3.0})
            clock.next()
            callbacks.on_epoch_end(epoch, {"loss": 0.25, "accuracy": 0.5, "val_loss": 3.0})
        callbacks.on_train_end()

    assert text_of(kerasmirror, clock, capsys, use) == text_of(tf_keras, clock, capsys, use)
