"""Threads that share a GPU, the emulated one where there is no other."""

import sys
import threading

import numpy as np
import pytest

import kerasmirror as keras
from kerasmirror.core import device as devices


@pytest.fixture(autouse=True)
def _gpu(some_gpu):
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)
    devices.GPU.used = False  # the other tests of this process go on as if there were none


def together(*tasks):
    """Run functions at once; gives what they raise."""
    raised = []

    def run(task):
        try:
            with keras.device("gpu:0"):
                task()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def test_two_threads_predict_each_its_own():
    with keras.device("gpu:0"):
        model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(3)])
        batches = [np.full((64, 64), value, "float32") for value in (1, 2)]
        for _ in range(3):  # the third runs a graph
            expected = [model.predict(x, verbose=0) for x in batches]

    def predict(x, y):
        for _ in range(8):
            np.testing.assert_array_equal(model.predict(x, verbose=0), y)

    pairs = zip(batches, expected, strict=True)
    assert together(*[lambda x=x, y=y: predict(x, y) for x, y in pairs]) == []


def test_a_recorded_graph_leaves_another_threads_work_out():
    with keras.device("gpu:0"):
        graph = devices.GPU.kernels.graph.Graph()
        x = keras.ops.convert_to_tensor(np.arange(4, dtype="float32"))
        found = []
        with graph.recording():
            y = keras.ops.add(x, x)
            other = lambda: found.append(keras.ops.convert_to_numpy(keras.ops.multiply(x, 3.0)))  # noqa: E731
            assert together(other) == []
        np.testing.assert_array_equal(found[0], [0, 3, 6, 9])
        graph.run()
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(y), [0, 2, 4, 6])


def test_of_two_threads_that_begin_to_record_one_does(monkeypatch):
    with keras.device("gpu:0"):
        k = devices.GPU.kernels
        first, second = k.graph.Graph(), k.graph.Graph()
        x = keras.ops.convert_to_tensor(np.arange(4, dtype="float32"))
        keras.ops.add(x, x)
        synchronize, waiting = type(first.device).synchronize, [True]

        def record():
            with second.recording():
                raise AssertionError("two graphs at once")

        def interrupted(device):
            if waiting:
                waiting.clear()
                (error,) = together(record)
                assert isinstance(error, k.graph.CannotRecord)
            synchronize(device)

        monkeypatch.setattr(type(first.device), "synchronize", interrupted)
        with first.recording():
            y = keras.ops.add(x, x)
        assert not waiting and first.device.recorder is None
        first.run()
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(y), [0, 2, 4, 6])


def test_a_capture_that_does_not_begin_leaves_no_recorder(monkeypatch):
    with keras.device("gpu:0"):
        graph = devices.GPU.kernels.graph.Graph()

        def fails(device):
            raise RuntimeError("no capture")

        monkeypatch.setattr(type(graph.device), "begin_capture", fails)
        with pytest.raises(RuntimeError, match="no capture"), graph.recording():
            pass
        assert graph.device.recorder is None


def test_two_threads_train_models_of_their_own():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(16, 10)).astype("float32"), rng.integers(0, 3, 16)

    def trained(units):
        with keras.device("gpu:0"):
            layers = [
                keras.layers.Dense(
                    n, activation, kernel_initializer=keras.initializers.HeNormal(seed=n)
                )
                for n, activation in ((units, "relu"), (3, "softmax"))
            ]
            model = keras.Sequential([keras.Input((10,)), *layers])
            model.compile("sgd", "sparse_categorical_crossentropy")
            for _ in range(6):
                model.train_on_batch(x, y)
            return model.get_weights()

    expected = [trained(units) for units in (7, 12)]
    found = {}

    def train(units):
        found[units] = trained(units)

    assert together(lambda: train(7), lambda: train(12)) == []
    for units, weights in zip((7, 12), expected, strict=True):
        for a, b in zip(found[units], weights, strict=True):
            np.testing.assert_array_equal(a, b)
