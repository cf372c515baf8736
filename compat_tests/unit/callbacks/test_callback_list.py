import numpy as np
import pytest

from kerasmirror.callbacks.callback import Callback
from kerasmirror.callbacks.callback_list import CallbackList
from kerasmirror.callbacks.history import History
from kerasmirror.callbacks.lambda_callback import LambdaCallback
from kerasmirror.callbacks.progbar_logger import ProgbarLogger
from kerasmirror.core.tensor import Tensor


class Model:
    stop_training = False


class Recorder(Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_begin(self, logs=None):
        self.calls.append(("on_train_begin", logs))

    def on_epoch_begin(self, epoch, logs=None):
        self.calls.append(("on_epoch_begin", epoch, logs))

    def on_batch_begin(self, batch, logs=None):
        self.calls.append(("on_batch_begin", batch, logs))

    def on_batch_end(self, batch, logs=None):
        self.calls.append(("on_batch_end", batch, logs))

    def on_test_batch_end(self, batch, logs=None):
        self.calls.append(("on_test_batch_end", batch, logs))

    def on_predict_batch_end(self, batch, logs=None):
        self.calls.append(("on_predict_batch_end", batch, logs))

    def on_epoch_end(self, epoch, logs=None):
        self.calls.append(("on_epoch_end", epoch, logs))

    def on_train_end(self, logs=None):
        self.calls.append(("on_train_end", logs))


def run(callbacks, epochs=2, batches=2):
    callbacks.on_train_begin()
    for epoch in range(epochs):
        callbacks.on_epoch_begin(epoch)
        for batch in range(batches):
            callbacks.on_train_batch_begin(batch)
            callbacks.on_train_batch_end(batch, {"loss": 0.5})
        callbacks.on_epoch_end(epoch, {"loss": 0.5 - epoch, "val_loss": 1.0})
    callbacks.on_train_end({"loss": -0.5})


def test_hooks_arrive_in_order_with_their_logs():
    recorder = Recorder()
    run(CallbackList([recorder]), epochs=1, batches=1)
    assert recorder.calls == [
        ("on_train_begin", {}),
        ("on_epoch_begin", 0, {}),
        ("on_batch_begin", 0, {}),
        ("on_batch_end", 0, {"loss": 0.5}),
        ("on_epoch_end", 0, {"loss": 0.5, "val_loss": 1.0}),
        ("on_train_end", {"loss": -0.5}),
    ]


def test_callbacks_are_called_in_the_order_of_the_list():
    order = []
    first = LambdaCallback(on_epoch_end=lambda epoch, logs: order.append("first"))
    second = LambdaCallback(on_epoch_end=lambda epoch, logs: order.append("second"))
    run(CallbackList([first, [second]]), epochs=1)
    assert order == ["first", "second"]


def test_a_single_callback_needs_no_list():
    recorder = Recorder()
    assert CallbackList(recorder).callbacks == [recorder]


def test_logs_become_a_flat_dict_of_floats_sorted_by_name():
    recorder = Recorder()
    callbacks = CallbackList([recorder])
    logs = {
        "loss": np.float32(0.5),
        "accuracy": Tensor(np.array(0.25, np.float32)),
        "more": {"precision": 1, "note": "text"},
    }
    callbacks.on_epoch_end(0, logs)
    seen = recorder.calls[-1][2]
    assert seen == {"accuracy": 0.25, "loss": 0.5, "note": "text", "precision": 1.0}
    assert list(seen) == ["accuracy", "loss", "note", "precision"]
    assert type(seen["loss"]) is float and type(seen["precision"]) is float


def test_outputs_of_predict_stay_arrays():
    recorder = Recorder()
    outputs = np.ones((1, 1), np.float32)
    CallbackList([recorder]).on_predict_batch_end(0, {"outputs": outputs})
    assert recorder.calls[-1][2]["outputs"] is outputs


def test_callbacks_share_one_dict_so_that_later_ones_see_what_earlier_ones_add():
    def add(epoch, logs):
        logs["extra"] = 3.0

    callbacks = CallbackList([LambdaCallback(on_epoch_end=add)], add_history=True, model=Model())
    run(callbacks, epochs=1)
    assert callbacks.callbacks[-1].history["extra"] == [3.0]


def test_lazy_logs_are_made_once_and_only_for_those_who_listen():
    made = []

    def logs():
        made.append(1)
        return {"loss": np.float32(2)}

    silent = CallbackList([History()])
    silent.on_train_batch_end(0, logs)
    assert made == []
    first, second = Recorder(), Recorder()
    CallbackList([first, second]).on_train_batch_end(0, logs)
    assert made == [1]
    assert first.calls == second.calls == [("on_batch_end", 0, {"loss": 2.0})]


def test_the_progress_bar_asks_for_lazy_logs_only_when_it_redraws(capsys):
    made = []

    def logs():
        made.append(1)
        return {"loss": 0.5}

    bar = ProgbarLogger()
    callbacks = CallbackList([bar], verbose=1, epochs=1, steps=1000)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    for batch in range(200):
        callbacks.on_train_batch_end(batch, logs)
    assert 1 <= len(made) < 100
    assert "loss: 0.5000" in capsys.readouterr().out


def test_listens_tells_which_hooks_anybody_overrides():
    callbacks = CallbackList([Recorder()])
    assert callbacks.listens("on_train_batch_end")  # by way of on_batch_end
    assert callbacks.listens("on_test_batch_end")
    assert not callbacks.listens("on_test_begin")
    assert not CallbackList([History()]).listens("on_train_batch_end")


def test_hooks_set_on_an_instance_count():
    seen = []
    callback = Callback()
    callbacks = CallbackList([callback])
    callback.on_epoch_end = lambda epoch, logs=None: seen.append(epoch)
    run(callbacks)
    assert seen == [0, 1]


def test_append_gives_the_callback_model_and_parameters():
    model, recorder = Model(), Recorder()
    callbacks = CallbackList(model=model, epochs=3)
    callbacks.append(recorder)
    assert recorder.model is model
    assert recorder.params == {"epochs": 3}
    callbacks.on_test_batch_end(1, {"loss": 1})
    assert recorder.calls == [("on_test_batch_end", 1, {"loss": 1.0})]


def test_history_and_progress_bar_are_added_once():
    history, bar = History(), ProgbarLogger()
    callbacks = CallbackList(
        [history, bar], add_history=True, add_progbar=True, verbose=0, epochs=1, steps=1
    )
    assert callbacks.callbacks == [history, bar]
    added = CallbackList(add_history=True, add_progbar=True, verbose=0, epochs=1, steps=1)
    assert [type(callback) for callback in added.callbacks] == [History, ProgbarLogger]


def test_history_records_epochs_and_reaches_the_model():
    model = Model()
    callbacks = CallbackList(add_history=True, model=model)
    run(callbacks)
    assert model.history.epoch == [0, 1]
    assert model.history.history == {"loss": [0.5, -0.5], "val_loss": [1.0, 1.0]}


def test_a_history_keeps_growing_over_several_fits():
    history = History()
    callbacks = CallbackList([history], model=Model())
    run(callbacks, epochs=1)
    run(callbacks, epochs=1)
    assert history.history["loss"] == [0.5, 0.5]
    assert history.epoch == [0]


@pytest.mark.parametrize("kind", ["train", "test", "predict"])
def test_an_end_without_a_begin_is_an_error(kind):
    with pytest.raises(ValueError) as raised:
        getattr(CallbackList(), f"on_{kind}_end")()
    assert str(raised.value) == (
        f"CallbackList: `on_{kind}_end` called without `on_{kind}_begin` before it."
    )


def test_lambda_callback_takes_any_hook_and_attribute():
    seen = []
    callback = LambdaCallback(
        on_train_begin=lambda logs: seen.append("begin"),
        on_test_batch_end=lambda batch, logs: seen.append(batch),
        colour="blue",
    )
    callbacks = CallbackList([callback])
    callbacks.on_train_begin()
    callbacks.on_test_batch_end(4)
    assert seen == ["begin", 4]
    assert callback.colour == "blue"
