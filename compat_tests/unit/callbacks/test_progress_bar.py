import logging

import pytest

from kerasmirror.callbacks import progress_bar
from kerasmirror.callbacks.callback_list import CallbackList
from kerasmirror.callbacks.progress_bar import Progbar
from kerasmirror.core import config


class Clock:
    """Stands in for the module `time`: goes on by `step` at each look."""

    def __init__(self, step):
        self.now, self.step = 1000.0, step

    def time(self):
        self.now += self.step
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock(0.1)
    monkeypatch.setattr(progress_bar, "time", clock)
    return clock


def without_colours(text):
    for code in ("\x1b[1m", "\x1b[0m", "\x1b[32m", "\x1b[37m", "\b"):
        text = text.replace(code, "")
    return text


def test_the_finished_line(clock, capsys):
    bar = Progbar(30)
    bar.update(30, [("accuracy", 0.91), ("loss", 0.3)])
    assert without_colours(capsys.readouterr().out) == (
        "\r30/30 ━━━━━━━━━━━━━━━━━━━━ 0s 3ms/step - accuracy: 0.9100 - loss: 0.3000\n"
    )


def test_the_colours_of_the_line(clock, capsys):
    Progbar(4).update(1)
    assert capsys.readouterr().out == (
        "\r\x1b[1m1/4\x1b[0m \x1b[32m━━━━━\x1b[0m\x1b[37m━━━━━━━━━━━━━━━\x1b[0m "
        "\x1b[1m0s\x1b[0m 100ms/step"
    )


def test_a_redraw_goes_back_over_the_old_line_and_wipes_its_rest(clock, capsys):
    bar = Progbar(10)
    bar.update(1, [("loss", 0.0)])
    first = capsys.readouterr().out
    bar.update(2, [("loss", 1.0)])
    second = capsys.readouterr().out
    width = len(without_colours(first)) - 1
    assert second.startswith("\b" * width + "\r")
    assert second.endswith("loss: 0.5000    ")
    assert len(without_colours(second)) - 1 == width


def test_metrics_are_averaged_over_steps_unless_stateful(clock, capsys):
    bar = Progbar(4, stateful_metrics=["accuracy"])
    bar.update(1, [("loss", 1.0), ("accuracy", 0.5)])
    bar.update(3, [("loss", 4.0), ("accuracy", 0.75)])
    assert "loss: 3.0000 - accuracy: 0.7500" in capsys.readouterr().out
    bar.update(4, [("loss", 9.0), ("accuracy", 0.8)])
    assert "loss: 9.0000 - accuracy: 0.8000\n" in capsys.readouterr().out


def test_small_numbers_have_an_exponent(clock, capsys):
    Progbar(1).update(1, [("loss", 0.0005), ("cosine", -0.5)])
    assert "loss: 5.0000e-04 - cosine: -0.5000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("step", "target", "expected"),
    [(0.1, 11, "1s 100ms"), (2.0, 101, "3:20 2s"), (40.0, 201, "2:13:20 40s")],
)
def test_the_time_left(clock, capsys, step, target, expected):
    clock.step = step
    Progbar(target).update(1)
    assert f" {expected}/step" in without_colours(capsys.readouterr().out)


def test_the_first_step_does_not_count_once_there_are_others(clock, capsys):
    clock.step = 5.0
    bar = Progbar(3)
    bar.update(1)
    clock.step = 0.06
    bar.update(2)
    assert capsys.readouterr().out.endswith("\x1b[1m0s\x1b[0m 60ms/step")


def test_an_unknown_target(clock, capsys):
    bar = Progbar(None)
    bar.update(5)
    assert without_colours(capsys.readouterr().out) == "\r      5/Unknown 0s 20ms/step"
    bar.update(6, finalize=True)
    assert capsys.readouterr().out.endswith("\n")


def test_verbose_2_prints_the_last_line_only(clock, capsys):
    bar = Progbar(2, verbose=2)
    bar.update(1, [("loss", 2.0)])
    assert capsys.readouterr().out == ""
    bar.update(2, [("loss", 1.0)])
    assert capsys.readouterr().out == "2/2 - 0s - 100ms/step - loss: 1.0000\n"


def test_verbose_0_is_silent(clock, capsys):
    Progbar(1, verbose=0).update(1, [("loss", 1.0)])
    assert capsys.readouterr().out == ""


def test_redraws_wait_for_the_interval(clock, capsys):
    bar = Progbar(100)
    bar.update(1)
    capsys.readouterr()
    clock.step = 0.01
    bar.update(2)
    assert capsys.readouterr().out == ""


def test_add_counts_on(clock, capsys):
    bar = Progbar(5)
    bar.add(2)
    bar.add(3)
    assert without_colours(capsys.readouterr().out).split("\r")[2].startswith("5/5 ")


def test_both_kinds_of_metrics_at_once_are_an_error():
    with pytest.raises(ValueError) as raised:
        Progbar(1, stateful_metrics=["a"], stateless_metrics=["b"])
    assert str(raised.value) == (
        "Progbar: Only one of `stateful_metrics` and `stateless_metrics` can be given. "
        "Received: stateful_metrics=['a'], stateless_metrics=['b']"
    )


def test_without_interactive_logging_lines_go_to_the_log(clock, capsys, caplog):
    config.disable_interactive_logging()
    try:
        with caplog.at_level(logging.INFO, logger="kerasmirror"):
            Progbar(1).update(1, [("loss", 1.0)])
    finally:
        config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert "loss: 1.0000" in caplog.text


def test_a_terminal_without_unicode_gets_a_plain_bar(clock, monkeypatch):
    class Ascii:
        encoding = "ascii"
        written = ""

        def write(self, text):
            text.encode(self.encoding)
            self.written += text

        def flush(self):
            pass

    stdout = Ascii()
    monkeypatch.setattr("sys.stdout", stdout)
    Progbar(2).update(2)
    assert "2/2 ==================== 0s" in without_colours(stdout.written)


def fit(verbose, epochs, steps):
    callbacks = CallbackList(add_progbar=True, verbose=verbose, epochs=epochs, steps=steps)
    callbacks.on_train_begin()
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        for batch in range(2):
            callbacks.on_train_batch_end(batch, {"loss": 1.0})
        callbacks.on_test_begin()
        callbacks.on_test_batch_end(0, {"loss": 7.0})
        callbacks.on_test_end({"loss": 7.0})
        callbacks.on_epoch_end(epoch, {"loss": 0.5, "val_loss": 7.0})
    callbacks.on_train_end()


@pytest.mark.parametrize("verbose", [1, "auto"])
def test_the_logger_prints_epochs_and_their_bars(clock, capsys, monkeypatch, verbose):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    fit(verbose, epochs=2, steps=2)
    lines = without_colours(capsys.readouterr().out).split("\n")
    assert lines[0] == "Epoch 1/2"
    assert lines[1].split("\r")[-1].startswith("2/2 ━━━━━━━━━━━━━━━━━━━━ 1s ")
    assert lines[1].endswith("ms/step - loss: 0.5000 - val_loss: 7.0000")
    assert lines[2] == "Epoch 2/2"
    assert len(lines) == 5


def test_auto_prints_plain_lines_where_stdout_is_no_terminal(clock, capsys):
    fit("auto", epochs=2, steps=2)
    text = capsys.readouterr().out
    assert "\x1b" not in text and "\r" not in text
    lines = text.split("\n")
    assert [lines[0], lines[2], lines[4]] == ["Epoch 1/2", "Epoch 2/2", ""]
    assert lines[1].startswith("2/2 - ") and lines[1].endswith(" - loss: 0.5000 - val_loss: 7.0000")


def test_the_logger_names_no_epoch_when_there_is_one(clock, capsys):
    fit(2, epochs=1, steps=2)
    assert capsys.readouterr().out.startswith("2/2 - 0s - ")


def test_the_logger_learns_the_number_of_steps_from_the_first_epoch(clock, capsys):
    fit(2, epochs=2, steps=None)
    lines = capsys.readouterr().out.split("\n")
    assert lines[1].startswith("2/2 - ") and lines[3].startswith("2/2 - ")


def test_prediction_shows_no_metrics(clock, capsys):
    callbacks = CallbackList(add_progbar=True, verbose=1, epochs=1, steps=1)
    callbacks.on_predict_begin()
    callbacks.on_predict_batch_end(0, {"outputs": [1.0]})
    callbacks.on_predict_end()
    assert capsys.readouterr().out.endswith("ms/step\n")
