import csv

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.callbacks.callback_list import CallbackList
from kerasmirror.callbacks.csv_logger import CSVLogger
from kerasmirror.callbacks.early_stopping import EarlyStopping
from kerasmirror.callbacks.learning_rate import LearningRateScheduler, ReduceLROnPlateau
from kerasmirror.callbacks.model_checkpoint import ModelCheckpoint
from kerasmirror.callbacks.terminate_on_nan import TerminateOnNaN


class Optimizer:
    def __init__(self, learning_rate=0.1, name="sgd"):
        self.learning_rate = learning_rate
        self.name = name


class Metric:
    def __init__(self, name, direction=None, metrics=()):
        self.name = name
        self.metrics = list(metrics)
        if direction:
            self._direction = direction


class Model:
    """Just what callbacks touch; its weights are the number of epochs it has seen."""

    def __init__(self, metrics=()):
        self.stop_training = False
        self.optimizer = Optimizer()
        self.metrics = list(metrics)
        self.weights = [np.array([0.0])]
        self.saved = []

    def get_weights(self):
        return [weight.copy() for weight in self.weights]

    def set_weights(self, weights):
        self.weights = [weight.copy() for weight in weights]

    def save_weights(self, filepath, overwrite):
        self.saved.append(filepath)
        with open(filepath, "w") as file:
            file.write(str(self.weights))


def fit(model, callback, logs, batches=()):
    """Run `callback` over one epoch for each entry of `logs`; the epochs run."""
    callbacks = CallbackList([callback], add_history=True, model=model)
    model.stop_training = False
    callbacks.on_train_begin()
    for epoch, entry in enumerate(logs):
        callbacks.on_epoch_begin(epoch)
        for batch, batch_logs in enumerate(batches):
            callbacks.on_train_batch_end(batch, batch_logs)
        model.weights[0] = model.weights[0] + 1
        callbacks.on_epoch_end(epoch, entry)
        if model.stop_training:
            break
    callbacks.on_train_end()
    return model.history


def losses(*values, name="val_loss"):
    return [{name: value} for value in values]


# EarlyStopping


@pytest.mark.parametrize(
    ("arguments", "values", "epochs"),
    [
        ({}, [1.0, 0.9, 0.95, 0.5], 3),
        ({"patience": 2}, [1.0, 0.9, 0.95, 0.96, 0.5], 4),
        ({"patience": 2}, [1.0, 0.9, 0.95, 0.8, 0.9, 0.9, 0.1], 6),
        ({"min_delta": 0.2}, [1.0, 0.9], 2),
        ({"min_delta": -0.2}, [1.0, 0.9], 2),
        ({"mode": "max"}, [1.0, 2.0, 1.5, 3.0], 3),
        ({"baseline": 0.5}, [1.0, 0.9, 0.8], 3),
        ({"baseline": 0.5, "patience": 2}, [1.0, 0.9, 0.8, 0.95], 4),
        ({"start_from_epoch": 2}, [1.0, 2.0, 3.0, 4.0, 5.0], 4),
        ({}, [1.0], 1),
    ],
)
def test_early_stopping_counts_epochs_without_improvement(arguments, values, epochs):
    history = fit(Model(), EarlyStopping(**arguments), losses(*values))
    assert len(history.epoch) == epochs


def test_early_stopping_restores_the_best_weights_and_says_so(capsys):
    model = Model()
    stopper = EarlyStopping(patience=2, restore_best_weights=True, verbose=1)
    fit(model, stopper, losses(1.0, 0.5, 0.7, 0.8, 0.1))
    assert model.weights[0] == [2.0]
    assert stopper.stopped_epoch == 3 and stopper.best == 0.5
    assert capsys.readouterr().out == (
        "Epoch 4: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
    )


def test_early_stopping_restores_also_when_training_ends_by_itself():
    model = Model()
    fit(model, EarlyStopping(patience=9, restore_best_weights=True), losses(0.5, 0.7, 0.8))
    assert model.weights[0] == [1.0]


def test_early_stopping_restores_the_best_epoch_even_below_the_baseline():
    model = Model()
    stopper = EarlyStopping(patience=3, baseline=0.1, restore_best_weights=True)
    fit(model, stopper, losses(0.9, 0.5, 0.7, 0.6))
    assert model.weights[0] == [2.0]


def test_early_stopping_starts_afresh_with_each_fit():
    model, stopper = Model(), EarlyStopping()
    fit(model, stopper, losses(0.1, 0.2))
    assert len(fit(model, stopper, losses(0.9, 0.8, 0.7)).epoch) == 3


def test_losses_that_are_equal_in_float32_are_no_improvement():
    stopper = EarlyStopping()
    assert len(fit(Model(), stopper, losses(0.3, 0.3 - 1e-12, 0.1)).epoch) == 2


@pytest.mark.parametrize(("direction", "epochs"), [("up", 3), ("down", 2)])
def test_the_direction_comes_from_the_metric(direction, epochs):
    model = Model([Metric("loss"), Metric("compile_metrics", None, [Metric("score", direction)])])
    logs = losses(0.1, 0.2, 0.15, name="val_score")
    assert len(fit(model, EarlyStopping("val_score"), logs).epoch) == epochs


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("accuracy", keras.ops.greater),
        (keras.metrics.AUC(name="auc"), keras.ops.greater),
        ("mse", keras.ops.less),
        ("kl_divergence", keras.ops.less),
        (keras.losses.mean_absolute_error, keras.ops.less),
    ],
)
def test_keras_s_own_metrics_have_a_direction(metric, expected):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, "sigmoid")])
    model.compile("sgd", "mse", metrics=[metric])
    x, y = np.ones((4, 3), "float32"), np.ones((4, 1), "float32")
    name = [n for n in model.fit(x, y, verbose=0).history if n != "loss"][0]
    stopper = EarlyStopping(f"val_{name}", patience=5)
    model.fit(x, y, validation_data=(x, y), callbacks=[stopper], verbose=0)
    assert stopper.monitor_op is expected


@pytest.mark.parametrize("kind", [EarlyStopping, ReduceLROnPlateau])
def test_an_unknown_direction_is_an_error(kind):
    with pytest.raises(ValueError) as raised:
        fit(Model([Metric("score")]), kind(monitor="score"), losses(1.0, name="score"))
    assert str(raised.value) == (
        f'{kind.__name__}: `mode` must be "min" or "max", as it cannot be told from the name '
        "whether less or more of 'score' is better. Received: monitor='score', mode='auto'"
    )


def test_a_missing_log_is_a_warning():
    message = "EarlyStopping: `monitor` must be one of loss. Received: monitor='val_loss'"
    with pytest.warns(UserWarning) as caught:
        fit(Model(), EarlyStopping(), losses(1.0, name="loss"))
    assert [str(warning.message) for warning in caught] == [message]


def test_an_unknown_mode_is_a_warning_and_means_auto():
    with pytest.warns(UserWarning) as caught:
        stopper = EarlyStopping(mode="best")
    assert stopper.mode == "auto"
    assert str(caught[0].message) == (
        'EarlyStopping: `mode` must be "auto", "min" or "max"; "auto" is used, as EarlyStopping '
        "mode 'best' is unknown. Received: mode='best'"
    )


# ReduceLROnPlateau


def rates(callback, values, model=None):
    model = model or Model()
    return fit(model, callback, losses(*values)).history["learning_rate"], model


def test_the_rate_falls_on_a_plateau_and_is_logged(capsys):
    callback = ReduceLROnPlateau(factor=0.5, patience=2, verbose=1)
    logged, model = rates(callback, [1.0, 1.0, 1.0, 1.0, 1.0])
    assert logged == [0.1, 0.1, 0.1, 0.05, 0.05]
    assert model.optimizer.learning_rate == 0.025
    assert capsys.readouterr().out == (
        "\nEpoch 3: ReduceLROnPlateau reducing learning rate to 0.05.\n"
        "\nEpoch 5: ReduceLROnPlateau reducing learning rate to 0.025.\n"
    )


def test_an_improvement_smaller_than_min_delta_does_not_count():
    _, model = rates(ReduceLROnPlateau(patience=1, min_delta=0.1), [1.0, 0.95])
    assert model.optimizer.learning_rate == pytest.approx(0.01)


def test_cooldown_and_lower_bound():
    callback = ReduceLROnPlateau(factor=0.1, patience=1, cooldown=2, min_lr=0.005)
    logged, model = rates(callback, [1.0] * 8)
    assert logged == pytest.approx([0.1, 0.1, 0.01, 0.01, 0.005, 0.005, 0.005, 0.005])
    assert model.optimizer.learning_rate == 0.005


def test_every_part_of_a_multi_optimizer_is_reduced():
    model = Model()
    model.optimizer.optimizers = [Optimizer(0.1, "a"), Optimizer(0.2, "b")]
    history = fit(model, ReduceLROnPlateau(factor=0.5, patience=1), losses(1.0, 1.0))
    assert history.history["learning_rate_a"] == [0.1, 0.1]
    assert [part.learning_rate for part in model.optimizer.optimizers] == [0.05, 0.1]


def test_a_factor_of_one_is_an_error():
    with pytest.raises(ValueError) as raised:
        ReduceLROnPlateau(factor=1.0)
    assert str(raised.value) == (
        "ReduceLROnPlateau: `factor` must be below 1. Received: factor=1.0"
    )


def test_unknown_arguments_are_named_in_a_warning():
    with pytest.warns(UserWarning) as caught:
        ReduceLROnPlateau(epsilon=1)
    assert str(caught[0].message) == (
        "ReduceLROnPlateau: unknown arguments have no effect: ['epsilon']"
    )


# LearningRateScheduler


@pytest.mark.parametrize(
    "schedule", [lambda epoch: 0.1 / (epoch + 1), lambda epoch, rate: rate if not epoch else 0.05]
)
def test_the_schedule_sets_and_logs_the_rate(schedule, capsys):
    model = Model()
    history = fit(model, LearningRateScheduler(schedule, verbose=1), losses(1.0, 1.0))
    assert history.history["learning_rate"] == [0.1, 0.05]
    assert capsys.readouterr().out == (
        "\nEpoch 1: LearningRateScheduler setting learning rate to 0.1.\n"
        "\nEpoch 2: LearningRateScheduler setting learning rate to 0.05.\n"
    )


def test_a_schedule_that_gives_no_float_is_an_error():
    with pytest.raises(ValueError) as raised:
        fit(Model(), LearningRateScheduler(lambda epoch, rate: "fast"), losses(1.0))
    assert str(raised.value) == (
        "LearningRateScheduler: `schedule` must return a float. Received: 'fast' for epoch 0"
    )


def test_an_optimizer_without_a_rate_is_an_error():
    model = Model()
    model.optimizer = "none"
    with pytest.raises(ValueError) as raised:
        fit(model, LearningRateScheduler(lambda epoch: 0.1), losses(1.0))
    assert str(raised.value) == (
        "LearningRateScheduler: the optimizer must have a `learning_rate`. "
        "Received: optimizer='none'"
    )


# TerminateOnNaN


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), -float("inf")])
def test_a_loss_that_is_no_number_stops_training(loss, capsys):
    model = Model()
    history = fit(model, TerminateOnNaN(), losses(1.0, 1.0), [{"loss": 1.0}, {"loss": loss}])
    assert history.epoch == [0]
    assert capsys.readouterr().out == "Batch 1: Invalid loss, terminating training\n"


def test_a_loss_that_is_no_number_raises_when_asked_to():
    with pytest.raises(RuntimeError) as raised:
        fit(Model(), TerminateOnNaN(raise_error=True), losses(1.0), [{"loss": float("nan")}])
    assert str(raised.value) == (
        "TerminateOnNaN: the loss must be finite (NaN or Inf loss encountered). "
        "Received: loss=nan at batch 0"
    )


# CSVLogger


def rows(path, separator=","):
    with open(path, newline="") as file:
        return list(csv.reader(file, delimiter=separator))


def test_csv_rows_and_header(tmp_path):
    path = tmp_path / "log.csv"
    logs = [{"loss": 0.5, "accuracy": 0.25}, {"loss": 0.4, "accuracy": 0.5, "val_loss": 0.9}]
    fit(Model(), CSVLogger(path), logs)
    assert path.read_bytes() == (
        b"epoch,accuracy,loss,val_accuracy,val_loss\r\n0,0.25,0.5,NA,NA\r\n1,0.5,0.4,NA,0.9\r\n"
    )


def test_csv_separator_and_lists(tmp_path):
    path = tmp_path / "log.csv"
    fit(Model(), CSVLogger(str(path), separator=";"), [{"loss": 0.5, "val_x": np.array([1, 2])}])
    assert rows(path, ";") == [["epoch", "loss", "val_x"], ["0", "0.5", '"[1, 2]"']]


def test_csv_rows_are_on_disk_after_each_epoch(tmp_path):
    path = tmp_path / "log.csv"
    logger = CSVLogger(path)
    logger.on_train_begin()
    logger.on_epoch_end(0, {"loss": 1.0})
    assert path.read_bytes().endswith(b"0,1.0,NA\r\n")
    logger.on_train_end()
    assert logger.csv_file.closed


def test_csv_is_overwritten_or_continued(tmp_path):
    path = tmp_path / "log.csv"
    fit(Model(), CSVLogger(path), losses(1.0))
    fit(Model(), CSVLogger(path, append=True), losses(2.0))
    assert rows(path) == [["epoch", "val_loss"], ["0", "1.0"], ["0", "2.0"]]
    fit(Model(), CSVLogger(path), losses(3.0))
    assert rows(path) == [["epoch", "val_loss"], ["0", "3.0"]]


def test_csv_continues_on_a_new_line_after_a_row_that_was_cut(tmp_path):
    path = tmp_path / "log.csv"
    path.write_bytes(b"epoch,val_loss\r\n0,0.")
    fit(Model(), CSVLogger(path, append=True), losses(2.0))
    assert rows(path) == [["epoch", "val_loss"], ["0", "0."], ["0", "2.0"]]


@pytest.mark.parametrize("content", [None, b""])
def test_csv_continuing_an_empty_file_writes_the_header(tmp_path, content):
    path = tmp_path / "log.csv"
    if content is not None:
        path.write_bytes(content)
    fit(Model(), CSVLogger(path, append=True), losses(2.0))
    assert rows(path) == [["epoch", "val_loss"], ["0", "2.0"]]


# ModelCheckpoint


def checkpoint(path, **arguments):
    return ModelCheckpoint(path, save_weights_only=True, **arguments)


def test_weights_are_saved_each_epoch_under_a_formatted_name(tmp_path):
    model = Model()
    path = tmp_path / "new" / "{epoch:02d}-{val_loss:.2f}.weights.h5"
    fit(model, checkpoint(path), losses(0.5, 0.25))
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == [
        "01-0.50.weights.h5",
        "02-0.25.weights.h5",
    ]


def test_only_the_best_weights_are_saved(tmp_path, capsys):
    model, path = Model(), str(tmp_path / "{epoch}.weights.h5")
    fit(model, checkpoint(path, save_best_only=True, verbose=1), losses(0.5, 0.7, 0.25))
    assert model.saved == [path.format(epoch=1), path.format(epoch=3)]
    assert capsys.readouterr().out == (
        f"\nEpoch 1: val_loss improved from None to 0.50000, saving model to {model.saved[0]}\n"
        f"\nEpoch 1: finished saving model to {model.saved[0]}\n"
        "\nEpoch 2: val_loss did not improve from 0.50000\n"
        f"\nEpoch 3: val_loss improved from 0.50000 to 0.25000, saving model to {model.saved[1]}\n"
        f"\nEpoch 3: finished saving model to {model.saved[1]}\n"
    )


def test_the_first_best_value_can_be_given(tmp_path):
    model = Model()
    callback = checkpoint(
        tmp_path / "{epoch}.weights.h5", save_best_only=True, initial_value_threshold=0.3
    )
    fit(model, callback, losses(0.5, 0.2))
    assert model.saved == [str(tmp_path / "2.weights.h5")]


def test_weights_are_saved_every_few_batches(tmp_path):
    model = Model()
    callback = checkpoint(tmp_path / "{epoch}-{batch}.weights.h5", save_freq=2)
    fit(model, callback, losses(1.0, 1.0), [{"loss": 1.0}] * 3)
    names = [path.rsplit("/", 1)[1].removesuffix(".weights.h5") for path in model.saved]
    assert names == ["1-2", "2-1", "2-3"]


def test_a_name_the_logs_lack_is_an_error(tmp_path):
    path = str(tmp_path / "{accuracy}.weights.h5")
    with pytest.raises(KeyError) as raised:
        fit(Model(), checkpoint(path), losses(1.0))
    assert raised.value.args[0] == (
        "ModelCheckpoint: `filepath` must name only epoch, batch and logs (val_loss). "
        f"Received: filepath={path!r}, which names 'accuracy'"
    )


def test_a_directory_in_place_of_the_file_is_an_error(tmp_path):
    path = tmp_path / "x.weights.h5"
    path.mkdir()
    with pytest.raises(OSError) as raised:
        fit(Model(), checkpoint(path), losses(1.0))
    assert str(raised.value) == (
        f"ModelCheckpoint: `filepath` must not be a directory. Received: filepath={str(path)!r}"
    )


def test_without_the_monitored_log_every_epoch_is_saved_with_a_warning(tmp_path):
    model = Model()
    with pytest.warns(UserWarning, match="this one is saved. Received: monitor='val_loss'"):
        fit(
            model,
            checkpoint(tmp_path / "a.weights.h5", save_best_only=True),
            losses(1.0, name="loss"),
        )
    assert len(model.saved) == 1


@pytest.mark.parametrize(
    ("path", "arguments", "message"),
    [
        (
            "a.h5",
            {"save_weights_only": True},
            '`filepath` must end in ".weights.h5" with `save_weights_only=True`. '
            "Received: filepath='a.h5'",
        ),
        ("a.txt", {}, '`filepath` must end in ".keras" or ".h5". Received: filepath=\'a.txt\''),
        (
            "a.keras",
            {"save_freq": "batch"},
            '`save_freq` must be "epoch" or a number of batches (Unrecognized save_freq). '
            "Received: save_freq='batch'",
        ),
    ],
)
def test_bad_arguments_of_the_checkpoint(path, arguments, message):
    with pytest.raises(ValueError) as raised:
        ModelCheckpoint(path, **arguments)
    assert str(raised.value) == f"ModelCheckpoint: {message}"
