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
