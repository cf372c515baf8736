import http.server
import json
import os
import random
import sys
import threading

import numpy as np
import pytest

import kerasmirror as keras

X = np.random.RandomState(0).uniform(size=(24, 6)).astype("float32")
Y = np.random.RandomState(1).uniform(size=(24, 2)).astype("float32")


def model(seed=3):
    keras.utils.set_random_seed(seed)
    built = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2),
        ]
    )
    built.compile("adam", "mse")
    return built


class Cut(keras.callbacks.Callback):
    """Ends the process, as far as a test can, at some epoch and batch."""

    def __init__(self, epoch, batch, error=RuntimeError):
        super().__init__()
        self.at, self.error = (epoch, batch), error

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.at:
            raise self.error("cut")


def train(of, *callbacks, epochs=4):
    return of.fit(X, Y, batch_size=8, epochs=epochs, verbose=0, callbacks=list(callbacks))


@pytest.fixture
def backup(tmp_path):
    return lambda **options: keras.callbacks.BackupAndRestore(tmp_path / "backup", **options)


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(backup, tmp_path):
    whole = model()
    train(whole)
    cut = model()
    with pytest.raises(RuntimeError, match="cut"):
        train(cut, backup(), Cut(2, 1))
    resumed = model(seed=3)
    random.random()  # a new process has other states
    history = train(resumed, backup())
    assert history.epoch == [2, 3]
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(resumed.optimizer.variables, whole.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert not (tmp_path / "backup").exists()


def test_the_states_of_random_numbers_come_back(backup):
    cut = model()
    with pytest.raises(RuntimeError):
        train(cut, backup(), Cut(1, 0))
    expected = random.random(), np.random.uniform()
    resumed = model(seed=99)
    callback = backup()
    callback.set_model(resumed)
    callback.on_train_begin()
    assert (random.random(), np.random.uniform()) == expected


def test_ctrl_c_keeps_the_backup(backup, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(model(), backup(), Cut(2, 1, KeyboardInterrupt))
    assert (tmp_path / "backup" / "latest.weights.h5").exists()
    assert train(model(), backup()).epoch == [2, 3]


def test_the_files_can_be_kept(backup, tmp_path):
    train(model(), backup(delete_checkpoint=False, double_checkpoint=True))
    assert sorted(os.listdir(tmp_path / "backup")) == [
        "latest.weights.h5",
        "latest.weights.h5.bkp",
        "training_metadata.json",
        "training_metadata.json.bkp",
    ]
    metadata = json.loads((tmp_path / "backup" / "training_metadata.json").read_text())
    assert metadata == {"epoch": 4, "batch": 0}


def test_files_of_others_in_the_folder_stay(backup, tmp_path):
    (tmp_path / "backup").mkdir()
    (tmp_path / "backup" / "notes.txt").write_text("mine")
    train(model(), backup())
    assert os.listdir(tmp_path / "backup") == ["notes.txt"]


def test_a_second_fit_starts_from_the_first_epoch_again(backup):
    trained = model()
    train(trained, backup())
    assert train(trained, backup()).epoch == [0, 1, 2, 3]


def test_backups_every_few_batches(backup):
    with pytest.raises(RuntimeError):
        train(model(), backup(save_freq=2), Cut(1, 2))
    resumed = model()
    assert train(resumed, backup(save_freq=2)).epoch == [1, 2, 3]


def test_a_damaged_backup_is_replaced_by_the_one_before(backup, tmp_path):
    with pytest.raises(RuntimeError):
        train(model(), backup(double_checkpoint=True), Cut(3, 0))
    (tmp_path / "backup" / "latest.weights.h5").write_bytes(b"damaged")
    assert train(model(), backup(double_checkpoint=True)).epoch == [2, 3]


def test_a_damaged_backup_without_another_is_an_error(backup, tmp_path):
    with pytest.raises(RuntimeError):
        train(model(), backup(), Cut(3, 0))
    (tmp_path / "backup" / "latest.weights.h5").write_bytes(b"damaged")
    with pytest.raises(OSError, match="must be a whole HDF5 file"):
        train(model(), backup())


def test_a_backup_in_the_form_of_keras_is_read(backup, tmp_path):
    folder = tmp_path / "backup"
    folder.mkdir()
    model(seed=5).save_weights(folder / "latest.weights.h5")
    (folder / "training_metadata.json").write_text('{"epoch": 3, "batch": 0}')
    resumed = model()
    resumed.optimizer.build(resumed.trainable_variables)
    with pytest.warns(UserWarning, match="Skipping variable loading for optimizer"):
        assert train(resumed, backup()).epoch == [3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"backup_dir": ""},
            "`backup_dir` must be the path of a folder (Empty `backup_dir` argument passed). "
            "Received: backup_dir=''",
        ),
        (
            {"backup_dir": "a", "save_freq": "batch"},
            '`save_freq` must be "epoch" or a number of batches (Invalid value). '
            "Received: save_freq='batch'",
        ),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError) as raised:
        keras.callbacks.BackupAndRestore(**arguments)
    assert str(raised.value) == f"BackupAndRestore: {message}"


def test_a_model_that_is_not_built_is_an_error(backup):
    callback = backup()
    callback.set_model(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(ValueError, match="BackupAndRestore: the model must be built before `fit`"):
        callback.on_train_begin()


# SwapEMAWeights


def averaging():
    keras.utils.set_random_seed(3)
    built = keras.Sequential([keras.Input((6,)), keras.layers.Dense(2)])
    built.compile(keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9), "mse")
    return built


class Watch(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_test_begin(self, logs=None):
        self.seen.append(self.model.get_weights()[0])

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(self.model.get_weights()[0])


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_the_average_is_tested_and_the_weights_are_trained(swap_on_epoch):
    plain, swapped, watch = averaging(), averaging(), Watch()
    options = {"batch_size": 8, "epochs": 3, "verbose": 0, "validation_data": (X, Y)}
    plain.fit(X, Y, **options)
    swapped.fit(X, Y, callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch), watch], **options)
    for ours, theirs in zip(swapped.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    tested, at_the_end = watch.seen[0::2], watch.seen[1::2]
    for average, weights in zip(tested, at_the_end, strict=True):
        assert np.array_equal(average, weights) == swap_on_epoch


def test_prediction_swaps_there_and_back():
    trained = averaging()
    for _ in range(2):  # after the first step, the average is that step's weights
        trained.train_on_batch(X, Y)
    before = trained.get_weights()[0]
    watched = keras.callbacks.LambdaCallback(
        on_predict_batch_begin=lambda batch, logs: seen.append(trained.get_weights()[0])
    )
    seen = []
    trained.predict(X, verbose=0, callbacks=[keras.callbacks.SwapEMAWeights(), watched])
    assert not np.array_equal(seen[0], before)
    np.testing.assert_array_equal(trained.get_weights()[0], before)


def test_an_optimizer_without_an_average_is_an_error():
    with pytest.raises(ValueError, match="SwapEMAWeights: the optimizer must have `use_ema=True`"):
        model().evaluate(X, Y, verbose=0, callbacks=[keras.callbacks.SwapEMAWeights()])


# RemoteMonitor


@pytest.mark.parametrize("client", ["requests", "urllib"])
@pytest.mark.parametrize("send_as_json", [False, True])
def test_logs_are_posted(monkeypatch, send_as_json, client):
    monkeypatch.setenv("no_proxy", "*")
    if client == "urllib":
        monkeypatch.setitem(sys.modules, "requests", None)
    got = []

    class Server(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802 - the base class's name
            length = int(self.headers["Content-Length"])
            got.append((self.path, self.headers["X-Key"], self.rfile.read(length)))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        keras.callbacks.RemoteMonitor(
            f"http://127.0.0.1:{server.server_port}",
            headers={"X-Key": "k"},
            send_as_json=send_as_json,
        ).on_epoch_end(1, {"loss": np.float32(0.5)})
        server.shutdown()
        thread.join()
    body = b'{"epoch": 1, "loss": 0.5}'
    form = b"data=%7B%22epoch%22%3A+1%2C+%22loss%22%3A+0.5%7D"
    assert got == [("/publish/epoch/end/", "k", body if send_as_json else form)]


@pytest.mark.parametrize("client", ["requests", "urllib"])
def test_a_server_that_does_not_answer_is_a_warning(monkeypatch, client):
    if client == "urllib":
        monkeypatch.setitem(sys.modules, "requests", None)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.warns(UserWarning, match="RemoteMonitor: `root` must be a server that answers"):
        keras.callbacks.RemoteMonitor("http://127.0.0.1:1").on_epoch_end(0, {"loss": 1.0})
